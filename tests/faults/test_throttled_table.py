"""DynamoDB throttles or is gone for a while."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable

import pytest
from answers import body_of, refused, status_of
from client import DEFERRED, Answer, Api
from deployment import Deployment, Queue
from history import History
from microburst import BROKEN, THROTTLED, Microburst, rule

# A minute in the long form.
OUTAGE_SECONDS = float(os.environ.get("OUTAGE_SECONDS", "4"))


def test_throttling_is_retried(
    deployment: Deployment, api: Api, user: str, dynamodb: Microburst, history: History
) -> None:
    with dynamodb.rules(rule(THROTTLED, "UpdateItem", times=2)):
        answer = api.put(user, b'{"v":1}')
        assert dynamodb.fired() == ["UpdateItem"] * 2
    assert answer.status == 201, answer
    assert history.operations(user) == [answer.headers["etag"].strip('"')]


@pytest.mark.parametrize("code", ["ThrottlingException", "ProvisionedThroughputExceededException"])
def test_throttling_past_the_retries_writes_nothing(
    deployment: Deployment, api: Api, user: str, dynamodb: Microburst, history: History, code: str
) -> None:
    with dynamodb.rules(rule({"error": {"code": code, "status": 400}}, "UpdateItem")):
        refused(api.put(user, b"{}"), "not-written")
        assert dynamodb.fired() == ["UpdateItem"] * 3
    assert deployment.user(user) is None
    assert api.put(user, b'{"v":"again"}').status == 201
    assert len(history.operations(user)) == 1


@pytest.mark.parametrize("outage", ["refused connections", "500", "throttled"])
def test_deferred_puts_outlive_an_outage(
    deployment: Deployment,
    api: Api,
    new_user: Callable[[], str],
    queue: Queue,
    dynamodb: Microburst,
    history: History,
    outage: str,
) -> None:
    """Accepted all the while, applied after, and the newest of each user last."""
    users = [new_user() for _ in range(3)]
    accepted: list[Answer] = []
    blocks: dict[str, contextlib.AbstractContextManager[None]] = {
        "refused connections": dynamodb.gone(),
        "500": dynamodb.rules(rule(BROKEN)),
        "throttled": dynamodb.rules(rule(THROTTLED)),
    }
    with blocks[outage]:
        end = time.monotonic() + OUTAGE_SECONDS
        while time.monotonic() < end:
            step = len(accepted)
            answer = api.put(users[step % 3], f'{{"v":{step}}}'.encode(), DEFERRED)
            assert answer.status == 202, answer
            accepted.append(answer)
        kind = "not-written" if outage == "throttled" else None
        inline = api.put(users[0], b"{}")
        assert inline.status == 503, inline
        refused(inline, kind or inline.json()["type"].rpartition(":")[2])
        assert all(deployment.user(user) is None for user in users)
    newest = accepted[-3:]
    for answer in accepted:
        status = status_of(deployment, answer, 30 + 2 * OUTAGE_SECONDS)
        assert status == "succeeded" or (status == "superseded" and answer not in newest), (status, answer)
    for answer in newest:
        assert status_of(deployment, answer) == "succeeded"
        stored = deployment.user(answer.json()["userId"])
        assert stored is not None and stored["op"] == answer.json()["id"]
    for user in users:
        operations = history.operations(user)
        assert operations == sorted(set(operations)), operations
    assert body_of(deployment, users[(len(accepted) - 1) % 3]) == f'{{"v":{len(accepted) - 1}}}'
