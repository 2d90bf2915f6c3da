"""One fault of each kind at the deployed functions, and what can happen to a queued operation."""

from collections.abc import Callable
from typing import Any

import pytest
from werkzeug import Response

from .client import DEFERRED, JSON, Api
from .deployment import Deployment
from .proxy import Proxy, Treatment, lost, throttled
from .queues import Queue, attributes
from .resources import new_resource, path_of, sample
from .service import id_of, problem_in, until

UPDATE, WRITE = "DynamoDB.UpdateItem", "DynamoDB.TransactWriteItems"
WAIT = {"Prefer": "respond-async, wait=1"}
ALWAYS = 99
# The calls, their treatments, the preference, and the status or the problem of the answer.
FAULTS: dict[str, tuple[str, list[Any], dict[str, str], int | str]] = {
    "the reply is lost": (UPDATE, [lost], {}, 201),
    "no reply at all": (UPDATE, [lost] * ALWAYS, {}, "outcome-unknown"),
    "the table throttles": ("DynamoDB", [throttled] * ALWAYS, {}, "not-written"),
    "the queue throttles": ("SQS.SendMessage", [throttled] * ALWAYS, DEFERRED, "not-written"),
    "it is queued twice": ("SQS.SendMessage", [lost], DEFERRED, 202),
    "it lands, and is queued": (WRITE, [lost, *[throttled] * 8], WAIT, 202),
    "the table throttles apply": (WRITE, [throttled] * 5, DEFERRED, 202),
    "apply is killed": (WRITE, ["kill"] * 2, DEFERRED, 202),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_put(
    deployment: Deployment, api: Api, resource: str, queue: Queue, proxy: Proxy, fault: str
) -> None:
    """The messages of a killed process come back after the visibility timeout, here 1 s instead
    of the template's 200.
    """
    calls, treatments, prefer, expected = FAULTS[fault]
    killed = []

    def kill(forward: Callable[[], Response]) -> Response:
        reply = forward()
        killed.append(deployment.kill("APPLY"))
        return reply

    treated: list[Treatment] = [kill if it == "kill" else it for it in treatments]
    with queue.visibility_timeout(1), proxy.treats(calls, treated) as met:
        answer = api.put(resource, sample(), prefer)
        if expected == 202:
            assert deployment.end_of(answer) == "succeeded"
        queue.is_empty_after("the PUT")
    assert met and any(killed) == (fault == "apply is killed")
    stored = deployment.resource(resource)
    assert (stored is not None) == (expected != "not-written")
    if isinstance(expected, str):
        problem_in(answer, 503, expected)
        assert int(answer.headers["retry-after"]) >= 1, answer
    else:
        assert answer.status == expected and (stored or {})["op"] == id_of(answer), answer


def test_messages_that_come_late_twice_and_in_the_wrong_order(
    deployment: Deployment, api: Api, resource: str, queue: Queue
) -> None:
    with deployment.paused():
        sent = [(api.put_later(resource, sample(it)), queue.take(resource)) for it in (1, 2, 3)]
    deleted = api.delete(resource)
    assert deleted.status == 204, deleted
    with deployment.paused():
        for _, message in sent[::-1] * 2:
            queue.send_copy(message)
    assert [deployment.end_of(answer) for answer, _ in sent] == ["superseded"] * 3
    queue.is_empty_after("all deliveries")
    assert "body" not in (deployment.resource(resource) or {"body": ""})


def test_a_message_that_cannot_be_read(deployment: Deployment, api: Api, queue: Queue) -> None:
    """Only the bad message is parked, unchanged; the others of its batch are carried out."""
    resources = [new_resource() for _ in range(2)]
    values = {"version": "1", "operation": "UNKNOWN", "resource": resources[0]}
    with deployment.paused():
        first = api.put_later(resources[0], sample())
        queue.send("broken", values, "of-poison")
        second = api.put_later(resources[1], sample())
    assert [deployment.end_of(answer) for answer in (first, second)] == ["succeeded"] * 2
    message = deployment.parked.take("of-poison")
    assert (message["Body"], attributes(message)) == ("broken", values), message


def test_a_dead_letter_and_its_redrive(
    deployment: Deployment, api: Api, resource: str, queue: Queue
) -> None:
    """The test moves messages instead of SQS: MiniStack has no StartMessageMoveTask."""
    with deployment.paused():
        accepted = api.put_later(resource, sample())
        deployment.dead_letters.send_copy(queue.take(resource))
    document = until(
        "a stalled operation",
        lambda: api.status(accepted).json(),
        lambda document: document["status"] == "stalled",
    )
    assert document["error"]["type"].endswith(":not-applied"), document
    message = deployment.parked.take(resource)
    deployment.dead_letters.is_empty_after("parking")
    queue.send_copy(message)
    assert deployment.end_of(accepted) == "succeeded"
    queue.is_empty_after("the redrive")
    assert (deployment.resource(resource) or {})["op"] == id_of(accepted)


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_a_cancelled_operation_is_not_carried_out(
    deployment: Deployment, api: Api, resource: str, queue: Queue, method: str
) -> None:
    before = api.put(resource, sample())
    with deployment.paused():
        body = sample(2) if method == "PUT" else None
        accepted = api.request(method, path_of(resource), JSON | DEFERRED, body)
        assert api.status(accepted).json()["status"] == "pending"
        assert api.cancel(accepted).json()["status"] == "cancelled"
    queue.is_empty_after("the cancelled operation")
    assert deployment.end_of(accepted) == "cancelled"
    assert api.get(resource).headers["etag"] == before.headers["etag"]
