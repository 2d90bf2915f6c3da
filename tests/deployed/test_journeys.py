"""One way of each kind through the API. These tests need nothing else, so `make smoke` can run
them against any deployed stack.
"""

import os
import time
from urllib.parse import unquote

import pytest

from .client import DEFERRED, JSON, Answer, Api, unsigned
from .resources import any_id, new_resource, operation_path, padded, path_of, resource_in, sample
from .service import Service, id_of, problem_in
from .smoke import Stack, Tell

pytestmark = pytest.mark.smoke


def test_now(api: Api, resource: str) -> None:
    body = padded()
    created = api.put(resource, body, {"If-None-Match": "*"})
    assert (created.status, created.body) == (201, body), created
    old = {"If-Match": created.headers["etag"]}
    assert api.get(resource).body == body
    replaced = api.put(resource, sample(2), old)
    assert (replaced.status, replaced.body) == (200, sample(2)), replaced
    etag = replaced.headers["etag"]
    refused = problem_in(api.put(resource, sample(3), old), 412, "precondition-failed")
    assert (refused["field"], refused["etag"]) == ("If-Match", etag)
    got, head = (api.request(method, path_of(resource)) for method in ("GET", "HEAD"))
    assert (got.status, got.body, got.headers["etag"]) == (200, sample(2), etag), got
    assert (head.status, head.body, head.headers["etag"]) == (200, b"", etag), head
    known = api.request("GET", path_of(resource), {"If-None-Match": f'"x", {etag}'})
    assert (known.status, known.body) == (304, b""), known
    problem_in(api.delete(resource, old), 412, "precondition-failed")
    deleted = api.delete(resource)
    assert (deleted.status, deleted.body) == (204, b""), deleted
    problem_in(api.get(resource), 404, "not-found")
    assert api.put(resource, sample(4)).status == 201


def test_later(service: Service, api: Api, resource: str) -> None:
    accepted = api.put_later(resource, padded())
    assert accepted.headers["preference-applied"] == "respond-async", accepted
    promise, status_url = accepted.json(), accepted.headers["location"]
    assert (promise["status"], promise["self"]) == ("pending", status_url), accepted
    done = service.completed(accepted)
    ended = {"status": "succeeded", "completedAt": done["completedAt"]}
    assert done == promise | ended | {"etag": f'"{promise["id"]}"'}
    got = api.request("GET", done["resource"])
    assert (got.body, got.headers["etag"]) == (padded(), done["etag"]), got
    refused = service.completed(api.put_later(resource, sample(), {"If-None-Match": "*"}))
    assert (refused["status"], refused["error"]["status"]) == ("failed", 412), refused
    deleted = service.completed(api.delete(resource, DEFERRED))
    assert deleted["status"] == "succeeded" and "etag" not in deleted, deleted
    problem_in(api.get(resource), 404, "not-found")


def test_now_or_later(api: Api, resource: str) -> None:
    """The wait is long enough."""
    answer = api.put(resource, sample(), {"Prefer": "respond-async, wait=10"})
    assert answer.status == 201 and "preference-applied" not in answer.headers, answer


def test_under_a_key(api: Api, resource: str, key: str) -> None:
    keyed = {"Idempotency-Key": f'"{key}"'}
    first, newer = api.put(resource, sample(1), keyed), api.put(resource, sample(2))
    assert (first.status, newer.status) == (201, 200), (first, newer)
    for mode in ({}, DEFERRED, {"Prefer": "respond-async, wait=3"}):
        again = api.put(resource, sample(1), keyed | mode)
        assert (again.status, id_of(again)) == (201, id_of(first)), again
    problem_in(api.put(resource, sample(3), keyed), 422, "idempotency-key-reused")
    assert api.get(resource).headers["etag"] == newer.headers["etag"]


def test_the_newest_stays_whatever_its_mode(service: Service, api: Api, resource: str) -> None:
    """Each PUT is sent after the answer to the previous one, and long before it is carried out."""
    puts = [api.put_later, api.put_later, api.put] * 3
    answers = [put(resource, sample(step)) for step, put in enumerate(puts, 1)]
    ids = [id_of(answer) for answer in answers]
    assert ids == sorted(ids)
    ends = [service.end_of(answer) for answer in answers if answer.status == 202]
    assert set(ends) <= {"succeeded", "superseded"}, ends
    got = api.get(resource)
    assert (got.body, got.headers["etag"]) == (sample(9), f'"{ids[-1]}"'), got


def test_receipts_of_others(api: Api, resource: str) -> None:
    receipt = api.put_later(resource, sample()).json()["receipt"]
    forged = receipt[:-1] + ("A" if receipt[-1] != "A" else "Q")
    for path in (operation_path(new_resource(), receipt), operation_path(resource, forged)):
        problem_in(api.request("GET", path), 404, "operation-not-found")


def names(answer: Answer, field: str) -> set[str]:
    """The names in a list field, in lower case."""
    return {name.strip().lower() for name in answer.headers[field].split(",")}


def test_a_preflight_request(service: Service, resource: str) -> None:
    """MiniStack answers it before it looks at routes, so this tests only the setting."""
    asked = "authorization,content-type,idempotency-key,if-match,if-none-match,prefer,"
    asked += "x-amz-content-sha256,x-amz-date,x-amz-security-token"
    headers = {"Origin": service.origin, "Access-Control-Request-Method": "PUT"}
    headers["Access-Control-Request-Headers"] = asked
    # A browser sends it without credentials.
    answer = service.api.seen_by(unsigned).request("OPTIONS", path_of(resource), headers)
    assert answer.status in (200, 204), answer
    assert answer.headers["access-control-allow-origin"] == service.origin, answer
    assert names(answer, "access-control-allow-methods") == {"get", "head", "put", "delete"}
    assert names(answer, "access-control-allow-headers") >= set(asked.split(",")), answer


def test_what_a_web_page_may_read(service: Service, api: Api, resource: str) -> None:
    page, other = {"Origin": service.origin}, {"Origin": "https://other.invalid"}
    always = {"content-type", "cache-control", "content-length"}
    always |= {"date", "server", "connection", "vary"}  # from the gateway
    for answer in (
        api.put(resource, sample(), page),
        api.put(resource, sample(), page | DEFERRED),
        api.request("GET", path_of(resource), page),
    ):
        assert answer.headers["access-control-allow-origin"] == service.origin, answer
        of_cors = ("access-control-", "x-amz")
        ours = {name for name in answer.headers if not name.startswith(of_cors)}
        assert ours - always <= names(answer, "access-control-expose-headers"), answer
    answer = api.request("GET", path_of(resource), other)
    assert answer.headers.get("access-control-allow-origin") not in ("*", *other.values()), answer


# `make smoke` reports at its end what depends on AWS itself; the tests do not assume it.


def test_unsigned_requests_are_refused(service: Service, resource: str) -> None:
    """A stack with AuthMode none, as in the other tests, is open to all; see test_access.py."""
    is_closed = isinstance(service, Stack) and service.parameters["AuthMode"] != "none"
    api = service.api.seen_by(unsigned)
    for path in (path_of(resource), operation_path(resource)):
        for method in ("GET", "HEAD", "PUT", "POST", "PATCH", "DELETE"):
            status = api.request(method, path, JSON, sample() if method == "PUT" else None).status
            assert (status in (401, 403)) == is_closed, (method, path, status)


@any_id
@pytest.mark.parametrize("part", ["%3F", "%23", "%25", "%252F", "+", "%2B", "/"])
def test_ids_in_paths(service: Service, resource: str, tell: Tell, part: str) -> None:
    """The function sees the id that the client meant, or the PUT is refused: no gateway may change
    the id. The slash is at the end.
    """
    sent = f"{resource}{part}" if part == "/" else f"{resource}{part}v2"
    answer = service.api.put(sent, sample(), DEFERRED)
    seen = None
    if answer.status == 202:
        seen = resource_in(answer.headers["location"].partition("/operations/")[0])
        service.end_of(answer)
        service.api.delete(sent)
    problem = answer.headers.get("content-type") == "application/problem+json"
    refused = f"refused by the {'function' if problem else 'gateway'}"
    what = f"the function saw the id {seen.replace(resource, 'ID')!r}" if seen else refused
    as_assumed = seen in (None, unquote(sent)) and answer.status < 500
    tell(f"{sent.replace(resource, 'ID')} in a path: {answer.status}, {what}", as_assumed)


def test_a_body_that_is_not_utf_8(service: Service, resource: str, tell: Tell) -> None:
    """It is refused, or stored unchanged."""
    body = b'{"name":"Ren\xe9"}'
    answer = service.api.put(resource, body)
    tell(f"a body that is not UTF-8: {answer.status}", answer.status in (200, 201, 400))
    if answer.status < 400:
        assert service.api.get(resource).body == body
    else:
        problem_in(answer, 400, "malformed-json")
        assert service.api.get(resource).status == 404


def test_head_and_options(service: Service, resource: str, tell: Tell) -> None:
    service.api.put(resource, sample())
    path = path_of(resource)
    got, head = (service.api.request(method, path).headers for method in ("GET", "HEAD"))
    length = head.get("content-length", "none")
    tell(f"Content-Length of HEAD: {length}", length in ("none", got["content-length"]))
    preflight = {"Origin": service.origin, "Access-Control-Request-Method": "PUT"}
    for what, headers in (("a preflight", preflight), ("OPTIONS without Origin", JSON)):
        answer = service.api.seen_by(unsigned).request("OPTIONS", path, headers)
        has_fields = any(name.startswith("access-control-") for name in answer.headers)
        tell(f"{what}, unsigned: {answer.status}", has_fields == ("Origin" in headers))


def test_the_first_answer_after_a_while(service: Service, resource: str, tell: Tell) -> None:
    """A function wakes up with connections that died meanwhile. IDLE=0 skips this test."""
    idle = int(os.environ.get("IDLE") or 0)
    if not isinstance(service, Stack) or idle == 0:
        return
    service.api.put(resource, sample())
    time.sleep(idle)
    started = time.monotonic()
    first = service.api.put(resource, sample(2))
    took = f"{(time.monotonic() - started) * 1000:.0f} ms"
    told = f"the first PUT after {idle} s without any: {first.status} in {took}"
    tell(told, first.status == 200)
