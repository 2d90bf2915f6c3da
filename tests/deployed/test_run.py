"""What `make run` and `make watch` say and answer."""

from __future__ import annotations

import json
import os
import re
import threading
import time

import pytest
import urllib3

from scripts.ports import free_port
from scripts.watch import Front, source

from .shell import run

ERROR = "error[E0308]: mismatched types"
INVOCATIONS = "/2015-03-31/functions/put/invocations"


@pytest.mark.skipif("STACK_ENV" in os.environ, reason="make run was not started here")
def test_what_is_printed_can_be_copied(printed: str) -> None:
    found = re.search(r"The API is at (http://127\.0\.0\.1:\d+)\n(.*)\nAWS, ", printed, re.DOTALL)
    assert found, printed
    answered = run("bash", "-euo", "pipefail", "-c", found[2])
    statuses = re.findall(r"HTTP/1.1 (\d+)", answered)
    assert statuses[1:] == ["202", "200", "200"] and statuses[0] in ("201", "200"), answered
    assert found[1] in found[2] and re.search('"status":"(pending|succeeded)"', answered)


@pytest.mark.parametrize(
    ("path", "body", "status", "shown"),
    [
        ("/users/ada", {}, 500, ERROR),
        # The gateway makes its answer of this.
        (INVOCATIONS, {"rawPath": "/users/ada"}, 200, {"statusCode": 500, "body": ERROR}),
        # A batch that did not fail would be deleted.
        (INVOCATIONS, {"Records": []}, 500, ERROR),
    ],
)
def test_the_answer_of_watch_is_the_error_of_the_compiler(
    path: str, body: object, status: int, shown: str | dict[str, object]
) -> None:
    port, behind = (free_port(0, "a port of the test") for _ in range(2))
    front = Front(port, behind)

    def build() -> None:
        time.sleep(0.3)
        front.error, front.built = ERROR, source()

    threading.Thread(target=build).start()
    url = f"http://127.0.0.1:{port}{path}"
    answer = urllib3.request("POST", url, body=json.dumps(body), retries=False)
    assert answer.status == status
    if isinstance(shown, dict):
        assert shown.items() <= answer.json().items()
    else:
        assert answer.data.decode() == shown
