"""Messages that are delivered twice, late and out of order."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from answers import body_of, id_of, status_of
from client import Api
from deployment import Deployment, Queue
from history import History
from microburst import Microburst, late, rule


@pytest.mark.parametrize("at_once", [True, False], ids=["in one batch", "one by one"])
def test_reversed_and_doubled(
    deployment: Deployment, api: Api, user: str, queue: Queue, history: History, at_once: bool
) -> None:
    with deployment.mapping.off():
        accepted = [api.put_later(user, f'{{"v":{step}}}'.encode()) for step in range(4)]
        messages: list[dict[str, Any]] = []
        while len(messages) < 4:
            for message in queue.look():
                messages.append(message)
                queue.delete(message)
        if at_once:
            for message in sorted(messages, key=lambda message: str(message["Body"]), reverse=True) * 2:
                queue.send_copy(message)
    if not at_once:
        for message in sorted(messages, key=lambda message: str(message["Body"]), reverse=True):
            for _ in range(2):
                queue.send_copy(message)
                queue.is_empty_after("one delivery")
    queue.is_empty_after("all deliveries")
    assert [status_of(deployment, answer) for answer in accepted] == ["superseded"] * 3 + ["succeeded"]
    assert history.operations(user) == [accepted[-1].json()["id"]]
    assert all(len(history.outcomes(answer.json()["id"])) == 1 for answer in accepted)


def test_late_between_newer_ones_of_both_modes(
    deployment: Deployment, api: Api, new_user: Callable[[], str], queue: Queue, history: History
) -> None:
    user = new_user()
    with deployment.mapping.off():
        late = api.put_later(user, b'{"v":"late"}')
        message = queue.message_of(user)
        queue.delete(message)
    inline = api.put(user, b'{"v":"inline"}')
    deferred = api.put_later(user, b'{"v":"deferred"}')
    assert status_of(deployment, deferred) == "succeeded"
    assert api.status(late).json()["status"] == "pending"
    for _ in range(2):
        queue.send_copy(message)
        queue.is_empty_after("a late delivery")
    assert status_of(deployment, late) == "superseded"
    assert history.operations(user) == [id_of(inline), deferred.json()["id"]]
    assert history.outcomes(late.json()["id"]) == ["superseded"]
    assert body_of(deployment, user) == '{"v":"deferred"}'


def test_overtaken_during_a_slow_call_is_superseded(
    deployment: Deployment, api: Api, user: str, queue: Queue, dynamodb: Microburst, history: History
) -> None:
    """What is stored by then is newer than the call's beginning by over a second: no sign of a wrong clock."""
    with dynamodb.rules(rule(late(2.5), "TransactWriteItems", 1, user)):
        accepted = api.put_later(user, b'{"v":"slow"}')
        dynamodb.until_fired()
        time.sleep(1.5)
        newer = api.put(user, b'{"v":"newer"}')
        assert status_of(deployment, accepted) == "superseded"
    assert history.operations(user) == [id_of(newer)]
