"""`Prefer: respond-async, wait=N`: an inline attempt that is queued may have landed, or land later."""

from __future__ import annotations

from answers import body_of, id_of, status_of
from client import Api
from deployment import Deployment, Queue
from history import History
from microburst import LOST_REPLY, THROTTLED, Microburst, late, rule
from polling import until

WAIT = {"Prefer": "respond-async, wait=1"}
LATE = 2.5


def test_landed_then_queued_has_one_effect(
    deployment: Deployment, api: Api, user: str, queue: Queue, dynamodb: Microburst, history: History
) -> None:
    lost, throttled = rule(LOST_REPLY, "TransactWriteItems", 1), rule(THROTTLED, "TransactWriteItems", 2)
    with deployment.mapping.off(), dynamodb.rules(lost, throttled):
        accepted = api.put(user, b'{"v":1}', WAIT)
        assert accepted.status == 202, accepted
        operation = accepted.json()["id"]
        assert queue.size() == 1 and history.operations(user) == [operation]
        # The message is still there, and the status tells the truth already.
        assert status_of(deployment, accepted) == "succeeded"
    queue.is_empty_after("the message")
    assert (history.operations(user), history.outcomes(operation)) == ([operation], ["succeeded"])


def test_queued_and_applied_before_it_lands_has_one_effect(
    deployment: Deployment, api: Api, user: str, queue: Queue, dynamodb: Microburst, history: History
) -> None:
    with dynamodb.rules(rule(late(LATE), "TransactWriteItems", 1)):
        accepted = api.put(user, b'{"v":1}', WAIT)
        assert accepted.status == 202, accepted
        assert status_of(deployment, accepted, 1.2) == "succeeded"
        dynamodb.until_landed()
    operation = accepted.json()["id"]
    assert (history.operations(user), history.outcomes(operation)) == ([operation], ["succeeded"])


def test_a_late_landing_is_never_over_a_newer_one(
    deployment: Deployment, api: Api, user: str, queue: Queue, dynamodb: Microburst, history: History
) -> None:
    with dynamodb.rules(rule(late(LATE), "TransactWriteItems", 1)):
        accepted = api.put(user, b'{"v":"old"}', WAIT)
        assert accepted.status == 202, accepted
        newer = api.put(user, b'{"v":"newer"}')
        assert status_of(deployment, accepted) in ("succeeded", "superseded")
        dynamodb.until_landed()
    assert history.operations(user)[-1] == id_of(newer)
    assert len(history.outcomes(accepted.json()["id"])) == 1
    assert body_of(deployment, user) == '{"v":"newer"}'


def test_a_late_landing_before_its_message_is_delivered_has_one_effect(
    deployment: Deployment, api: Api, user: str, queue: Queue, dynamodb: Microburst, history: History
) -> None:
    with deployment.mapping.off(), dynamodb.rules(rule(late(LATE), "TransactWriteItems", 1)):
        accepted = api.put(user, b'{"v":1}', WAIT)
        assert accepted.status == 202, accepted
        operation = accepted.json()["id"]
        assert api.status(accepted).json()["status"] == "pending"
        until("the late landing", lambda: history.operations(user))
        assert status_of(deployment, accepted) == "succeeded"
    queue.is_empty_after("the message")
    assert (history.operations(user), history.outcomes(operation)) == ([operation], ["succeeded"])


def test_a_late_landing_after_its_message_was_superseded_has_no_effect(
    deployment: Deployment, api: Api, user: str, queue: Queue, dynamodb: Microburst, history: History
) -> None:
    with dynamodb.rules(rule(late(LATE), "TransactWriteItems", 1)):
        with deployment.mapping.off():
            accepted = api.put(user, b'{"v":"old"}', WAIT)
            assert accepted.status == 202, accepted
            newer = api.put(user, b'{"v":"newer"}')
        assert status_of(deployment, accepted, 1.2) == "superseded"
        dynamodb.until_landed()
    assert history.operations(user) == [id_of(newer)]
    assert history.outcomes(accepted.json()["id"]) == ["superseded"]
