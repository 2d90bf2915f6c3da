"""Idempotency-Key: the same request under the same key is the same operation."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import pytest

from .answers import answer_of, id_of, meanwhile, problem_in, refused
from .bodies import sample, sample_text
from .client import DEFERRED, Answer, Api
from .deployment import Deployment
from .history import History
from .operations import operation_id, store_claim, store_stalled, store_version
from .proxy import LOSES_REPLY, THROTTLED, Held, Proxy
from .queues import Queue
from .resources import new_resource, without_update
from .service import Service

WAIT = {"Prefer": "respond-async, wait=5"}
NO_FIELDS: Mapping[str, str] = MappingProxyType({})
CLAIM, WRITE = "DynamoDB.PutItem", "DynamoDB.TransactWriteItems"
BOTH_MODES = pytest.mark.parametrize("headers", [{}, DEFERRED], ids=["inline", "deferred"])


def put(
    api: Api, resource: str, key: str, body: bytes, headers: Mapping[str, str] = NO_FIELDS
) -> Answer:
    """PUT with a key."""
    return api.put(resource, body, {"Idempotency-Key": f'"{key}"', **headers})


def stored_by(deployment: Deployment, resource: str) -> tuple[str, str]:
    """The stored body, and the operation that wrote it."""
    stored = deployment.resource(resource)
    assert stored is not None
    return stored["body"], stored["op"]


@pytest.mark.smoke
def test_twice_inline_is_one_effect(service: Service, api: Api, resource: str, key: str) -> None:
    first = put(api, resource, key, sample(1))
    assert (first.status, first.body) == (201, sample(1)), first
    for prefer in ({}, {"Prefer": "respond-async, wait=3"}, DEFERRED):
        again = put(api, resource, key, sample(1), prefer)
        assert (again.status, again.body, id_of(again)) == (201, first.body, id_of(first)), again
        assert "preference-applied" not in again.headers, again
    newer = api.put(resource, sample(2))
    again = put(api, resource, key, sample(1))
    assert (again.status, id_of(again)) == (201, id_of(first)), again
    assert service.body_of(resource) == sample_text(2)
    assert api.get(resource).headers["etag"] == newer.headers["etag"]


def test_a_replacement_stays_one(deployment: Deployment, api: Api, resource: str, key: str) -> None:
    old = api.put(resource, sample(1)).headers["etag"]
    first, again = (put(api, resource, key, sample(2), {"If-Match": old}) for _ in range(2))
    assert (first.status, again.status) == (200, 200), (first, again)
    assert stored_by(deployment, resource)[1] == id_of(first) == id_of(again)


def test_deferred_twice_then_inline(
    deployment: Deployment, api: Api, resource: str, key: str, queue: Queue, history: History
) -> None:
    with deployment.mapping.off():
        first, again = (put(api, resource, key, sample(1), DEFERRED) for _ in range(2))
        assert (first.status, again.status) == (202, 202), (first, again)
        assert first.headers["location"] == again.headers["location"]
        inline = put(api, resource, key, sample(1))
        assert (inline.status, id_of(inline)) == (201, id_of(first)), inline
        newer = api.put(resource, sample(2))
    queue.is_empty_after("both messages")
    assert deployment.end_of(first) == "succeeded"
    assert history.of_resource(resource) == [id_of(first), id_of(newer)]
    decided = put(api, resource, key, sample(1), DEFERRED)
    assert (decided.status, id_of(decided)) == (201, id_of(first)), decided


def test_a_deferred_failure_is_told_again(
    deployment: Deployment, api: Api, resource: str, key: str, queue: Queue
) -> None:
    old = api.put(resource, sample(1)).headers["etag"]
    api.put(resource, sample(2))
    accepted = put(api, resource, key, sample(3), DEFERRED | {"If-Match": old})
    failed = deployment.completed(accepted)
    assert failed["status"] == "failed"
    for headers in ({}, DEFERRED):
        again = put(api, resource, key, sample(3), headers | {"If-Match": old})
        told = problem_in(again, 412, "precondition-failed")
        assert told["detail"].startswith(failed["error"]["detail"]), again
        assert "new key" in told["detail"], again


def test_an_inline_refusal_is_told_again(
    deployment: Deployment, api: Api, resource: str, key: str
) -> None:
    """Even once its precondition is true: this operation was refused."""
    exists = {"If-Match": "*"}
    first = problem_in(put(api, resource, key, sample(2), exists), 412, "precondition-failed")
    stored = api.put(resource, sample(1))
    for headers in ({}, DEFERRED):
        again = put(api, resource, key, sample(2), headers | exists)
        assert problem_in(again, 412, "precondition-failed") == first
    assert stored_by(deployment, resource) == (sample_text(1), id_of(stored))


@BOTH_MODES
def test_another_request(
    deployment: Deployment, api: Api, resource: str, key: str, headers: Mapping[str, str]
) -> None:
    first = put(api, resource, key, sample(1))
    for body, extra in ((sample(2), {}), (sample(1) + b" ", {}), (sample(1), {"If-Match": "*"})):
        answer = put(api, resource, key, body, {**headers, **extra})
        document = problem_in(answer, 422, "idempotency-key-reused")
        assert document["field"] == "Idempotency-Key", answer
    assert stored_by(deployment, resource) == (sample_text(1), id_of(first))


def test_another_resource_and_the_longest_key(api: Api, key: str) -> None:
    long = key.ljust(253, "k") + r"\""
    one, other = put(api, new_resource(), long, sample()), put(api, new_resource(), long, sample(2))
    assert (one.status, other.status) == (201, 201), (one, other)
    assert id_of(one) != id_of(other)


@pytest.mark.parametrize("headers", [{}, DEFERRED, WAIT], ids=["inline", "deferred", "wait"])
def test_superseded(
    deployment: Deployment,
    api: Api,
    resource: str,
    key: str,
    queue: Queue,
    headers: Mapping[str, str],
) -> None:
    """The first sending claimed the key and got no further; then something newer was stored."""
    operation = operation_id(10)
    claim = store_claim(deployment, resource, key, sample(1), operation)
    newer = api.put(resource, sample(2))
    if headers == DEFERRED:
        assert deployment.end_of(put(api, resource, key, sample(1), headers)) == "superseded"
    for _ in range(2):
        problem_in(put(api, resource, key, sample(1), headers), 409, "superseded")
    assert stored_by(deployment, resource) == (sample_text(2), id_of(newer))
    outcome = deployment.outcome(operation)
    assert outcome is not None and outcome["outcome"] == "superseded"
    held = deployment.outcome(claim)
    assert held is not None and held["op"] == operation


def test_superseded_at_its_first_sending(
    deployment: Deployment, api: Api, resource: str, key: str
) -> None:
    """What is stored is newer, by less than clocks may differ. Its id never changes, so that it
    is refused where a PUT without a key would take a newer one.
    """
    item = store_version(deployment, resource, 0.8)
    problem_in(put(api, resource, key, sample(1)), 409, "superseded")
    assert deployment.resource(resource) == item


def test_two_senders_one_refused(
    deployment: Deployment, api: Api, resource: str, key: str, proxy: Proxy, history: History
) -> None:
    """The first sending is refused for another client's newer PUT, and held at its next call; the
    second is refused and answered; its client decides anew; only then the first goes on. What was
    said to be refused does not land.
    """
    write, after = Held(), Held()
    with meanwhile() as others, proxy.failing(WRITE, write, 1):
        first = others.submit(put, api, resource, key, sample(1))
        write.until_reached()
        rival = api.put(resource, sample("rival"))
        with proxy.failing("DynamoDB", after, 1):
            write.land()
            after.until_reached()
            problem_in(put(api, resource, key, sample(1)), 409, "superseded")
            anew = api.put(resource, sample("decided anew"))
            after.land()
            problem_in(answer_of(first), 409, "superseded")
    assert history.of_resource(resource) == [id_of(rival), id_of(anew)]
    assert deployment.body_of(resource) == sample_text("decided anew")


@BOTH_MODES
def test_after_a_crash_between_claim_and_write(
    deployment: Deployment,
    api: Api,
    resource: str,
    key: str,
    queue: Queue,
    headers: Mapping[str, str],
) -> None:
    operation = operation_id(10)
    store_claim(deployment, resource, key, sample(1), operation)
    answer = put(api, resource, key, sample(1), headers)
    assert (answer.status, id_of(answer)) == (202 if headers else 201, operation), answer
    if headers:
        assert deployment.end_of(answer) == "succeeded"
    assert stored_by(deployment, resource) == (sample_text(1), operation)


def test_an_expired_claim_counts_no_more(
    deployment: Deployment, api: Api, resource: str, key: str
) -> None:
    """DynamoDB deletes it some time later."""
    operation = operation_id(10)
    claim = store_claim(deployment, resource, key, sample(1), operation, valid_for=-1)
    answer = put(api, resource, key, sample(2))
    assert answer.status == 201, answer
    held = deployment.outcome(claim)
    assert held is not None and held["op"] == id_of(answer) != operation
    problem_in(put(api, resource, key, sample(1)), 422, "idempotency-key-reused")


def test_what_is_stalled_is_tried_again(
    deployment: Deployment, api: Api, resource: str, key: str
) -> None:
    operation = operation_id(10)
    store_claim(deployment, resource, key, sample(1), operation)
    store_stalled(deployment, resource, operation)
    answer = put(api, resource, key, sample(1))
    assert (answer.status, id_of(answer)) == (201, operation), answer
    outcome = deployment.outcome(operation)
    assert outcome is not None and outcome["outcome"] == "succeeded"


@pytest.mark.parametrize("headers", [{}, DEFERRED, WAIT], ids=["inline", "deferred", "wait"])
def test_many_at_once(
    deployment: Deployment,
    api: Api,
    resource: str,
    key: str,
    queue: Queue,
    history: History,
    headers: Mapping[str, str],
) -> None:
    with meanwhile() as others:
        sent = [others.submit(put, api, resource, key, sample(1), headers) for _ in range(8)]
        answers = [answer_of(request) for request in sent]
    assert {answer.status for answer in answers} <= {201, 202, 503}, answers
    done = {id_of(answer) for answer in answers if answer.status != 503}
    queue.is_empty_after("the updates")
    assert [*done] == history.of_resource(resource), answers
    assert id_of(put(api, resource, key, sample(1))) in done


def test_no_claim_no_write(
    deployment: Deployment, api: Api, resource: str, key: str, proxy: Proxy
) -> None:
    """Another sending may have landed, for all that this one knows."""
    with proxy.failing(CLAIM, THROTTLED), proxy.recorded() as calls:
        refused(put(api, resource, key, sample()), "outcome-unknown")
    assert set(calls) == {CLAIM} and deployment.resource(resource) is None


def test_the_write_fails_and_is_sent_again(
    deployment: Deployment, api: Api, resource: str, key: str, proxy: Proxy
) -> None:
    with proxy.failing(WRITE, THROTTLED):
        refused(put(api, resource, key, sample(1)), "outcome-unknown")
    assert deployment.resource(resource) is None
    first, again = (put(api, resource, key, sample(1)) for _ in range(2))
    assert (first.status, again.status) == (201, 201), (first, again)
    assert stored_by(deployment, resource)[1] == id_of(first) == id_of(again)


def test_the_reply_is_lost_and_it_is_sent_again(
    deployment: Deployment, api: Api, resource: str, key: str, proxy: Proxy
) -> None:
    with proxy.failing(WRITE, LOSES_REPLY):
        refused(put(api, resource, key, sample(1)), "outcome-unknown")
    _, operation = stored_by(deployment, resource)
    newer = api.put(resource, sample(2))
    again = put(api, resource, key, sample(1))
    assert (again.status, id_of(again)) == (201, operation), again
    assert stored_by(deployment, resource) == (sample_text(2), id_of(newer))


@without_update
def test_a_refusal_that_cannot_be_recorded_is_not_told(
    deployment: Deployment, api: Api, resource: str, key: str, proxy: Proxy
) -> None:
    """Until it is on record, another sending could still land."""
    store_claim(deployment, resource, key, sample(1), operation_id(10))
    newer = api.put(resource, sample(2))
    # The claim is a PutItem too, the first one.
    held = Held()
    with meanwhile() as others, proxy.failing(WRITE, held, 1):
        sent = others.submit(put, api, resource, key, sample(1))
        held.until_reached()
        with proxy.failing(CLAIM, THROTTLED):
            held.land()
            refused(answer_of(sent), "outcome-unknown")
    problem_in(put(api, resource, key, sample(1)), 409, "superseded")
    assert stored_by(deployment, resource) == (sample_text(2), id_of(newer))
