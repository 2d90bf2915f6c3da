"""Inline and deferred PUTs of one resource in every order: the newest wins, one effect each."""

from __future__ import annotations

import pytest

from .answers import id_of, problem_in
from .bodies import sample, sample_text
from .client import Api
from .deployment import Deployment
from .history import History
from .operations import store_version
from .queues import Queue
from .service import Service


@pytest.mark.parametrize("at_once", [True, False], ids=["in one batch", "one by one"])
def test_reversed_and_doubled(
    deployment: Deployment, api: Api, resource: str, queue: Queue, history: History, at_once: bool
) -> None:
    messages, accepted = [], []
    with deployment.mapping.off():
        for step in range(4):
            accepted.append(api.put_later(resource, sample(step)))
            messages.append(queue.take(resource))
        if at_once:
            for message in messages[::-1] * 2:
                queue.send_copy(message)
    if not at_once:
        for message in messages[::-1]:
            for _ in range(2):
                queue.send_copy(message)
                queue.is_empty_after("one delivery")
    queue.is_empty_after("all deliveries")
    ends = [deployment.end_of(answer) for answer in accepted]
    assert ends == ["superseded"] * 3 + ["succeeded"]
    assert history.of_resource(resource) == [id_of(accepted[-1])]
    assert all(len(history.of_operation(id_of(answer))) == 1 for answer in accepted)


def test_a_late_message_loses_to_newer_ones_of_both_modes(
    deployment: Deployment, api: Api, resource: str, queue: Queue, history: History
) -> None:
    with deployment.mapping.off():
        late = api.put_later(resource, sample("late"))
        message = queue.take(resource)
    inline = api.put(resource, sample("inline"))
    assert inline.status == 201, inline
    deferred = api.put_later(resource, sample("deferred"))
    assert deployment.end_of(deferred) == "succeeded"
    assert api.status(late).json()["status"] == "pending"
    for _ in range(2):
        queue.send_copy(message)
        queue.is_empty_after("a late delivery")
    assert deployment.end_of(late) == "superseded"
    again = api.put(resource, sample("again"))
    written = [id_of(inline), id_of(deferred), id_of(again)]
    assert (again.status, history.of_resource(resource)) == (200, written), again
    assert history.of_operation(id_of(late)) == ["superseded"]
    assert deployment.end_of(deferred) == "succeeded"


def test_a_redelivery_restores_an_outcome_that_was_not_written(
    deployment: Deployment, api: Api, resource: str, queue: Queue
) -> None:
    """A resource at the operation's own id says that an earlier attempt landed."""
    with deployment.mapping.off():
        accepted = api.put_later(resource, sample(1))
        message = queue.message_of(resource)
    assert deployment.end_of(accepted) == "succeeded"
    stored = deployment.resource(resource)
    deployment.forget(operations=(id_of(accepted),))
    queue.send_copy(message)
    assert deployment.end_of(accepted) == "succeeded"
    assert deployment.resource(resource) == stored


def test_a_chain_of_conditional_deferred_puts(
    deployment: Deployment, api: Api, resource: str, queue: Queue
) -> None:
    """Each names the one before, still queued: the operation id of a 202 is its ETag to come."""
    with deployment.mapping.off():
        chain = [api.put_later(resource, sample(0), {"If-None-Match": "*"})]
        for step in range(1, 4):
            tag = {"If-Match": f'"{id_of(chain[-1])}"'}
            chain.append(api.put_later(resource, sample(step), tag))
        assert queue.size() == 4
    assert [deployment.end_of(accepted) for accepted in chain] == ["succeeded"] * 4
    assert deployment.body_of(resource) == sample_text(3)


def test_a_burst_of_both_modes_ends_with_the_newest(
    deployment: Deployment, api: Api, resource: str, queue: Queue, history: History
) -> None:
    answers = []
    for step in range(12):
        body = sample(step)
        answers.append(api.put(resource, body) if step % 3 == 2 else api.put_later(resource, body))
    for accepted in (answer for answer in answers if answer.status == 202):
        assert deployment.end_of(accepted) in ("succeeded", "superseded")
    assert deployment.body_of(resource) == sample_text(11)
    written = history.of_resource(resource)
    assert written == sorted(set(written))


@pytest.mark.smoke
def test_the_newest_stays_whatever_its_mode(
    service: Service, api: Api, resource: str, settled: None
) -> None:
    """Each PUT is sent once the one before is answered, and long before it is carried out."""
    answers = []
    for step in range(9):
        body = sample(step)
        answers.append(api.put_later(resource, body) if step % 3 else api.put(resource, body))
    ids = [id_of(answer) for answer in answers]
    assert ids == sorted(ids)
    ends = [service.end_of(answer) for answer in answers if answer.status == 202]
    assert ends[-1] == "succeeded" and set(ends) <= {"succeeded", "superseded"}, ends
    assert service.body_of(resource) == sample_text(8)
    assert api.get(resource).headers["etag"] == f'"{ids[-1]}"'


def test_what_arrived_long_before_the_stored_version_is_superseded(
    deployment: Deployment, api: Api, resource: str, key: str, queue: Queue
) -> None:
    """Over a second: in every mode, with and without a key, and nothing is written."""
    item = store_version(deployment, resource, 10)
    assert deployment.end_of(api.put_later(resource, sample(1))) == "superseded"
    for _ in range(2):
        keyed = api.put(resource, sample(2), {"Idempotency-Key": f'"{key}"'})
        problem_in(keyed, 409, "superseded")
    problem_in(api.put(resource, sample(3)), 409, "superseded")
    assert deployment.resource(resource) == item


def test_an_inline_put_steps_over_a_version_of_the_same_second(
    deployment: Deployment, api: Api, resource: str
) -> None:
    store_version(deployment, resource, 0.8)
    assert api.put(resource, sample(1)).status == 200
    assert deployment.body_of(resource) == sample_text(1)
