"""The helpers that docs/http.md prints, run as they are printed."""

from __future__ import annotations

import json
import re
import subprocess
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
    "python": "import sys\nprint(json.dumps(put_and_wait(*map(json.loads, sys.argv[1:]))))",
    "js": "console.log(JSON.stringify(await putAndWait(...process.argv.slice(1).map(JSON.parse))))",
}
COMMAND = {"python": [PYTHON / "python", "-c"], "js": [NODE, "--input-type=module", "--eval"]}


def run(language: str, *arguments: Any) -> Any:
    """What the helper returns."""
    (printed,) = re.findall(f"```{language}\n(.*?)```", PAGE, re.DOTALL)
    function = re.search(r"^(def|async function) .*", printed, re.DOTALL | re.MULTILINE)
    assert function is not None and len(function[0].splitlines()) <= 1 + 20, printed
    command = [*COMMAND[language], f"{printed}\n{CALL[language]}"]
    done = subprocess.run(
        [*map(str, command), *map(json.dumps, arguments)],
        capture_output=True,
        text=True,
        env={"NO_PROXY": "127.0.0.1"},
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(params=CALL)
def language(request: pytest.FixtureRequest) -> str:
    """Both languages."""
    return str(request.param)


def test_until_it_is_done(deployment: Deployment, api: Api, resource: str, language: str) -> None:
    url = f"{api.base}{path_of(resource)}"
    done = run(language, url, json.loads(sample(1)))
    assert (done["status"], done["resource"]) == ("succeeded", path_of(resource)), done
    assert json.loads(deployment.body_of(resource)) == json.loads(sample(1))
    api.put(resource, sample(2))
    failed = run(language, url, json.loads(sample(3)), {"If-Match": done["etag"]})
    assert failed["status"] == "failed", failed
    check_problem(failed["error"], 412, "precondition-failed")
    refused = run(language, url, [])
    assert refused["status"] == "failed", refused
    check_problem(refused["error"], 422, "invalid-body")


def test_under_failures(
    deployment: Deployment, api: Api, resource: str, queue: Queue, proxy: Proxy, language: str
) -> None:
    """Refused with 503 until the queue takes it, the PUT is sent again under its key."""
    with proxy.rules(Rule("SQS.SendMessage", THROTTLED, times=4, resource=resource)) as refused:
        done = run(language, f"{api.base}{path_of(resource)}", json.loads(sample(1)))
    assert done["status"] == "succeeded" and len(refused) == 4, (done, refused)
    assert json.loads(deployment.body_of(resource)) == json.loads(sample(1))
