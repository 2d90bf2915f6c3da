"""Requests that are refused: the same in both modes, and before anything is sent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from bodies import MAX_BYTES, sized
from client import DEFERRED, JSON, Answer, Api
from deployment import Deployment
from problems import problem_in


@pytest.fixture(scope="module", autouse=True)
def nothing_is_sent(deployment: Deployment) -> Iterator[None]:
    """None of the requests of this file leaves anything in the tables or the queue."""
    deployment.queue.purge()
    with deployment.mapping.off():
        before = deployment.footprint()
        yield
        assert deployment.footprint() == before


def in_both_modes(deployment: Deployment, segment: str, headers: dict[str, str], body: bytes) -> Answer:
    """The answer to a PUT, which must be the same in both modes and leave nothing behind."""
    before = deployment.footprint()
    inline, deferred = (
        deployment.api.request("PUT", f"/users/{segment}", headers | mode, body) for mode in ({}, DEFERRED)
    )
    assert (inline.status, inline.body) == (deferred.status, deferred.body), (inline, deferred)
    varying = dict.fromkeys(("apigw-requestid", "date"))
    assert dict(inline.headers) | varying == dict(deferred.headers) | varying
    assert not {"location", "etag", "preference-applied", "retry-after"} & set(inline.headers), inline
    assert deployment.footprint() == before, inline
    return inline


@pytest.mark.parametrize(
    ("segment", "named"),
    [
        ("a%20b", "' '"),
        ("a%25b", "'%'"),
        ("a%2520b", "'%'"),
        ("caf%C3%A9", "'é'"),
        ("%F0%9F%98%80", "'😀'"),
        ("a%0Ab", r"'\n'"),
        ("a%00b", r"'\0'"),
        ("a%7Fb", r"'\u{7f}'"),
        ("%2E", '"."'),
        ("%2E%2E", '".."'),
        ("x" * 129, "129"),
    ],
)
def test_ids(deployment: Deployment, api: Api, segment: str, named: str) -> None:
    document = problem_in(in_both_modes(deployment, segment, JSON, b"{}"), 400, "invalid-user-id")
    assert document["field"] == "path.id"
    assert named in document["detail"]
    assert problem_in(api.get(segment), 400, "invalid-user-id") == document
    problem_in(api.request("GET", f"/users/{segment}/operations/x"), 400, "invalid-user-id")


def test_a_slash_in_an_id(deployment: Deployment) -> None:
    """An HTTP API decodes %2F before it looks for a route, and finds none; a function would answer 400."""
    answer = in_both_modes(deployment, "a%2Fb", JSON, b"{}")
    assert answer.status in (400, 404), answer


@pytest.mark.parametrize(
    ("body", "line", "column"),
    [
        (b"", 1, 0),
        (b"{", 1, 1),
        (b'{"a":1,\n "b": tru}', 2, 10),
        (b'{"a":1}x', 1, 8),
        (b'{"a":1,}', 1, 8),
        (b"{'a':1}", 1, 2),
        (b'{"a":01}', 1, 7),
        (b'{"a":NaN}', 1, 6),
        (b'{"a":"\t"}', 1, 7),
        (b'{"a":"\\ud800"}', 1, 13),
        (b'\xef\xbb\xbf{"a":1}', 1, 1),
        (b"[1", 1, 2),
    ],
)
def test_malformed_json(deployment: Deployment, user: str, body: bytes, line: int, column: int) -> None:
    document = problem_in(in_both_modes(deployment, user, JSON, body), 400, "malformed-json")
    assert (document["field"], document["line"], document["column"]) == ("body", line, column), document


NESTED_101 = b'{"a":' + b"[" * 100 + b"]" * 100 + b"}"


@pytest.mark.parametrize(
    ("body", "kind", "line", "column"),
    [
        (b"[1]", "not-an-object", 1, 1),
        (b"\n null", "not-an-object", 2, 2),
        (b'"{}"', "not-an-object", 1, 1),
        (b"1e999", "not-an-object", 1, 1),
        (b'{"a":1,\n"a":2}', "duplicate-member", 2, 5),
        (b'{"b":[{"a":1, "\\u0061":2}]}', "duplicate-member", 1, 24),
        (NESTED_101, "too-deep", 1, 105),
        ('{"a":"\ufffe"}'.encode(), "forbidden-character", 1, 7),
        ('{"a":1,\n"\uffff":1}'.encode(), "forbidden-character", 2, 2),
    ],
)
def test_json_that_is_no_user(deployment: Deployment, user: str, body: bytes, kind: str, line: int, column: int) -> None:
    document = problem_in(in_both_modes(deployment, user, JSON, body), 422, kind)
    assert (document["field"], document["line"], document["column"]) == ("body", line, column), document


@pytest.mark.parametrize("body", [sized(MAX_BYTES + 1), sized(MAX_BYTES + 1, "😀"), b"x" * (MAX_BYTES + 1)])
def test_one_byte_too_many(deployment: Deployment, user: str, body: bytes) -> None:
    document = problem_in(in_both_modes(deployment, user, JSON, body), 413, "body-too-large")
    assert str(MAX_BYTES) in document["detail"]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": ""},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/jsonp"},
        {"Content-Type": "application/merge-patch+json"},
        {"Content-Type": "application/json; charset=latin1"},
    ],
    ids=str,
)
def test_content_types(deployment: Deployment, user: str, headers: dict[str, str]) -> None:
    answer = in_both_modes(deployment, user, headers, b"{}")
    problem_in(answer, 415, "unsupported-media-type")
    assert answer.headers["accept"] == "application/json", answer


@pytest.mark.parametrize(
    ("extra", "status", "kind"),
    [
        ({"Content-Encoding": "gzip"}, 415, "unsupported-content-coding"),
        ({"Content-Encoding": "identity"}, 415, "unsupported-content-coding"),
        ({"Content-Range": "bytes 0-1/2"}, 400, "partial-put"),
        ({"If-Match": "x"}, 400, "malformed-header"),
        ({"If-Match": ""}, 400, "malformed-header"),
        ({"If-Match": '"a" "b"'}, 400, "malformed-header"),
        ({"If-Match": '*, "a"'}, 400, "malformed-header"),
        ({"If-Match": ", ".join(f'"{i}"' for i in range(101))}, 400, "malformed-header"),
        ({"If-None-Match": '"a"'}, 400, "malformed-header"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_header_fields(deployment: Deployment, user: str, extra: dict[str, str], status: int, kind: str) -> None:
    document = problem_in(in_both_modes(deployment, user, JSON | extra, b"{}"), status, kind)
    assert document["field"] == next(iter(extra)), document


@pytest.mark.parametrize(
    ("body", "headers", "status", "kind"),
    [
        (b"{", JSON, 400, "malformed-json"),
        (sized(MAX_BYTES + 1), JSON, 413, "body-too-large"),
        (b"{}", {}, 415, "unsupported-media-type"),
        (b"[]", JSON, 422, "not-an-object"),
    ],
)
def test_what_is_wrong_in_itself_comes_before_a_false_precondition(
    deployment: Deployment, user: str, body: bytes, headers: dict[str, Any], status: int, kind: str
) -> None:
    problem_in(in_both_modes(deployment, user, headers | {"If-Match": '"other"'}, body), status, kind)
