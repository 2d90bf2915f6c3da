"""Every example of openapi.yaml is what the service answers; what is refused leaves nothing."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from .answers import problem_in, told
from .bodies import MAX_BYTES, padded, sample
from .client import DEFERRED, JSON, Answer, Api
from .deployment import ROOT, Deployment
from .operations import (
    DAY,
    operation_id,
    receipt,
    store_claim,
    store_stalled,
    store_version,
)
from .proxy import LOSES_REPLY, THROTTLED, Proxy
from .queues import Queue
from .resources import PATH, operation_path, path_of, resource_in, spelled
from .rest_api import invoke
from .service import Service

DOCUMENT = yaml.safe_load((ROOT / "docs" / "openapi.yaml").read_text())
EXAMPLES: dict[str, dict[str, Any]] = {
    name: example["value"] for name, example in DOCUMENT["components"]["examples"].items()
}
NOT_APPLIED = EXAMPLES["stalled"]["error"]
PROBLEMS = {name: value for name, value in EXAMPLES.items() if "type" in value}

# The path of the request: of the test's resource, of one of its operations, of no id.
RESOURCE, OPERATION, BAD_ID = path_of, operation_path, lambda it: path_of(spelled(it, "a%20b"))

# What one request is refused with. One with a body is refused alike in both modes.
REFUSED: dict[str, tuple[str, Callable[[str], str], dict[str, str], bytes | None]] = {
    "invalid-id": ("GET", BAD_ID, {}, None),
    "malformed-request": ("DELETE", RESOURCE, {}, b"{}"),
    "malformed-header": ("PUT", RESOURCE, JSON | {"If-Match": "x"}, sample()),
    "partial-put": ("PUT", RESOURCE, JSON | {"Content-Range": "bytes 0-1/2"}, sample()),
    "malformed-json": ("PUT", RESOURCE, JSON, b'{"name":"Ada",}'),
    "not-found": ("GET", RESOURCE, {}, None),
    "method-not-allowed": ("POST", RESOURCE, {}, None),
    "operation-not-found": ("GET", OPERATION, {}, None),
    "precondition-failed": ("PUT", RESOURCE, JSON | {"If-Match": '"x"'}, sample()),
    "body-too-large": ("PUT", RESOURCE, JSON, padded(MAX_BYTES + 1)),
    "unsupported-media-type": ("PUT", RESOURCE, {"Content-Type": "text/plain"}, sample()),
    "unsupported-content-coding": ("PUT", RESOURCE, JSON | {"Content-Encoding": "gzip"}, sample()),
    "invalid-body": ("PUT", RESOURCE, JSON, b"[]"),
    "duplicate-member": ("PUT", RESOURCE, JSON, b'{"name":"A","name":"B"}'),
    "too-deep": ("PUT", RESOURCE, JSON, b'{"a":' + b"[" * 100 + b"]" * 100 + b"}"),
    "forbidden-character": ("PUT", RESOURCE, JSON, '{"name":"\ufffe"}'.encode()),
}
# What an update would refuse.
BY_NO_REQUEST = {"refused"}
# The stack of these tests answers everyone.
IN_ANOTHER_MODE = {"forbidden"}
SEEN_BELOW = {
    *("operation-gone", "superseded", "idempotency-key-reused", "clock-skew"),
    *("cancelled", "already-decided"),
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


def in_both_modes(
    api: Api, path: str, headers: dict[str, str], body: bytes, method: str = "PUT"
) -> Answer:
    """The answer to a request, which must be the same in both modes."""
    inline = api.request(method, path, headers, body)
    deferred = api.request(method, path, headers | DEFERRED, body)
    assert (inline.status, told(inline)) == (deferred.status, told(deferred)), (inline, deferred)
    varying = dict.fromkeys(("apigw-requestid", "date"))
    assert dict(inline.headers) | varying == dict(deferred.headers) | varying
    assert not {"location", "etag", "preference-applied", "retry-after"} & set(inline.headers)
    return inline


@pytest.mark.smoke
@pytest.mark.parametrize("name", REFUSED)
def test_refused(api: Api, resource: str, name: str, leaves_nothing: None) -> None:
    method, path_of_it, headers, body = REFUSED[name]
    if body is None:
        is_example(api.request(method, path_of_it(resource), headers), name)
    else:
        is_example(in_both_modes(api, path_of_it(resource), headers, body, method), name)


@pytest.mark.smoke
@pytest.mark.parametrize(
    ("headers", "kind"),
    [
        ({"If-Unmodified-Since": "Sat, 01 Jan 2000 00:00:00 GMT"}, "malformed-header"),
        ({"If-None-Match": '"a"'}, "malformed-header"),
        ({"Idempotency-Key": '"k'}, "malformed-header"),
    ],
    ids=str,
)
def test_other_fields_that_are_refused(
    api: Api, resource: str, headers: dict[str, str], kind: str, leaves_nothing: None
) -> None:
    answer = in_both_modes(api, path_of(resource), JSON | headers, sample())
    assert problem_in(answer, 400, kind)["field"] == next(iter(headers))


def test_a_slash_in_an_id(api: Api, resource: str, leaves_nothing: None) -> None:
    """An HTTP API decodes %2F before it looks for a route, and finds none; a function says 400."""
    assert in_both_modes(api, path_of(spelled(resource, "a%2Fb")), JSON, sample()).status in (
        400,
        404,
    )


def test_a_body_that_is_not_utf_8(api: Api, resource: str, leaves_nothing: None) -> None:
    """The gateway hands it over as text with U+FFFD in it, so that its length is another."""
    answer = in_both_modes(api, path_of(resource), JSON, b'{"name":"Ren\xe9"}')
    document = problem_in(answer, 400, "malformed-json")
    assert "UTF-8" in document["detail"], document


def test_a_newer_put(deployment: Deployment, api: Api, resource: str) -> None:
    store_version(deployment, resource, 30)
    is_example(api.put(resource, sample()), "superseded")


def test_keys(deployment: Deployment, api: Api, resource: str) -> None:
    store_claim(deployment, resource, "k", sample(), operation_id(10))
    is_example(api.put(resource, sample(1), {"Idempotency-Key": '"k"'}), "idempotency-key-reused")


@pytest.mark.parametrize("age", [-40, 310], ids=["the host lags", "the host leads"])
def test_clock_skew(deployment: Deployment, api: Api, resource: str, age: float) -> None:
    """Far less of it is a slow request, and taken."""
    fields = list(JSON.items())
    answer = invoke(deployment, "PUT", resource, fields=fields, body=sample(), age=age)
    is_example(answer, "clock-skew")
    assert answer.headers["retry-after"] == "1" and deployment.resource(resource) is None, answer
    answer = invoke(
        deployment, "PUT", resource, fields=list(JSON.items()), body=sample(), age=age * 0.7
    )
    assert answer.status == 201, answer


def test_failed_calls(api: Api, resource: str, proxy: Proxy) -> None:
    with proxy.failing("DynamoDB", THROTTLED):
        answers = {"not-written": api.put(resource, sample()), "not-read": api.get(resource)}
    with proxy.failing("DynamoDB.UpdateItem", LOSES_REPLY):
        answers["outcome-unknown"] = api.put(resource, sample())
    for name, answer in answers.items():
        is_example(answer, name)
        assert answer.headers["retry-after"] == "1", answer


def status(api: Api, deployment: Deployment, resource: str, operation: str) -> Answer:
    """The answer of an operation's status URL."""
    made = receipt(deployment, resource, operation)
    return api.request("GET", operation_path(resource, made))


def is_like(shown: dict[str, Any], name: str) -> None:
    """The status document must be as the example, but for what differs each time."""
    example = EXAMPLES[name]
    assert shown.keys() == example.keys(), shown
    assert shown["status"] == example["status"], shown
    if "error" in example:
        varying = dict.fromkeys(example["error"].keys() & {"etag"})
        assert shown["error"] | varying == example["error"] | varying, shown
    for one in (shown, example):
        assert resource_in(one["resource"]) is not None, one
        assert one["self"] == f"{one['resource']}/operations/{one['receipt']}", one
        assert one.get("etag") in (None, f'"{one["id"]}"'), one
        assert uuid.UUID(one["id"]).version == 7
        for at in one.keys() & {"acceptedAt", "completedAt"}:
            assert len(one[at]) == len("2026-11-22T14:27:26.140Z"), one


def test_operations(deployment: Deployment, api: Api, resource: str, queue: Queue) -> None:
    old = api.put(resource, sample()).headers["etag"]
    with deployment.mapping.off():
        late = api.put_later(resource, sample())
        is_like(late.json(), "pending")
        is_like(api.status(late).json(), "pending")
        api.put(resource, sample())
    is_like(deployment.completed(late), "operation-superseded")
    is_like(deployment.completed(api.put_later(resource, sample(), {"If-Match": old})), "failed")
    done = api.put_later(resource, sample())
    is_like(deployment.completed(done), "succeeded")
    answer = api.cancel(done)
    shown = PROBLEMS["already-decided"] | {"self": done.headers["location"]}
    assert (answer.status, told(answer)) == (409, shown), answer
    with deployment.mapping.off():
        keyed = {"Idempotency-Key": "k"}
        is_like(api.cancel(api.put_later(resource, sample(), keyed)).json(), "operation-cancelled")
        is_example(api.put(resource, sample(), keyed), "cancelled")
    is_like(status(api, deployment, resource, operation_id(33 * DAY)).json(), "expired")
    is_example(status(api, deployment, resource, operation_id(45 * DAY)), "operation-gone")
    stalled = operation_id(60)
    store_stalled(deployment, resource, stalled)
    is_like(
        status(api, deployment, resource, stalled).json() | {"error": NOT_APPLIED},
        "stalled",
    )


@pytest.mark.smoke
def test_the_examples_of_a_body(api: Api, resource: str) -> None:
    put = DOCUMENT["paths"][PATH]["put"]["requestBody"]["content"]["application/json"]
    for reference in put["examples"].values():
        name = reference["$ref"].rpartition("/")[2]
        example = json.dumps(EXAMPLES[name]).encode()
        assert api.put(resource, example, {"Prefer": "return=representation"}).body == example


def test_what_the_gateway_answers_by_itself(api: Api, resource: str) -> None:
    """Another form than the functions'. (MiniStack has a form of its own for crashes.)"""
    answer = api.request("GET", f"{path_of(resource)}/a/b")
    assert (answer.status, answer.json().keys()) == (404, {"message"}), answer
    assert answer.headers["content-type"] == "application/json", answer
