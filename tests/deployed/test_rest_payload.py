"""Payloads of a REST API (format 1.0) get the answers that those of an HTTP API (2.0) get.

MiniStack has the HTTP API of the template; a REST API's payloads are handed to the
deployed functions as API Gateway would.
"""

from __future__ import annotations

from urllib.parse import quote

import pytest

from .answers import id_of, problem_in, told
from .bodies import padded, sample
from .client import JSON, Answer, Api
from .deployment import Deployment
from .queues import Queue
from .resources import RECEIPT, any_id, new_resource, operation_path, path_of, spelled
from .rest_api import Fields, invoke

JSON_FIELDS = tuple(JSON.items())
NAMING = ("etag", "location", "content-location", "last-modified")
OF_THE_GATEWAY = {
    "content-type",
    "content-length",
    "date",
    "apigw-requestid",
    "server",
    "connection",
}


def same(rest: Answer, http: Answer, *, with_body: bool = True) -> None:
    """Both must say the same, but for what the gateway adds and what names the operation."""
    assert rest.status == http.status, (rest, http)
    if with_body:
        assert told(rest) == told(http), (rest, http)
    added = {name for name in http.headers if name not in rest.headers} - {"etag", "location"}
    assert added <= OF_THE_GATEWAY, added
    varying = {*NAMING, "date", "apigw-requestid", "content-length"}
    for name in {*rest.headers, *http.headers} - added - varying:
        assert rest.headers.get(name) == http.headers.get(name), (name, rest, http)
    for name in NAMING:
        assert (name in rest.headers) == (name in http.headers), (name, rest, http)


def test_a_put_and_a_get(deployment: Deployment, api: Api, resource: str) -> None:
    body, other = padded(), new_resource()
    for _ in range(2):
        rest = invoke(deployment, "PUT", resource, fields=JSON_FIELDS, body=body)
        same(rest, api.put(other, body))
    assert deployment.body_of(resource).encode() == body
    for method in ("GET", "HEAD"):
        same(invoke(deployment, method, resource), api.request(method, path_of(other)))
    matched = [("If-None-Match", '"x"'), ("If-None-Match", rest.headers["etag"])]
    assert invoke(deployment, "GET", resource, fields=matched).status == 304
    same(invoke(deployment, "DELETE", resource), api.delete(other))


@any_id
@pytest.mark.parametrize("plain", ['x"<{', "~!$&'()*+,;=:@"])
def test_a_percent_encoded_id(deployment: Deployment, api: Api, resource: str, plain: str) -> None:
    """A REST API hands it over as it was sent, an HTTP API decodes it."""
    segment = quote(resource + plain, safe="")
    put = invoke(deployment, "PUT", segment, fields=JSON_FIELDS, body=sample(1))
    assert put.status == 201, put
    assert deployment.resource(resource + plain) is not None
    assert api.get(segment).headers["etag"] == put.headers["etag"]
    same(invoke(deployment, "GET", segment), api.get(segment))


def test_a_deferred_put_and_its_operation(
    deployment: Deployment, api: Api, resource: str, queue: Queue
) -> None:
    fields = [*JSON_FIELDS, ("Prefer", "respond-async"), ("Prefer", "return=minimal")]
    other = new_resource()
    with deployment.mapping.off():
        rest = invoke(deployment, "PUT", resource, fields=fields, body=sample(1))
        http = api.request("PUT", path_of(other), fields, sample(1))
        same(rest, http, with_body=False)
        location = rest.headers["location"]
        assert location == rest.headers["content-location"]
        before, _, receipt = location.rpartition("/")
        # The stage stands in the path, as the client must send it.
        assert before == f"/prod{path_of(resource)}/operations", rest
        document = rest.json()
        named = document["resource"], document["self"]
        assert named == (f"/prod{path_of(resource)}", location), rest
        assert document["status"] == "pending"
        pending = invoke(deployment, "GET", resource, receipt)
        assert pending.json() == document
        same(pending, api.status(http), with_body=False)
    queue.is_empty_after("the updates")
    done, over_http = invoke(deployment, "GET", resource, receipt), api.status(http)
    same(done, over_http, with_body=False)
    assert done.json()["status"] == over_http.json()["status"] == "succeeded"
    assert done.json().keys() == over_http.json().keys()
    head = invoke(deployment, "HEAD", resource, receipt)
    same(head, api.request("HEAD", http.headers["location"]))


def test_repeated_fields(deployment: Deployment, api: Api, resource: str) -> None:
    """The last value stands in `headers` alone; the first preference of a name counts."""
    preferences = [("Prefer", "return=minimal"), ("Prefer", "return=representation")]
    fields = [*JSON_FIELDS, *preferences, ("Prefer", "foo")]
    rest = invoke(deployment, "PUT", resource, fields=fields, body=sample())
    same(rest, api.request("PUT", path_of(new_resource()), fields, sample()))
    assert rest.headers["preference-applied"] == "return=minimal"
    matching = [*JSON_FIELDS, ("If-Match", rest.headers["etag"]), ("If-Match", '"x"')]
    answer = invoke(deployment, "PUT", resource, fields=matching, body=sample())
    assert answer.status == 200, answer


def test_an_idempotency_key_is_the_same_through_both(
    deployment: Deployment, api: Api, resource: str
) -> None:
    fields = [*JSON_FIELDS, ("Idempotency-Key", '"k"')]
    rest = invoke(deployment, "PUT", resource, fields=fields, body=sample())
    http = api.request("PUT", path_of(resource), fields, sample())
    same(rest, http)
    assert id_of(rest) == id_of(http)


@pytest.mark.parametrize(
    ("method", "last", "receipt", "fields", "body"),
    [
        ("PUT", "a%25b", "", JSON_FIELDS, sample()),
        ("PUT", "", "", JSON_FIELDS, b"["),
        ("PUT", "", "", (*JSON_FIELDS, ("If-Match", '"x"')), sample()),
        ("GET", "", "", (), None),
        ("GET", "", RECEIPT, (), None),
        ("DELETE", "", RECEIPT, (), None),
    ],
)
def test_refusals(
    deployment: Deployment,
    api: Api,
    resource: str,
    method: str,
    last: str,
    receipt: str,
    fields: Fields,
    body: bytes | None,
) -> None:
    resource = spelled(resource, last) if last else resource
    path = operation_path(resource, receipt) if receipt else path_of(resource)
    rest = invoke(deployment, method, resource, receipt, fields, body)
    assert rest.status >= 400
    same(rest, api.request(method, path, fields, body))


def test_what_the_body_may_not_be(deployment: Deployment, api: Api, resource: str) -> None:
    """Base64 hands bytes that are not UTF-8 over as they are."""
    rest = invoke(deployment, "PUT", resource, fields=JSON_FIELDS, body=b'{"a":"\xff"}')
    assert problem_in(rest, 400, "malformed-json")["column"] == 7
    fields = [*JSON_FIELDS, ("Content-Length", "3")]
    rest = invoke(deployment, "PUT", resource, fields=fields, body=sample())
    problem_in(rest, 400, "malformed-json")
