"""`make watch` while the source does not compile."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request

import pytest

from scripts.watch import Front, source

from .ports import free_ports

ERROR = "error[E0308]: mismatched types"
INVOCATIONS = "/2015-03-31/functions/put/invocations"


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
def test_the_answer_is_the_error_of_the_compiler(
    path: str, body: object, status: int, shown: object
) -> None:
    port, behind = free_ports(2)
    front = Front(port, behind)

    def build() -> None:
        time.sleep(0.3)
        front.error, front.built = ERROR, source()

    threading.Thread(target=build).start()
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://127.0.0.1:{port}{path}", json.dumps(body).encode()) as answer:
            got, text = answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        got, text = error.code, error.read().decode()
    assert got == status
    if isinstance(shown, dict):
        assert shown.items() <= json.loads(text).items()
    else:
        assert text == shown
