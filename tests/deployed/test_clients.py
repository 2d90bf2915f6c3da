"""The documents for authors of clients: clients are generated from openapi.yaml and used,
and the helpers in http.md are run unchanged.

Each use of a client is a program in tests/clients that ends with "ok".
"""

import json
import os
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from werkzeug import Request, Response

from .client import Api
from .proxy import Proxy, serve, throttled
from .resources import KNOWN, PATH, ROOT, path_of, sample
from .shell import run

# The programs that use the clients are for users; another resource may have its own programs.
of_users = pytest.mark.skipif(PATH != "/users/{id}", reason="tests/clients is about users")
USES = ROOT / "tests" / "clients"
PYTHON = ROOT / ".tools" / "generators" / "bin"
NODE = ROOT / ".tools" / "node" / "bin" / "node"
PACKAGES = ROOT / ".tools" / "node" / "node_modules"
DOCUMENT = ROOT / "docs" / "openapi.yaml"
COMPILE = (NODE, PACKAGES / ".bin" / "tsc", "--noEmit", "--strict", "--skipLibCheck")


def run_in(directory: Path, *command: str | Path) -> str:
    """The output of a command that finds ruff, which formats generated code."""
    path = {"PATH": f"{PYTHON}:{os.environ['PATH']}", "NO_PROXY": "127.0.0.1"}
    return run(*command, cwd=directory, env=os.environ | path)


def use(client: Path, api: Api, *command: str | Path) -> None:
    """Run a program in the folder of the client that it uses."""
    told = {"API_URL": api.base, "BODY": KNOWN["body"], "NO_PROXY": "127.0.0.1"}
    assert run(*command, cwd=client, env=os.environ | told) == "ok\n"


@of_users
def test_python(api: Api, tmp_path: Path) -> None:
    generate = (PYTHON / "openapi-python-client", "generate", "--meta", "none")
    into = ("--output-path", tmp_path / "users_client")
    run_in(tmp_path, *generate, "--fail-on-warning", "--path", DOCUMENT, *into)
    # All of it, also the unused parts.
    run_in(tmp_path, PYTHON / "python", "-m", "compileall", "-q", "users_client")
    use(tmp_path, api, PYTHON / "python", shutil.copy(USES / "use_python.py", tmp_path))


@of_users
def test_typescript(api: Api, tmp_path: Path) -> None:
    (tmp_path / "node_modules").symlink_to(PACKAGES)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    generate = (NODE, PACKAGES / ".bin" / "openapi-typescript")
    run_in(tmp_path, *generate, DOCUMENT, "--output", "api.d.ts")
    program = shutil.copy(USES / "use_typescript.ts", tmp_path)
    options = ("--module", "nodenext", "--allowImportingTsExtensions", "--lib", "esnext,dom")
    run_in(tmp_path, *COMPILE, *options, program)
    use(tmp_path, api, NODE, program)


@of_users
def test_openapi_generator(tmp_path: Path) -> None:
    """The third of the common generators produces TypeScript that compiles."""
    (tmp_path / "node_modules").symlink_to(PACKAGES)
    generate = (PYTHON / "openapi-generator-cli", "generate", "-g", "typescript-fetch")
    run_in(tmp_path, *generate, "-i", DOCUMENT, "-o", tmp_path / "client")
    run_in(tmp_path, *COMPILE, "--lib", "esnext,dom", tmp_path / "client" / "index.ts")


PAGE = (ROOT / "docs" / "http.md").read_text()
CALL = {
    "python": "import sys\nprint(json.dumps(send_and_wait(*map(json.loads, sys.argv[1:]))))",
    "js": "const given = process.argv.slice(1).map(JSON.parse)\n"
    "console.log(JSON.stringify(await sendAndWait(...given)))",
}
COMMAND = {"python": [PYTHON / "python", "-c"], "js": [NODE, "--input-type=module", "--eval"]}


def call(language: str, *arguments: Any) -> subprocess.CompletedProcess[str]:
    """The helper's process, after its end."""
    (printed,) = re.findall(f"```{language}\n(.*?)```", PAGE, re.DOTALL)
    command = [*COMMAND[language], f"{printed}\n{CALL[language]}"]
    return subprocess.run(
        [*map(str, command), *map(json.dumps, arguments)],
        capture_output=True,
        text=True,
        env={"NO_PROXY": "127.0.0.1"},
        timeout=120,
        check=False,
    )


@pytest.fixture(params=CALL)
def language(request: pytest.FixtureRequest) -> str:
    """Each of the two languages."""
    return str(request.param)


def test_until_it_is_done(api: Api, resource: str, proxy: Proxy, language: str) -> None:
    """A PUT that gets 503 until the queue takes it is sent again with its key."""

    def ask(method: str, *arguments: Any) -> Any:
        done = call(language, method, f"{api.base}{path_of(resource)}", *arguments)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    body = json.loads(sample())
    with proxy.treats("SQS.SendMessage", [throttled] * 2) as refused:
        done = ask("PUT", body)
    assert (done["status"], len(refused)) == ("succeeded", 2), done
    assert api.get(resource).json() == body
    api.put(resource, sample(2))
    failed = ask("PUT", body, {"If-Match": done["etag"]})
    assert (failed["status"], failed["error"]["status"]) == ("failed", 412), failed
    assert ask("PUT", [])["error"]["status"] == 422
    assert ask("DELETE")["status"] == "succeeded" and api.get(resource).status == 404


ACCEPTED = Response("{}", 202, {"Location": "/r/operations/o"})
PENDING = Response('{"status":"pending"}', 200, {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"})
BUSY = Response("", 503)


@pytest.mark.parametrize(
    ("answers", "asked", "told"),
    [
        ([ACCEPTED, Response("", 401)], "PUT GET", "401 from URL/r/operations/o"),
        ([BUSY, Response('{"message":"Unauthorized"}', 401)], "PUT PUT", "401 from URL/r"),
        ([Response("<html>blocked</html>", 403, mimetype="text/html")], "PUT", "403 from URL/r"),
        ([], "PUT PUT PUT", ""),
        ([BUSY, Response('{"a":1}', 422, mimetype="application/problem+json")], "PUT PUT", None),
        ([ACCEPTED, PENDING, Response('{"status":"new"}', 200)], "PUT GET GET", None),
    ],
)
def test_what_else_may_be_answered(
    language: str, answers: list[Response], asked: str, told: str | None
) -> None:
    """A server hangs up after these answers. The helper raises any answer to the
    PUT that is not from the service, after few tries, with its URL.
    """
    seen, left = list[str](), [*answers]

    def answer(request: Request) -> Response:
        request.get_data()
        seen.append(request.method)
        if not left:
            raise ConnectionError
        return left.pop(0)

    server = serve(answer)
    url, started = f"http://127.0.0.1:{server.server_port}", time.monotonic()
    done = call(language, "PUT", f"{url}/r", {})
    server.shutdown()
    assert " ".join(seen) == asked, done
    is_raised = done.returncode == 1 and (told or "").replace("URL", url) in done.stderr
    assert is_raised == (told is not None), done
    # A client that asks again must wait for a second.
    assert time.monotonic() - started > seen.count("PUT") - 1
