"""The output and the answers of `make run` and `make watch`."""

import json
import os
import re

import pytest
import urllib3

from scripts.watch import ErrorServer

from .shell import run

ERROR = "error[E0308]: mismatched types"


@pytest.mark.skipif("STACK_ENV" in os.environ, reason="make run was not started here")
def test_what_is_printed_can_be_copied(printed: str) -> None:
    found = re.search(
        r"The API is at (http://127\.0\.0\.1:\d+)\n(.*)\nMiniStack plays ", printed, re.DOTALL
    )
    assert found, printed
    answered = run("bash", "-euo", "pipefail", "-c", found[2])
    statuses = re.findall(r"HTTP/1.1 (\d+)", answered)
    assert statuses[1:] == ["202", "200", "200"] and statuses[0] in ("201", "200"), answered
    assert found[1] in found[2] and re.search('"status":"(pending|succeeded)"', answered)


@pytest.mark.parametrize(
    ("event", "status", "shown"),
    [
        # The gateway makes its answer from this.
        ({"rawPath": "/users/ada"}, 200, {"statusCode": 500, "body": ERROR}),
        # SQS would delete a batch that did not fail.
        ({"Records": []}, 500, ERROR),
    ],
)
def test_the_answer_of_watch_is_the_error_of_the_compiler(
    event: object, status: int, shown: str | dict[str, object]
) -> None:
    server = ErrorServer()
    server.error = ERROR
    answer = urllib3.request("POST", server.url, body=json.dumps(event), retries=False)
    assert answer.status == status
    if isinstance(shown, dict):
        assert shown.items() <= answer.json().items()
    else:
        assert answer.data.decode() == shown
