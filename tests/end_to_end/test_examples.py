"""Every example of openapi.yaml is what the service answers."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from bodies import sized
from client import JSON, Answer, Api
from deployment import ROOT, Deployment, Queue
from operations import DAY, operation_id, receipt, store_claim
from polling import until
from proxy import LostReply, Proxy, dynamodb_error
from rest_api import invoke

DOCUMENT = yaml.safe_load((ROOT / "openapi.yaml").read_text())
EXAMPLES: dict[str, dict[str, Any]] = {
    name: example["value"] for name, example in DOCUMENT["components"]["examples"].items()
}
PROBLEMS = {name: value for name, value in EXAMPLES.items() if "type" in value}

# What one request is refused with.
REFUSED: dict[str, tuple[str, str, dict[str, str], bytes | None]] = {
    "invalid-user-id": ("GET", "/users/a%20b", {}, None),
    "malformed-header": ("PUT", "/users/{user}", JSON | {"If-Match": "x"}, b"{}"),
    "partial-put": ("PUT", "/users/{user}", JSON | {"Content-Range": "bytes 0-1/2"}, b"{}"),
    "malformed-json": ("PUT", "/users/{user}", JSON, b'{"name":"Ada",}'),
    "user-not-found": ("GET", "/users/{user}", {}, None),
    "method-not-allowed": ("DELETE", "/users/{user}", {}, None),
    "operation-not-found": ("GET", f"/users/{{user}}/operations/{'A' * 38}", {}, None),
    "precondition-failed": ("PUT", "/users/{user}", JSON | {"If-Match": '"x"'}, b"{}"),
    "body-too-large": ("PUT", "/users/{user}", JSON, sized(262145)),
    "unsupported-media-type": ("PUT", "/users/{user}", {"Content-Type": "text/plain"}, b"{}"),
    "unsupported-content-coding": ("PUT", "/users/{user}", JSON | {"Content-Encoding": "gzip"}, b"{}"),
    "not-an-object": ("PUT", "/users/{user}", JSON, b"[]"),
    "duplicate-member": ("PUT", "/users/{user}", JSON, b'{"name":"A","name":"B"}'),
    "too-deep": ("PUT", "/users/{user}", JSON, b'{"a":' + b"[" * 100 + b"]" * 100 + b"}"),
    "forbidden-character": ("PUT", "/users/{user}", JSON, '{"name":"\ufffe"}'.encode()),
}
SEEN_ELSEWHERE = {
    *("operation-gone", "superseded", "idempotency-key-reused", "clock-skew"),
    *("not-written", "outcome-unknown", "not-read", "not-applied"),
}


def test_every_problem_is_provoked_here() -> None:
    assert REFUSED.keys() | SEEN_ELSEWHERE == PROBLEMS.keys()


def is_example(answer: Answer, name: str) -> None:
    """The answer must be the example, under its status."""
    assert answer.headers["content-type"] == "application/problem+json", answer
    assert (answer.status, answer.json()) == (PROBLEMS[name]["status"], PROBLEMS[name]), answer


@pytest.mark.parametrize("name", REFUSED)
def test_refused(api: Api, user: str, name: str) -> None:
    method, path, headers, body = REFUSED[name]
    is_example(api.request(method, path.format(user=user), headers, body), name)


def test_operation_gone(deployment: Deployment, api: Api, user: str) -> None:
    old = receipt(deployment, user, operation_id(46 * DAY))
    is_example(api.request("GET", f"/users/{user}/operations/{old}"), "operation-gone")


def test_keys(deployment: Deployment, api: Api, user: str) -> None:
    store_claim(deployment, user, "k", b"{}", operation_id(10))
    api.put(user, b'{"v":2}')
    is_example(api.put(user, b"{}", {"Idempotency-Key": '"k"'}), "superseded")
    is_example(api.put(user, b'{"v":1}', {"Idempotency-Key": '"k"'}), "idempotency-key-reused")


@pytest.mark.parametrize("age", [5, -60], ids=["the host leads", "the host lags"])
def test_clock_skew(deployment: Deployment, user: str, age: float) -> None:
    answer = invoke(deployment, "PUT", user, fields=list(JSON.items()), body=b"{}", age=age)
    is_example(answer, "clock-skew")
    assert answer.headers["retry-after"] == "1" and deployment.user(user) is None, answer


def test_failed_calls(api: Api, user: str, proxy: Proxy) -> None:
    with proxy.failing(lambda call: dynamodb_error(400, "ThrottlingException")):
        answers = {"not-written": api.put(user, b"{}"), "not-read": api.get(user)}
    with proxy.failing(lambda call: LostReply()):
        answers["outcome-unknown"] = api.put(user, b"{}")
    for name, answer in answers.items():
        is_example(answer, name)
        assert answer.headers["retry-after"] == "1", answer


def document(deployment: Deployment, user: str, operation: str) -> dict[str, Any]:
    """The status document of an operation."""
    answer = deployment.api.request("GET", f"/users/{user}/operations/{receipt(deployment, user, operation)}")
    assert answer.status == 200, answer
    shown: dict[str, Any] = answer.json()
    return shown


def is_like(shown: dict[str, Any], name: str) -> None:
    """The status document must have the example's members and values, but for what differs each time."""
    example = EXAMPLES[name]
    assert shown.keys() == example.keys(), shown
    for member in example.keys() & {"status", "error", "provisional"}:
        assert shown[member] == example[member], shown
    assert shown["resource"] == f"/users/{shown['userId']}" and example["resource"] == f"/users/{example['userId']}"
    for one in (shown, example):
        assert one.get("etag") in (None, f'"{one["id"]}"'), one
        assert uuid.UUID(one["id"]).version == 7
        assert all(len(one[at]) == len("2026-11-22T14:27:26.140Z") for at in one.keys() & {"acceptedAt", "completedAt"})


def test_operations(deployment: Deployment, api: Api, user: str, queue: Queue) -> None:
    old = api.put(user, b'{"name":"Ada"}').headers["etag"]
    with deployment.mapping.off():
        late = api.put_later(user, b"{}")
        is_like(late.json(), "pending")
        is_like(api.status(late).json(), "pending")
        api.put(user, b"{}")
    is_like(deployment.completed(late), "operation-superseded")
    is_like(deployment.completed(api.put_later(user, b"{}", {"If-Match": old})), "failed")
    is_like(deployment.completed(api.put_later(user, b"{}")), "succeeded")
    is_like(document(deployment, user, operation_id(17 * DAY)), "expired")


def test_not_applied(deployment: Deployment, new_user: Callable[[], str]) -> None:
    """What apply sends to the dead letters."""
    user, operation = new_user(), operation_id()
    dead_letters = Queue(deployment.sqs, deployment.environment["DEAD_LETTERS_QUEUE_URL"])
    dead_letters.send("{}", {"version": "1", "operation": operation, "user": user}, user)
    until("the outcome", lambda: deployment.outcome(operation))
    shown = document(deployment, user, operation)
    is_like(shown, "provisional")
    assert shown["error"] == PROBLEMS["not-applied"]
    until("the parked message", deployment.parked.size)
    deployment.parked.delete(deployment.parked.message_of(user))


def test_the_user(api: Api, user: str) -> None:
    assert api.put(user, b'{"name":"Ada"}', {"Prefer": "return=representation"}).json() == EXAMPLES["ada"]
