"""`make watch` while the source does not compile."""

from __future__ import annotations

import json
import urllib.error
import urllib.request

import pytest

from scripts.watch import ErrorServer

ERROR = "error[E0308]: mismatched types"


@pytest.mark.parametrize(
    ("event", "status", "shown"),
    [
        # The gateway makes its answer of this.
        ({"rawPath": "/users/ada"}, 200, {"statusCode": 500, "body": ERROR}),
        # A batch that did not fail would be deleted.
        ({"Records": []}, 500, ERROR),
    ],
)
def test_the_answer_is_the_error_of_the_compiler(event: object, status: int, shown: object) -> None:
    server = ErrorServer()
    server.error = ERROR
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(server.url, json.dumps(event).encode()) as answer:
            got, text = answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        got, text = error.code, error.read().decode()
    assert got == status
    if isinstance(shown, dict):
        assert shown.items() <= json.loads(text).items()
    else:
        assert text == shown
