"""SQS refuses or is gone."""

from __future__ import annotations

import pytest
from answers import body_of, id_of, refused
from client import DEFERRED, Api
from deployment import Deployment, Queue
from history import History
from microburst import BROKEN, LOST_REPLY, THROTTLED, Microburst, rule

WAIT = {"Prefer": "respond-async, wait=2"}


def test_gone(deployment: Deployment, api: Api, user: str, queue: Queue, sqs: Microburst, history: History) -> None:
    with sqs.gone():
        refused(api.put(user, b'{"v":"deferred"}', DEFERRED), "not-written")
        inline = api.put(user, b'{"v":"inline"}')
        waited = api.put(user, b'{"v":"waited"}', WAIT)
        assert (inline.status, waited.status) == (201, 200), (inline, waited)
        assert queue.size() == 0
    assert history.operations(user) == [id_of(inline), id_of(waited)]
    later = api.put_later(user, b'{"v":"later"}')
    assert deployment.completed(later)["status"] == "succeeded"


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (THROTTLED, "not-written"),
        ({"error": {"code": "OverLimit", "status": 403}}, "not-written"),
        (BROKEN, "outcome-unknown"),
    ],
    ids=["throttled", "over limit", "500"],
)
def test_refused(
    deployment: Deployment,
    api: Api,
    user: str,
    queue: Queue,
    sqs: Microburst,
    history: History,
    fault: dict[str, object],
    kind: str,
) -> None:
    with sqs.rules(rule(fault, "SendMessage")):
        refused(api.put(user, b"{}", DEFERRED), kind)
        assert sqs.fired() == ["SendMessage"] * 3
        assert api.put(user, b'{"v":1}').status == 201
    assert queue.size() == 0 and len(history.operations(user)) == 1


def test_both_are_gone(
    deployment: Deployment, api: Api, user: str, dynamodb: Microburst, sqs: Microburst, history: History
) -> None:
    """Neither the attempt nor the queue: nothing is written, and that is what is said."""
    with sqs.rules(rule(THROTTLED)), dynamodb.rules(rule(THROTTLED)):
        refused(api.put(user, b"{}", WAIT), "not-written")
    assert deployment.user(user) is None


def test_the_attempt_landed_without_reply_and_the_queue_is_gone(
    deployment: Deployment, api: Api, user: str, dynamodb: Microburst, sqs: Microburst, history: History
) -> None:
    lost, throttled = rule(LOST_REPLY, "TransactWriteItems", 1), rule(THROTTLED, "TransactWriteItems", 2)
    with sqs.rules(rule(THROTTLED)), dynamodb.rules(lost, throttled):
        refused(api.put(user, b'{"v":1}', WAIT), "outcome-unknown")
    assert body_of(deployment, user) == '{"v":1}'
