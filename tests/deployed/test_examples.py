"""Every example of openapi.yaml is an answer of the service."""

from collections.abc import Callable
from typing import Any

import pytest
import yaml

from .client import JSON, Answer, Api
from .deployment import Deployment
from .proxy import Proxy, lost, throttled
from .queues import Queue
from .resources import (
    MAX_BYTES,
    ROOT,
    operation_path,
    padded,
    path_of,
    sample,
    spelled,
)
from .service import problem_in

DOCUMENT = yaml.safe_load((ROOT / "docs" / "openapi.yaml").read_text())
EXAMPLES: dict[str, dict[str, Any]] = {
    name: example["value"] for name, example in DOCUMENT["components"]["examples"].items()
}
PROBLEMS = {name: value for name, value in EXAMPLES.items() if "type" in value}

# The path of the request: the test's resource, one of its operations, or a bad id.
RESOURCE, OPERATION, BAD_ID = path_of, operation_path, lambda it: path_of(spelled(it, "a%20b"))

# The requests for each problem that needs only one.
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


def is_example(answer: Answer, name: str, **other: str) -> None:
    """The answer must be the example, except for these other members."""
    shown = PROBLEMS[name]
    assert problem_in(answer, shown["status"], name) == shown | other, answer


@pytest.mark.smoke
@pytest.mark.parametrize("name", REFUSED)
def test_refused(api: Api, resource: str, name: str) -> None:
    method, path_of_it, headers, body = REFUSED[name]
    is_example(api.request(method, path_of_it(resource), headers, body), name)


def test_refused_for_what_is_stored(deployment: Deployment, api: Api, resource: str) -> None:
    keyed = {"Idempotency-Key": '"k"'}
    assert api.put(resource, sample(), keyed).status == 201
    is_example(api.put(resource, sample(2), keyed), "idempotency-key-reused")
    newer = {"S": "02a203a7-9d3c-7000-8729-84ba93408eb7"}
    item = {"id": {"S": resource}, "body": {"S": "{}"}, "op": newer, "created_by": newer}
    table = deployment.environment["RESOURCES_TABLE"]
    deployment.client("dynamodb").put_item(TableName=table, Item=item)
    is_example(api.put(resource, sample()), "superseded")


def test_refused_for_its_time(deployment: Deployment) -> None:
    """The arrival in a sample event is long past."""
    answer = deployment.invoke("PUT", ROOT / "events" / "put-inline.json")
    headers = {name.lower(): value for name, value in answer["headers"].items()}
    is_example(Answer(answer["statusCode"], headers, answer["body"].encode(), ""), "clock-skew")


def test_failed_calls(api: Api, resource: str, proxy: Proxy) -> None:
    with proxy.treats("DynamoDB", [throttled] * 99):
        is_example(api.put(resource, sample()), "not-written")
        is_example(api.get(resource), "not-read")
    with proxy.treats("DynamoDB.UpdateItem", [lost] * 99):
        is_example(api.put(resource, sample()), "outcome-unknown")


def test_refused_for_what_was_decided(
    deployment: Deployment, api: Api, resource: str, queue: Queue
) -> None:
    done = api.put_later(resource, sample())
    assert deployment.end_of(done) == "succeeded"
    is_example(api.cancel(done), "already-decided", self=done.headers["location"])
    with deployment.paused():
        keyed = {"Idempotency-Key": "k"}
        assert api.cancel(api.put_later(resource, sample(), keyed)).status == 200
        is_example(api.put(resource, sample(), keyed), "cancelled")
