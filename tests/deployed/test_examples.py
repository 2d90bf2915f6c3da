"""Every example of openapi.yaml is what the service answers; what is refused leaves nothing."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
import yaml

from .answers import problem_in, told
from .bodies import MAX_BYTES, padded, sample, sample_text
from .client import DEFERRED, JSON, Answer, Api
from .deployment import ROOT, Deployment
from .operations import DAY, operation_id, receipt, store_claim, store_stalled
from .proxy import LOSES_REPLY, THROTTLED, Proxy
from .queues import Queue
from .rest_api import invoke
from .service import Service

DOCUMENT = yaml.safe_load((ROOT / "openapi.yaml").read_text())
EXAMPLES: dict[str, dict[str, Any]] = {
    name: example["value"] for name, example in DOCUMENT["components"]["examples"].items()
}
NOT_APPLIED = EXAMPLES["stalled"]["error"]
PROBLEMS = {name: value for name, value in EXAMPLES.items() if "type" in value}
USER, OPERATION = "/users/{user}", f"/users/{{user}}/operations/{'A' * 38}"

# What one request is refused with. Those with a body are PUTs, refused alike in both modes.
REFUSED: dict[str, tuple[str, str, dict[str, str], bytes | None]] = {
    "invalid-id": ("GET", "/users/a%20b", {}, None),
    "malformed-header": ("PUT", USER, JSON | {"If-Match": "x"}, sample()),
    "partial-put": ("PUT", USER, JSON | {"Content-Range": "bytes 0-1/2"}, sample()),
    "malformed-json": ("PUT", USER, JSON, b'{"name":"Ada",}'),
    "not-found": ("GET", USER, {}, None),
    "method-not-allowed": ("DELETE", USER, {}, None),
    "operation-not-found": ("GET", OPERATION, {}, None),
    "precondition-failed": ("PUT", USER, JSON | {"If-Match": '"x"'}, sample()),
    "body-too-large": ("PUT", USER, JSON, padded(MAX_BYTES + 1)),
    "unsupported-media-type": ("PUT", USER, {"Content-Type": "text/plain"}, sample()),
    "unsupported-content-coding": ("PUT", USER, JSON | {"Content-Encoding": "gzip"}, sample()),
    "invalid-body": ("PUT", USER, JSON, b"[]"),
    "duplicate-member": ("PUT", USER, JSON, b'{"name":"A","name":"B"}'),
    "too-deep": ("PUT", USER, JSON, b'{"a":' + b"[" * 100 + b"]" * 100 + b"}"),
    "forbidden-character": ("PUT", USER, JSON, '{"name":"\ufffe"}'.encode()),
}
# What an adopter's slow step would refuse; there is none.
BY_NO_REQUEST = {"refused"}
# The stack of these tests answers everyone.
IN_ANOTHER_MODE = {"forbidden"}
SEEN_BELOW = {
    *("operation-gone", "superseded", "order-unknown", "idempotency-key-reused", "clock-skew"),
    *("not-written", "outcome-unknown", "not-read"),
}


def test_every_problem_is_provoked_here() -> None:
    provoked = REFUSED.keys() | SEEN_BELOW | IN_ANOTHER_MODE
    assert provoked | BY_NO_REQUEST == PROBLEMS.keys() | BY_NO_REQUEST


def is_example(answer: Answer, name: str) -> None:
    """The answer must be the example, under its status."""
    assert answer.headers["content-type"] == "application/problem+json", answer
    assert (answer.status, told(answer)) == (PROBLEMS[name]["status"], PROBLEMS[name]), answer


@pytest.fixture
def leaves_nothing(service: Service, settled: None) -> Any:
    """The test leaves nothing in the tables and the queue, as far as those are the tests' own."""
    if not isinstance(service, Deployment):
        yield
        return
    with service.mapping.off():
        before = service.footprint()
        yield
        assert service.footprint() == before


def in_both_modes(api: Api, path: str, headers: dict[str, str], body: bytes) -> Answer:
    """The answer to a PUT, which must be the same in both modes."""
    inline = api.request("PUT", path, headers, body)
    deferred = api.request("PUT", path, headers | DEFERRED, body)
    assert (inline.status, told(inline)) == (deferred.status, told(deferred)), (inline, deferred)
    varying = dict.fromkeys(("apigw-requestid", "date"))
    assert dict(inline.headers) | varying == dict(deferred.headers) | varying
    assert not {"location", "etag", "preference-applied", "retry-after"} & set(inline.headers)
    return inline


@pytest.mark.smoke
@pytest.mark.parametrize("name", REFUSED)
def test_refused(api: Api, user: str, name: str, leaves_nothing: None) -> None:
    method, path, headers, body = REFUSED[name]
    if body is None:
        is_example(api.request(method, path.format(user=user), headers), name)
    else:
        is_example(in_both_modes(api, path.format(user=user), headers, body), name)


@pytest.mark.smoke
@pytest.mark.parametrize(
    ("headers", "kind"),
    [
        ({"If-Unmodified-Since": "Sat, 01 Jan 2000 00:00:00 GMT"}, "malformed-header"),
        ({"If-None-Match": '"a"'}, "malformed-header"),
        ({"Idempotency-Key": "k"}, "malformed-header"),
    ],
    ids=str,
)
def test_other_fields_that_are_refused(
    api: Api, user: str, headers: dict[str, str], kind: str, leaves_nothing: None
) -> None:
    answer = in_both_modes(api, f"/users/{user}", JSON | headers, sample())
    assert problem_in(answer, 400, kind)["field"] == next(iter(headers))


def test_a_slash_in_an_id(api: Api, leaves_nothing: None) -> None:
    """An HTTP API decodes %2F before it looks for a route, and finds none; a function says 400."""
    assert in_both_modes(api, "/users/a%2Fb", JSON, sample()).status in (400, 404)


def test_a_body_that_is_not_utf_8(api: Api, user: str, leaves_nothing: None) -> None:
    """The gateway hands it over as text with U+FFFD in it, so that its length is another."""
    answer = in_both_modes(api, f"/users/{user}", JSON, b'{"name":"Ren\xe9"}')
    document = problem_in(answer, 400, "malformed-json")
    assert "UTF-8" in document["detail"], document


def test_keys(deployment: Deployment, api: Api, user: str) -> None:
    store_claim(deployment, user, "k", sample(), operation_id(10))
    api.put(user, sample(2))
    is_example(api.put(user, sample(), {"Idempotency-Key": '"k"'}), "superseded")
    is_example(api.put(user, sample(1), {"Idempotency-Key": '"k"'}), "idempotency-key-reused")


def test_an_order_that_is_not_known(deployment: Deployment, api: Api, user: str, key: str) -> None:
    ahead = operation_id(-30)
    item = {"id": user, "op": ahead, "created_by": ahead, "body": sample_text()}
    deployment.put_item("RESOURCES_TABLE", {name: {"S": value} for name, value in item.items()})
    is_example(api.put(user, sample(), {"Idempotency-Key": f'"{key}"'}), "order-unknown")


@pytest.mark.parametrize("age", [-40, 310], ids=["the host lags", "the host leads"])
def test_clock_skew(deployment: Deployment, api: Api, user: str, age: float) -> None:
    """Far less of it is a slow request, and taken."""
    fields = list(JSON.items())
    answer = invoke(deployment, "PUT", user, fields=fields, body=sample(), age=age)
    is_example(answer, "clock-skew")
    assert answer.headers["retry-after"] == "1" and deployment.user(user) is None, answer
    answer = invoke(
        deployment, "PUT", user, fields=list(JSON.items()), body=sample(), age=age * 0.7
    )
    assert answer.status == 201, answer


def test_failed_calls(api: Api, user: str, proxy: Proxy) -> None:
    with proxy.failing("DynamoDB", THROTTLED):
        answers = {"not-written": api.put(user, sample()), "not-read": api.get(user)}
    with proxy.failing("DynamoDB", LOSES_REPLY):
        answers["outcome-unknown"] = api.put(user, sample())
    for name, answer in answers.items():
        is_example(answer, name)
        assert answer.headers["retry-after"] == "1", answer


def status(api: Api, deployment: Deployment, user: str, operation: str) -> Answer:
    """The answer of an operation's status URL."""
    made = receipt(deployment, user, operation)
    return api.request("GET", f"/users/{user}/operations/{made}")


def is_like(shown: dict[str, Any], name: str) -> None:
    """The status document must be as the example, but for what differs each time."""
    example = EXAMPLES[name]
    assert shown.keys() == example.keys(), shown
    assert shown["status"] == example["status"], shown
    if "error" in example:
        varying = dict.fromkeys(example["error"].keys() & {"etag"})
        assert shown["error"] | varying == example["error"] | varying, shown
    for one in (shown, example):
        assert one["resource"] == f"/users/{one['userId']}", one
        assert one["self"] == f"{one['resource']}/operations/{one['receipt']}", one
        assert one.get("etag") in (None, f'"{one["id"]}"'), one
        assert uuid.UUID(one["id"]).version == 7
        for at in one.keys() & {"acceptedAt", "completedAt"}:
            assert len(one[at]) == len("2026-11-22T14:27:26.140Z"), one


def test_operations(deployment: Deployment, api: Api, user: str, queue: Queue) -> None:
    old = api.put(user, sample()).headers["etag"]
    with deployment.mapping.off():
        late = api.put_later(user, sample())
        is_like(late.json(), "pending")
        is_like(api.status(late).json(), "pending")
        api.put(user, sample())
    is_like(deployment.completed(late), "operation-superseded")
    is_like(deployment.completed(api.put_later(user, sample(), {"If-Match": old})), "failed")
    is_like(deployment.completed(api.put_later(user, sample())), "succeeded")
    is_like(status(api, deployment, user, operation_id(33 * DAY)).json(), "expired")
    is_example(status(api, deployment, user, operation_id(45 * DAY)), "operation-gone")
    stalled = operation_id(60)
    store_stalled(deployment, user, stalled)
    is_like(
        status(api, deployment, user, stalled).json() | {"error": NOT_APPLIED},
        "stalled",
    )


@pytest.mark.smoke
def test_the_user(api: Api, user: str) -> None:
    example = json.dumps(EXAMPLES["ada"]).encode()
    assert api.put(user, example, {"Prefer": "return=representation"}).body == example


def test_what_the_gateway_answers_by_itself(api: Api, user: str) -> None:
    """Another form than the functions'. (MiniStack has a form of its own for crashes.)"""
    answer = api.request("GET", f"/users/{user}/a/b")
    assert (answer.status, answer.json().keys()) == (404, {"message"}), answer
    assert answer.headers["content-type"] == "application/json", answer
