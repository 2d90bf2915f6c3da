"""`Prefer: respond-async, wait=N`: an attempt that is queued may have landed, or land later."""

from __future__ import annotations

from .answers import id_of
from .bodies import sample, sample_text
from .client import Api
from .deployment import Deployment
from .history import History
from .polling import until
from .proxy import LOSES_REPLY, THROTTLED, Held, Proxy, Rule
from .queues import Queue

WAIT = {"Prefer": "respond-async, wait=1"}
ATTEMPT = "DynamoDB.TransactWriteItems"


def test_a_wait_that_is_enough(
    deployment: Deployment, api: Api, resource: str, proxy: Proxy
) -> None:
    with proxy.recorded() as calls:
        answer = api.put(resource, sample(), WAIT)
    assert answer.status == 201 and "preference-applied" not in answer.headers, answer
    assert "SQS.SendMessage" not in calls
    outcome = deployment.outcome(id_of(answer))
    assert outcome is not None and outcome["outcome"] == "succeeded"


def test_a_wait_that_is_not_enough_queues(
    deployment: Deployment, api: Api, resource: str, key: str, queue: Queue, proxy: Proxy
) -> None:
    """Only then respond-async was applied; under a key it is one operation all the same."""
    keyed = {"Idempotency-Key": f'"{key}"'}
    with proxy.failing(ATTEMPT, THROTTLED):
        accepted = api.put(resource, sample(1), WAIT | keyed)
    assert accepted.status == 202, accepted
    assert accepted.headers["preference-applied"] == "respond-async", accepted
    done = deployment.completed(accepted)
    again = api.put(resource, sample(1), keyed)
    assert (again.status, again.headers["etag"]) == (201, done["etag"]), again


def test_landed_then_queued_has_one_effect(
    deployment: Deployment, api: Api, resource: str, queue: Queue, proxy: Proxy, history: History
) -> None:
    with deployment.mapping.off():
        with proxy.rules(Rule(ATTEMPT, LOSES_REPLY, 1), Rule(ATTEMPT, THROTTLED)):
            accepted = api.put(resource, sample(1), WAIT)
        assert accepted.status == 202, accepted
        operation = id_of(accepted)
        assert queue.size() == 1 and history.of_resource(resource) == [operation]
        # The message is still there, and the status tells the truth already.
        assert deployment.end_of(accepted) == "succeeded"
    queue.is_empty_after("the message")
    assert history.of_resource(resource) == [operation]
    assert history.of_operation(operation) == ["succeeded"]


def test_queued_and_applied_before_it_lands_has_one_effect(
    deployment: Deployment, api: Api, resource: str, queue: Queue, proxy: Proxy, history: History
) -> None:
    held = Held()
    with proxy.failing(ATTEMPT, held, 1):
        accepted = api.put(resource, sample(1), WAIT)
        assert accepted.status == 202, accepted
        assert deployment.end_of(accepted) == "succeeded"
        held.land()
    operation = id_of(accepted)
    assert history.of_resource(resource) == [operation]
    assert history.of_operation(operation) == ["succeeded"]


def test_a_late_landing_is_never_over_a_newer_one(
    deployment: Deployment, api: Api, resource: str, queue: Queue, proxy: Proxy, history: History
) -> None:
    held = Held()
    with proxy.failing(ATTEMPT, held, 1):
        accepted = api.put(resource, sample("old"), WAIT)
        assert accepted.status == 202, accepted
        newer = api.put(resource, sample("newer"))
        assert deployment.end_of(accepted) in ("succeeded", "superseded")
        held.land()
    assert history.of_resource(resource)[-1] == id_of(newer)
    assert len(history.of_operation(id_of(accepted))) == 1
    assert deployment.body_of(resource) == sample_text("newer")


def test_it_lands_before_its_message_is_delivered(
    deployment: Deployment, api: Api, resource: str, queue: Queue, proxy: Proxy, history: History
) -> None:
    held = Held()
    with deployment.mapping.off(), proxy.failing(ATTEMPT, held, 1):
        accepted = api.put(resource, sample(1), WAIT)
        assert accepted.status == 202, accepted
        assert api.status(accepted).json()["status"] == "pending"
        held.land()
        assert deployment.end_of(accepted) == "succeeded"
    queue.is_empty_after("the message")
    operation = id_of(accepted)
    assert history.of_resource(resource) == [operation]
    assert history.of_operation(operation) == ["succeeded"]


def test_it_lands_after_its_message_was_superseded(
    deployment: Deployment, api: Api, resource: str, queue: Queue, proxy: Proxy, history: History
) -> None:
    held = Held()
    with proxy.failing(ATTEMPT, held, 1):
        with deployment.mapping.off():
            accepted = api.put(resource, sample("old"), WAIT)
            assert accepted.status == 202, accepted
            newer = api.put(resource, sample("newer"))
        assert deployment.end_of(accepted) == "superseded"
        held.land()
    until("the queue's end", queue.size, lambda size: size == 0)
    assert history.of_resource(resource) == [id_of(newer)]
    assert history.of_operation(id_of(accepted)) == ["superseded"]
