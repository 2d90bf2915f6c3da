"""The helpers that docs/http.md prints, run as they are printed."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from .answers import check_problem
from .bodies import sample
from .client import Api
from .deployment import ROOT, Deployment
from .proxy import THROTTLED, Proxy, Rule
from .queues import Queue
from .resources import path_of
from .test_generated import NODE, PYTHON

PAGE = (ROOT / "docs" / "http.md").read_text()
CALL = {
    "python": "import sys\nprint(json.dumps(send_and_wait(*map(json.loads, sys.argv[1:]))))",
    "js": "const given = process.argv.slice(1).map(JSON.parse)\n"
    "console.log(JSON.stringify(await sendAndWait(...given)))",
}
COMMAND = {"python": [PYTHON / "python", "-c"], "js": [NODE, "--input-type=module", "--eval"]}


def call(language: str, *arguments: Any) -> subprocess.CompletedProcess[str]:
    """The helper's process, once it has ended."""
    (printed,) = re.findall(f"```{language}\n(.*?)```", PAGE, re.DOTALL)
    function = re.search(r"^(def|async function) .*", printed, re.DOTALL | re.MULTILINE)
    assert function is not None and len(function[0].splitlines()) <= 1 + 32, printed
    command = [*COMMAND[language], f"{printed}\n{CALL[language]}"]
    return subprocess.run(
        [*map(str, command), *map(json.dumps, arguments)],
        capture_output=True,
        text=True,
        env={"NO_PROXY": "127.0.0.1"},
        timeout=120,
        check=False,
    )


def run(language: str, *arguments: Any) -> Any:
    """What the helper returns."""
    done = call(language, *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(params=CALL)
def language(request: pytest.FixtureRequest) -> str:
    """Both languages."""
    return str(request.param)


def test_until_it_is_done(deployment: Deployment, api: Api, resource: str, language: str) -> None:
    url = f"{api.base}{path_of(resource)}"
    done = run(language, "PUT", url, json.loads(sample(1)))
    assert (done["status"], done["resource"]) == ("succeeded", path_of(resource)), done
    assert json.loads(deployment.body_of(resource)) == json.loads(sample(1))
    api.put(resource, sample(2))
    failed = run(language, "PUT", url, json.loads(sample(3)), {"If-Match": done["etag"]})
    assert failed["status"] == "failed", failed
    check_problem(failed["error"], 412, "precondition-failed")
    refused = run(language, "PUT", url, [])
    assert refused["status"] == "failed", refused
    check_problem(refused["error"], 422, "invalid-body")
    deleted = run(language, "DELETE", url)
    assert deleted["status"] == "succeeded" and deployment.is_deleted(resource), deleted


def test_under_failures(
    deployment: Deployment, api: Api, resource: str, queue: Queue, proxy: Proxy, language: str
) -> None:
    """Refused with 503 until the queue takes it, the PUT is sent again under its key."""
    with proxy.rules(Rule("SQS.SendMessage", THROTTLED, times=4, resource=resource)) as refused:
        done = run(language, "PUT", f"{api.base}{path_of(resource)}", json.loads(sample(1)))
    assert done["status"] == "succeeded" and len(refused) == 4, (done, refused)
    assert json.loads(deployment.body_of(resource)) == json.loads(sample(1))


Scripted = tuple[int, dict[str, str], str]
ACCEPTED: Scripted = (202, {"Location": "/r/operations/o"}, "{}")
DATE = {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}
PROBLEM = {"Content-Type": "application/problem+json"}
PAGE_OF_HTML: Scripted = (403, {"Content-Type": "text/html"}, "<html>blocked</html>")


class Script(ThreadingHTTPServer):
    """Answers one request after the other as written; where nothing is, it hangs up."""

    def __init__(self, answers: list[Scripted]) -> None:
        super().__init__(("127.0.0.1", 0), Reader)
        self.answers = answers
        self.asked: list[tuple[str, str]] = []
        self.times: list[float] = []


class Reader(BaseHTTPRequestHandler):
    """Reads a request to the script."""

    def do_PUT(self) -> None:
        script = self.server
        assert isinstance(script, Script)
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        script.asked.append((self.command, self.path))
        script.times.append(time.monotonic())
        self.close_connection = True
        if script.answers:
            status, headers, body = script.answers.pop(0)
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body.encode())

    do_GET = do_PUT  # noqa: N815

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def script() -> Iterator[Script]:
    server = Script([])
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("answers", "asked", "told"),
    [
        ([ACCEPTED, (401, {}, "")], "PUT GET", "401 from http://127.0.0.1:PORT/r/operations/o"),
        ([ACCEPTED, (403, PROBLEM, "{}")], "PUT GET", "403 from"),
        ([(503, {}, ""), (401, {}, '{"message":"Unauthorized"}')], "PUT PUT", "401 from"),
        ([PAGE_OF_HTML], "PUT", "403 from http://127.0.0.1:PORT/r"),
        ([(403, {}, "")], "PUT", "403 from"),
        ([], "PUT PUT PUT", ""),
        ([(503, DATE, ""), (422, PROBLEM, '{"a":1}')], "PUT PUT", {"status": "failed"}),
        ([(503, {}, ""), (200, {"ETag": "e"}, "{}")], "PUT PUT", {"status": "succeeded"}),
        ([(204, {"ETag": "e"}, "")], "PUT", {"status": "succeeded", "etag": "e"}),
        ([ACCEPTED, (200, {}, '{"status":"cancelled"}')], "PUT GET", {"status": "cancelled"}),
        (
            [ACCEPTED, (200, DATE, '{"status":"pending"}'), (200, {}, '{"status":"new"}')],
            "PUT GET GET",
            {"status": "new"},
        ),
    ],
)
def test_what_else_may_be_answered(
    script: Script, language: str, answers: list[Scripted], asked: str, told: str | dict[str, str]
) -> None:
    """What is no answer of the service to the PUT is raised, after few tries, with its URL."""
    script.answers += answers
    done = call(language, "PUT", f"http://127.0.0.1:{script.server_port}/r", {})
    assert " ".join(method for method, _ in script.asked) == asked, done
    if isinstance(told, dict):
        assert told.items() <= json.loads(done.stdout).items(), done
    else:
        assert done.returncode == 1, done
        assert told.replace("PORT", str(script.server_port)) in done.stderr, done
    assert all(later - before > 0.9 for before, later in itertools.pairwise(script.times)), done
