"""PUTs that are carried out later: what is promised, what is queued, what comes of it."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable
from urllib.parse import urljoin

import pytest

from bodies import ODD
from client import Api
from deployment import Deployment, Queue, attributes
from problems import check_problem, problem_in

OUTCOME_KEPT = 45 * 24 * 60 * 60


def test_a_deferred_put_from_the_answer_to_the_table(
    deployment: Deployment, api: Api, user: str, queue: Queue
) -> None:
    inline = api.put(user, b'{"v":"before"}')
    before = deployment.user(user)
    body = b' { "v" : "later \xf0\x9f\x98\x80" }\n'
    with deployment.mapping.off():
        accepted = api.put_later(user, body)
        assert accepted.headers["location"] == accepted.headers["content-location"], accepted
        status_url = urljoin(accepted.url, accepted.headers["location"])
        assert status_url.startswith(f"{api.base}/users/{user}/operations/"), status_url
        assert int(accepted.headers["retry-after"]) >= 1, accepted
        assert accepted.headers["preference-applied"] == "respond-async", accepted
        assert accepted.headers["content-type"] == "application/json", accepted
        assert "etag" not in accepted.headers, accepted
        promise = accepted.json()
        operation = promise["id"]
        assert promise == {
            "id": operation,
            "userId": user,
            "status": "pending",
            "acceptedAt": promise["acceptedAt"],
            "resource": f"/users/{user}",
        }
        assert inline.headers["etag"].strip('"') < operation
        assert abs(instant(promise["acceptedAt"]) - time.time()) < 30

        # Nothing has happened yet, but for the message.
        assert deployment.user(user) == before
        assert deployment.outcome(operation) is None
        assert api.get(user).body == b'{"v":"before"}'
        pending = api.status(accepted)
        assert (pending.status, pending.json()) == (200, promise), pending
        assert int(pending.headers["retry-after"]) >= 1, pending
        assert pending.headers["cache-control"] == "no-store", pending

        (message,) = queue.look()
        assert message["Body"].encode() == body
        assert attributes(message) == {"version": "1", "operation": operation, "user": user}
        assert message["Attributes"]["MessageGroupId"] == user

    document = deployment.completed(accepted)
    assert document == promise | {
        "status": "succeeded",
        "completedAt": document["completedAt"],
        "etag": f'"{operation}"',
    }
    assert instant(promise["acceptedAt"]) <= instant(document["completedAt"]) <= time.time() + 1
    completed = api.status(accepted)
    assert completed.headers["cache-control"] == "no-store", completed
    assert "retry-after" not in completed.headers, completed
    assert deployment.user(user) == {
        "id": user,
        "body": body.decode(),
        "op": operation,
        "created_by": inline.headers["etag"].strip('"'),
    }
    outcome = deployment.outcome(operation)
    assert outcome is not None
    completed_at = int(outcome["completed_at"])
    assert outcome == {
        "id": operation,
        "user": user,
        "outcome": "succeeded",
        "completed_at": str(completed_at),
        "expires_at": outcome["expires_at"],
    }
    assert abs(int(outcome["expires_at"]) - completed_at / 1000 - OUTCOME_KEPT) <= 1, outcome
    got = api.get(user)
    assert (got.body, got.headers["etag"]) == (body, f'"{operation}"'), got
    queue.is_empty_after("the update")


def test_bodies_pass_the_queue_byte_for_byte(
    deployment: Deployment, api: Api, new_user: Callable[[], str], queue: Queue
) -> None:
    accepted = {}
    for name, body in ODD.items():
        user = new_user()
        accepted[name] = user, api.put_later(user, body)
    for name, (user, answer) in accepted.items():
        document = deployment.completed(answer)
        assert document["status"] == "succeeded", (name, document)
        stored = deployment.user(user)
        assert stored is not None and stored["body"].encode() == ODD[name], name
    queue.is_empty_after("the updates")


def test_return_minimal_does_not_touch_a_202(deployment: Deployment, api: Api, user: str) -> None:
    accepted = api.put_later(user, b"{}", {"Prefer": "return=minimal, respond-async"})
    assert accepted.json()["status"] == "pending", accepted
    assert accepted.headers["preference-applied"] == "respond-async", accepted
    assert deployment.completed(accepted)["status"] == "succeeded"


def test_ids_that_need_encoding_in_the_status_url(deployment: Deployment, api: Api, user: str) -> None:
    accepted = api.put_later(f"{user}%22%3C%7B%23", b"{}")
    plain = f'{user}"<{{#'
    assert accepted.json()["userId"] == plain, accepted
    assert not set('"<{#') & set(accepted.headers["location"]), accepted
    assert deployment.completed(accepted)["status"] == "succeeded"
    assert deployment.user(plain) is not None


def test_a_precondition_travels_with_the_message(deployment: Deployment, api: Api, user: str, queue: Queue) -> None:
    etag = api.put(user, b'{"v":1}').headers["etag"]
    with deployment.mapping.off():
        for precondition, expected in [
            ({"If-Match": etag}, etag.strip('"')),
            ({"If-Match": "*"}, "exists"),
            ({"If-None-Match": "*"}, "absent"),
        ]:
            queue.purge()
            api.put_later(user, b"{}", precondition)
            assert attributes(queue.message_of(user)).get("precondition") == expected
        queue.purge()


def test_a_true_precondition_is_carried_out(deployment: Deployment, api: Api, user: str) -> None:
    created = api.put_later(user, b'{"v":1}', {"If-None-Match": "*"})
    etag = deployment.completed(created)["etag"]
    replaced = api.put_later(user, b'{"v":2}', {"If-Match": etag})
    assert deployment.completed(replaced)["status"] == "succeeded"
    assert api.get(user).body == b'{"v":2}'


def test_a_false_precondition_is_told_by_the_status(
    deployment: Deployment, api: Api, user: str, queue: Queue
) -> None:
    old = api.put(user, b'{"v":1}').headers["etag"]
    current = api.put(user, b'{"v":2}').headers["etag"]
    for precondition in ({"If-Match": old}, {"If-None-Match": "*"}):
        accepted = api.put_later(user, b'{"v":3}', precondition)
        document = deployment.completed(accepted)
        assert document["status"] == "failed", document
        assert "etag" not in document and "completedAt" in document, document
        check_problem(document["error"], 412, "precondition-failed")
        outcome = deployment.outcome(accepted.json()["id"])
        assert outcome is not None and outcome["outcome"] == "failed", outcome
    got = api.get(user)
    assert (got.body, got.headers["etag"]) == (b'{"v":2}', current), got
    queue.is_empty_after("refusals for good")


def test_a_tag_that_can_match_nothing_is_refused_at_once(
    deployment: Deployment, api: Api, user: str, queue: Queue
) -> None:
    api.put(user, b'{"v":1}')
    far_future = '"0fffffff-ffff-7fff-bfff-ffffffffffff"'
    with deployment.mapping.off():
        for tag in ('"other"', far_future):
            problem_in(api.put(user, b"{}", {"Prefer": "respond-async", "If-Match": tag}), 412, "precondition-failed")
        assert queue.size() == 0


class TestReceipts:
    """Status URLs that were not issued."""

    def test_are_not_found(self, deployment: Deployment, api: Api, user: str, new_user: Callable[[], str]) -> None:
        accepted = api.put_later(user, b"{}")
        receipt = accepted.headers["location"].rpartition("/")[2]
        other = new_user()
        forged = receipt[:-1] + ("A" if receipt[-1] != "A" else "Q")
        for path in (
            f"/users/{user}/operations/{'A' * len(receipt)}",
            f"/users/{user}/operations/{forged}",
            f"/users/{user}/operations/{receipt[:-1]}",
            f"/users/{user}/operations/{receipt}A",
            f"/users/{user}/operations/{receipt}=",
            f"/users/{user}/operations/{accepted.json()['id']}",
            f"/users/{user}/operations/%20",
            f"/users/{other}/operations/{receipt}",
        ):
            problem_in(api.request("GET", path), 404, "operation-not-found")
        assert deployment.completed(accepted)["status"] == "succeeded"


def instant(text: str) -> float:
    """Seconds since the Unix epoch of an RFC 3339 time in UTC with milliseconds."""
    assert len(text) == len("2026-01-02T03:04:05.678Z") and text.endswith("Z"), text
    return datetime.datetime.fromisoformat(text).timestamp()


@pytest.mark.parametrize("prefer", ["Respond-Async", "foo, respond-async; bar", 'foo="," , respond-async=""'])
def test_spellings_of_the_preference(deployment: Deployment, api: Api, user: str, prefer: str) -> None:
    accepted = api.put_later(user, b"{}", {"Prefer": prefer})
    assert deployment.completed(accepted)["status"] == "succeeded"
