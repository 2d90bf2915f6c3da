"""DELETE of a resource, now and later, and DELETE of a status URL, which cancels."""

from __future__ import annotations

import pytest

from .answers import id_of, problem_in
from .bodies import sample, sample_text
from .client import DEFERRED, Answer, Api
from .deployment import Deployment
from .history import History
from .operations import DAY, operation_id
from .queues import Queue
from .service import Service


@pytest.mark.smoke
def test_now(api: Api, resource: str) -> None:
    problem_in(api.delete(resource, {"If-Match": "*"}), 412, "precondition-failed")
    old, current = (api.put(resource, sample(step)).headers["etag"] for step in range(2))
    problem_in(api.delete(resource, {"If-Match": old}), 412, "precondition-failed")
    for condition in ({"If-Match": current}, {}):
        answer = api.delete(resource, condition)
        assert (answer.status, answer.body, "etag" in answer.headers) == (204, b"", False), answer
        problem_in(api.get(resource), 404, "not-found")
    assert api.put(resource, sample(2), {"If-None-Match": "*"}).status == 201
    assert api.get(resource).body == sample(2)


@pytest.mark.smoke
def test_later(service: Service, api: Api, resource: str, settled: None) -> None:
    api.put(resource, sample())
    accepted = api.delete(resource, DEFERRED)
    assert (accepted.status, accepted.headers["preference-applied"]) == (202, "respond-async")
    done = service.completed(accepted)
    assert done["status"] == "succeeded" and "etag" not in done, done
    problem_in(api.get(resource), 404, "not-found")
    assert api.put(resource, sample()).status == 201


@pytest.mark.parametrize("mode", [{}, DEFERRED], ids=["now", "later"])
def test_what_was_accepted_before_a_deletion_does_not_undo_it(
    deployment: Deployment,
    api: Api,
    resource: str,
    queue: Queue,
    history: History,
    mode: dict[str, str],
) -> None:
    with deployment.mapping.off():
        earlier = api.put_later(resource, sample())
        message = queue.take(resource)
    deleted = api.delete(resource, mode)
    if mode:
        assert deployment.end_of(deleted) == "succeeded"
    assert deployment.is_deleted(resource)
    queue.send_copy(message)
    assert deployment.end_of(earlier) == "superseded"
    assert deployment.is_deleted(resource)
    again = api.put(resource, sample(2))
    assert again.status == 201 and history.of_resource(resource)[1:] == [id_of(again)]


@pytest.mark.parametrize("is_deleted", [True, False], ids=["deleted since", "not deleted"])
def test_what_is_carried_out_weeks_later(
    deployment: Deployment, resource: str, queue: Queue, *, is_deleted: bool
) -> None:
    """As an operator redrives it: a PUT of 31 days ago, and the tombstone of a day after it."""
    operation, newer = operation_id(31 * DAY), operation_id(30 * DAY)
    if is_deleted:
        until = str((int(newer.replace("-", "")[:12], 16) + 33 * DAY * 1000) // 1000 + 1)
        item = {"id": {"S": resource}, "op": {"S": newer}, "expires_at": {"N": until}}
        deployment.put_item("RESOURCES_TABLE", item)
    values = {"version": "1", "operation": operation, "resource": resource}
    queue.send(sample_text(), values, resource)
    queue.is_empty_after("the redrive")
    assert deployment.is_deleted(resource) == is_deleted
    outcome = deployment.outcome(operation)
    assert outcome is not None
    assert outcome["outcome"] == ("superseded" if is_deleted else "succeeded")


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_a_cancelled_operation_is_not_carried_out(
    deployment: Deployment,
    api: Api,
    resource: str,
    key: str,
    queue: Queue,
    history: History,
    method: str,
) -> None:
    """Nor is it when its request is sent again under its key."""
    before = api.put(resource, sample())

    def send() -> Answer:
        fields = DEFERRED | {"Idempotency-Key": key}
        if method == "DELETE":
            return api.delete(resource, fields)
        return api.put(resource, sample(1), fields)

    with deployment.mapping.off():
        accepted = send()
        answers = [api.cancel(accepted), api.cancel(accepted), api.status(accepted)]
        for answer in answers:
            assert (answer.status, answer.body) == (200, answers[0].body), answer
            assert answer.headers["cache-control"] == "no-store", answer
            assert "retry-after" not in answer.headers, answer
    document = answers[0].json()
    assert document["status"] == "cancelled" and "etag" not in document, document
    queue.is_empty_after("the cancelled operation")
    assert "new key" in problem_in(send(), 409, "cancelled")["detail"]
    assert history.of_resource(resource) == [id_of(before)]
    assert history.of_operation(id_of(accepted)) == ["cancelled"]
