"""Idempotency-Key: the same request under the same key is the same operation."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest

from client import DEFERRED, Answer, Api
from deployment import Deployment, Queue
from operations import operation_id, store_claim, store_outcome
from problems import problem_in
from proxy import LostReply, Proxy, dynamodb_error

THROTTLED = dynamodb_error(400, "ThrottlingException")
NOT_APPLIED = {
    "type": "urn:problem-type:async-put:not-applied",
    "title": "The PUT could not be carried out",
    "status": 503,
    "detail": "Made by the test.",
}


@pytest.fixture
def key() -> str:
    """A key that nobody else uses."""
    return str(uuid.uuid4())


def put(api: Api, user: str, key: str, body: bytes, headers: Mapping[str, str] = {}) -> Answer:
    """PUT with a key."""
    return api.put(user, body, {"Idempotency-Key": f'"{key}"', **headers})


def stored_by(deployment: Deployment, user: str) -> tuple[str, str]:
    """The stored body, and the entity tag of the operation that wrote it."""
    stored = deployment.user(user)
    assert stored is not None
    return stored["body"], f'"{stored["op"]}"'


def test_twice_inline_is_one_effect(deployment: Deployment, api: Api, user: str, key: str) -> None:
    first = put(api, user, key, b'{"v":1}')
    assert (first.status, first.body) == (201, b'{"v":1}'), first
    for prefer in ({}, {"Prefer": "respond-async, wait=3"}, {"Prefer": "return=representation"}):
        again = put(api, user, key, b'{"v":1}', prefer)
        assert (again.status, again.body, again.headers["etag"]) == (201, first.body, first.headers["etag"]), again
    assert stored_by(deployment, user) == ('{"v":1}', first.headers["etag"])


def test_the_first_answer_stands_after_a_newer_put(deployment: Deployment, api: Api, user: str, key: str) -> None:
    first = put(api, user, key, b'{"v":1}')
    newer = api.put(user, b'{"v":2}')
    again = put(api, user, key, b'{"v":1}')
    assert (again.status, again.headers["etag"]) == (201, first.headers["etag"]), again
    assert stored_by(deployment, user) == ('{"v":2}', newer.headers["etag"])


def test_a_replacement_stays_one(deployment: Deployment, api: Api, user: str, key: str) -> None:
    old = api.put(user, b'{"v":1}').headers["etag"]
    first, again = (put(api, user, key, b'{"v":2}', {"If-Match": old}) for _ in range(2))
    assert (first.status, again.status) == (200, 200), (first, again)
    assert stored_by(deployment, user)[1] == first.headers["etag"] == again.headers["etag"]


def test_inline_then_deferred(deployment: Deployment, api: Api, user: str, key: str, queue: Queue) -> None:
    first = put(api, user, key, b'{"v":1}')
    with deployment.mapping.off():
        again = put(api, user, key, b'{"v":1}', DEFERRED)
        assert (again.status, again.headers["etag"]) == (201, first.headers["etag"]), again
        assert "preference-applied" not in again.headers, again
        assert queue.size() == 0


def test_deferred_then_inline(deployment: Deployment, api: Api, user: str, key: str, queue: Queue) -> None:
    with deployment.mapping.off():
        accepted = put(api, user, key, b'{"v":1}', DEFERRED)
        assert accepted.status == 202, accepted
        again = put(api, user, key, b'{"v":1}')
        assert (again.status, again.headers["etag"]) == (201, f'"{accepted.json()["id"]}"'), again
        newer = api.put(user, b'{"v":2}')
    queue.is_empty_after("the update")
    assert deployment.completed(accepted)["status"] == "succeeded"
    assert stored_by(deployment, user) == ('{"v":2}', newer.headers["etag"])


def test_deferred_twice(deployment: Deployment, api: Api, user: str, key: str, queue: Queue) -> None:
    with deployment.mapping.off():
        first, again = (put(api, user, key, b'{"v":1}', DEFERRED) for _ in range(2))
        assert (first.status, again.status) == (202, 202), (first, again)
        assert first.headers["location"] == again.headers["location"]
    done = deployment.completed(first)
    queue.is_empty_after("both messages")
    assert stored_by(deployment, user) == ('{"v":1}', done["etag"])
    decided = put(api, user, key, b'{"v":1}', DEFERRED)
    assert (decided.status, decided.headers["etag"]) == (201, done["etag"]), decided


def test_a_deferred_failure_is_told_again(deployment: Deployment, api: Api, user: str, key: str, queue: Queue) -> None:
    old = api.put(user, b'{"v":1}').headers["etag"]
    api.put(user, b'{"v":2}')
    accepted = put(api, user, key, b'{"v":3}', DEFERRED | {"If-Match": old})
    failed = deployment.completed(accepted)
    assert failed["status"] == "failed"
    for headers in ({}, DEFERRED):
        again = put(api, user, key, b'{"v":3}', headers | {"If-Match": old})
        assert problem_in(again, 412, "precondition-failed") == failed["error"]


def test_an_inline_refusal_is_told_again(deployment: Deployment, api: Api, user: str, key: str) -> None:
    """Even once its precondition is true: this operation was refused."""
    refused = problem_in(put(api, user, key, b'{"v":2}', {"If-Match": "*"}), 412, "precondition-failed")
    stored = api.put(user, b'{"v":1}').headers["etag"]
    for headers in ({}, DEFERRED):
        again = put(api, user, key, b'{"v":2}', headers | {"If-Match": "*"})
        assert problem_in(again, 412, "precondition-failed") == refused
    assert stored_by(deployment, user) == ('{"v":1}', stored)


@pytest.mark.parametrize("headers", [{}, DEFERRED], ids=["inline", "deferred"])
def test_another_request(deployment: Deployment, api: Api, user: str, key: str, headers: Mapping[str, str]) -> None:
    first = put(api, user, key, b'{"v":1}')
    for body, extra in ((b'{"v":2}', {}), (b'{"v":1} ', {}), (b'{"v":1}', {"If-Match": "*"})):
        answer = put(api, user, key, body, {**headers, **extra})
        document = problem_in(answer, 422, "idempotency-key-reused")
        assert document["field"] == "Idempotency-Key", answer
    assert stored_by(deployment, user) == ('{"v":1}', first.headers["etag"])


def test_another_user(api: Api, new_user: Callable[[], str], key: str) -> None:
    one, other = put(api, new_user(), key, b"{}"), put(api, new_user(), key, b'{"v":2}')
    assert (one.status, other.status) == (201, 201), (one, other)
    assert one.headers["etag"] != other.headers["etag"]


@pytest.mark.parametrize("value", ["", "k", '"', '""', '"k', '"k";a=1', '"a","b"', '"\\n"', f'"{"k" * 256}"'])
@pytest.mark.parametrize("headers", [{}, DEFERRED], ids=["inline", "deferred"])
def test_malformed(deployment: Deployment, api: Api, user: str, value: str, headers: Mapping[str, str]) -> None:
    answer = api.put(user, b"{}", {"Idempotency-Key": value, **headers})
    assert problem_in(answer, 400, "malformed-header")["field"] == "Idempotency-Key"
    assert deployment.user(user) is None


def test_the_longest_key_and_escapes(api: Api, user: str) -> None:
    for number, key in enumerate(("k" * 255, r"\"\\" + " ~")):
        answers = [put(api, user + str(number), key, b"{}") for _ in range(2)]
        assert answers[0].status == 201 and answers[0].headers["etag"] == answers[1].headers["etag"], answers


@pytest.mark.parametrize("prefer", [None, "respond-async, wait=5"])
def test_superseded_by_then(deployment: Deployment, api: Api, user: str, key: str, prefer: str | None) -> None:
    """The first sending claimed the key and got no further; then something newer was stored."""
    operation = operation_id(10)
    claim = store_claim(deployment, user, key, b'{"v":1}', operation)
    newer = api.put(user, b'{"v":2}')
    for _ in range(2):
        problem_in(put(api, user, key, b'{"v":1}', {"Prefer": prefer} if prefer else {}), 409, "superseded")
    assert stored_by(deployment, user) == ('{"v":2}', newer.headers["etag"])
    outcome = deployment.outcome(operation)
    assert outcome is not None and outcome["outcome"] == "superseded"
    held = deployment.outcome(claim)
    assert held is not None and held["op"] == operation


def test_superseded_while_queued(deployment: Deployment, api: Api, user: str, key: str, queue: Queue) -> None:
    with deployment.mapping.off():
        accepted = put(api, user, key, b'{"v":1}', DEFERRED)
        newer = api.put(user, b'{"v":2}')
        problem_in(put(api, user, key, b'{"v":1}'), 409, "superseded")
    assert deployment.completed(accepted)["status"] == "superseded"
    assert stored_by(deployment, user) == ('{"v":2}', newer.headers["etag"])


@pytest.mark.parametrize("headers", [{}, DEFERRED], ids=["inline", "deferred"])
def test_after_a_crash_between_claim_and_write(
    deployment: Deployment, api: Api, user: str, key: str, queue: Queue, headers: Mapping[str, str]
) -> None:
    operation = operation_id(10)
    store_claim(deployment, user, key, b'{"v":1}', operation)
    answer = put(api, user, key, b'{"v":1}', headers)
    if headers:
        assert (answer.status, answer.json()["id"]) == (202, operation), answer
        assert deployment.completed(answer)["status"] == "succeeded"
    else:
        assert (answer.status, answer.headers["etag"]) == (201, f'"{operation}"'), answer
    assert stored_by(deployment, user) == ('{"v":1}', f'"{operation}"')


def test_an_expired_claim_counts_no_more(deployment: Deployment, api: Api, user: str, key: str) -> None:
    """DynamoDB deletes it some time later."""
    operation = operation_id(10)
    claim = store_claim(deployment, user, key, b'{"v":1}', operation, valid_for=-1)
    answer = put(api, user, key, b'{"v":2}')
    assert answer.status == 201, answer
    held = deployment.outcome(claim)
    assert held is not None and f'"{held["op"]}"' == answer.headers["etag"] != f'"{operation}"'
    problem_in(put(api, user, key, b'{"v":1}'), 422, "idempotency-key-reused")


def test_a_provisional_failure_is_tried_again(deployment: Deployment, api: Api, user: str, key: str) -> None:
    operation = operation_id(10)
    store_claim(deployment, user, key, b'{"v":1}', operation)
    store_outcome(deployment, user, operation, "failed", NOT_APPLIED)
    answer = put(api, user, key, b'{"v":1}')
    assert (answer.status, answer.headers["etag"]) == (201, f'"{operation}"'), answer
    outcome = deployment.outcome(operation)
    assert outcome is not None and outcome["outcome"] == "succeeded" and "provisional" not in outcome


@pytest.mark.parametrize(
    "prefer", [{}, DEFERRED, {"Prefer": "respond-async, wait=5"}], ids=["inline", "deferred", "wait"]
)
def test_many_at_once(
    deployment: Deployment, api: Api, user: str, key: str, queue: Queue, prefer: Mapping[str, str]
) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: put(api, user, key, b'{"v":1}', prefer), range(8)))
    assert {answer.status for answer in answers} <= {201, 202, 503}, answers
    assert any(answer.status < 300 for answer in answers), answers
    queue.is_empty_after("the updates")
    body, etag = stored_by(deployment, user)
    assert body == '{"v":1}'
    stored = deployment.user(user)
    assert stored is not None and stored["op"] == stored["created_by"], "two effects"
    for answer in answers:
        if answer.status == 201:
            assert answer.headers["etag"] == etag, answer
        elif answer.status == 202:
            assert f'"{answer.json()["id"]}"' == etag, answer
    assert put(api, user, key, b'{"v":1}').headers["etag"] == etag


class TestFailures:
    """Calls to DynamoDB fail."""

    def test_no_claim_no_write(self, deployment: Deployment, api: Api, user: str, key: str, proxy: Proxy) -> None:
        with proxy.failing(lambda call: THROTTLED if call == "DynamoDB.PutItem" else None), proxy.recorded() as calls:
            answer = put(api, user, key, b"{}")
        problem_in(answer, 503, "not-written")
        assert int(answer.headers["retry-after"]) >= 1, answer
        assert set(calls) == {"DynamoDB.PutItem"} and deployment.user(user) is None

    def test_the_write_fails_and_is_sent_again(
        self, deployment: Deployment, api: Api, user: str, key: str, proxy: Proxy
    ) -> None:
        with proxy.failing(lambda call: THROTTLED if call == "DynamoDB.TransactWriteItems" else None):
            problem_in(put(api, user, key, b'{"v":1}'), 503, "not-written")
        assert deployment.user(user) is None
        first, again = (put(api, user, key, b'{"v":1}') for _ in range(2))
        assert (first.status, again.status) == (201, 201), (first, again)
        assert stored_by(deployment, user)[1] == first.headers["etag"] == again.headers["etag"]

    def test_the_reply_is_lost_and_it_is_sent_again(
        self, deployment: Deployment, api: Api, user: str, key: str, proxy: Proxy
    ) -> None:
        with proxy.failing(lambda call: LostReply() if call == "DynamoDB.TransactWriteItems" else None):
            lost = put(api, user, key, b'{"v":1}')
        problem_in(lost, 503, "outcome-unknown")
        _, etag = stored_by(deployment, user)
        newer = api.put(user, b'{"v":2}')
        again = put(api, user, key, b'{"v":1}')
        assert (again.status, again.headers["etag"]) == (201, etag), again
        assert stored_by(deployment, user) == ('{"v":2}', newer.headers["etag"])

    def test_calls(self, api: Api, user: str, key: str, proxy: Proxy) -> None:
        with proxy.recorded() as calls:
            put(api, user, key, b"{}")
        # The last one reads who created the user, which a transaction does not tell.
        assert calls == ["DynamoDB.PutItem", "DynamoDB.TransactWriteItems", "DynamoDB.GetItem"]

    def test_a_wait_that_is_not_enough_queues(
        self, deployment: Deployment, api: Api, user: str, key: str, queue: Queue, proxy: Proxy
    ) -> None:
        """Only then respond-async was applied."""
        with proxy.failing(lambda call: THROTTLED if call == "DynamoDB.TransactWriteItems" else None):
            keyed = put(api, user, key, b'{"v":1}', {"Prefer": "respond-async, wait=2"})
            assert (keyed.status, keyed.headers["preference-applied"]) == (202, "respond-async"), keyed
        done = deployment.completed(keyed)
        again = put(api, user, key, b'{"v":1}')
        assert (again.status, again.headers["etag"]) == (201, done["etag"]), again
