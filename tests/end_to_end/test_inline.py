"""PUTs that are awaited, and GET of what they stored."""

from __future__ import annotations

import email.utils
import re
import time
from collections.abc import Callable

import pytest

from bodies import ODD
from client import JSON, Api
from deployment import Deployment
from problems import problem_in

OPERATION_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


@pytest.mark.parametrize("body", ODD.values(), ids=ODD)
def test_a_body_is_answered_stored_and_given_back_byte_for_byte(
    deployment: Deployment, api: Api, user: str, body: bytes
) -> None:
    put = api.put(user, body)
    assert (put.status, put.body) == (201, body), put
    stored = deployment.user(user)
    assert stored is not None
    assert stored["body"].encode() == body
    got = api.get(user)
    assert (got.status, got.body) == (200, body), got
    assert put.headers["etag"] == got.headers["etag"] == f'"{stored["op"]}"'
    assert put.headers["content-type"] == got.headers["content-type"] == "application/json"


def test_the_first_put_creates_and_the_next_replaces(deployment: Deployment, api: Api, user: str) -> None:
    created, replaced = api.put(user, b'{"v":1}'), api.put(user, b'{"v":2}')
    assert (created.status, replaced.status) == (201, 200), (created, replaced)
    assert replaced.body == b'{"v":2}'
    first, second = created.headers["etag"].strip('"'), replaced.headers["etag"].strip('"')
    assert OPERATION_ID.fullmatch(first) and OPERATION_ID.fullmatch(second)
    assert first < second
    assert deployment.user(user) == {"id": user, "body": '{"v":2}', "op": second, "created_by": first}
    # An inline PUT leaves no other trace.
    assert deployment.outcome(first) is None and deployment.outcome(second) is None
    for answer in (created, replaced):
        assert "location" not in answer.headers and "preference-applied" not in answer.headers, answer


def test_a_get_tells_when_the_user_was_written_and_is_not_to_be_kept(api: Api, user: str) -> None:
    before = int(time.time())
    api.put(user, b"{}")
    got = api.get(user)
    assert got.headers["cache-control"] == "private, no-cache", got
    modified = got.headers["last-modified"]
    at = email.utils.parsedate_to_datetime(modified).timestamp()
    assert before <= at <= time.time(), got
    assert modified == email.utils.formatdate(at, usegmt=True), got


def test_an_unknown_user_is_not_found(api: Api, user: str) -> None:
    problem_in(api.get(user), 404, "user-not-found")


def test_return_minimal_leaves_out_the_body(deployment: Deployment, api: Api, user: str) -> None:
    prefer = {"Prefer": "return=minimal"}
    created, replaced = api.put(user, b'{"v":1}', prefer), api.put(user, b'{"v":2}', prefer)
    assert (created.status, replaced.status) == (201, 204), (created, replaced)
    for answer in (created, replaced):
        assert answer.body == b"", answer
        assert answer.headers["preference-applied"] == "return=minimal", answer
    stored = deployment.user(user)
    assert stored is not None and stored["body"] == '{"v":2}'
    assert replaced.headers["etag"] == f'"{stored["op"]}"'


def test_return_representation_is_confirmed_and_unknown_preferences_are_not(api: Api, user: str) -> None:
    answer = api.put(user, b"{}", {"Prefer": "return=representation, handling=lenient"})
    assert (answer.status, answer.body) == (201, b"{}"), answer
    assert answer.headers["preference-applied"] == "return=representation", answer
    answer = api.put(user, b"{}", {"Prefer": 'return=nothing, foo="respond-async"; bar'})
    assert (answer.status, answer.body) == (200, b"{}"), answer
    assert "preference-applied" not in answer.headers, answer


@pytest.mark.parametrize("content_type", ["Application/JSON", "application/json; charset=UTF-8"])
def test_spellings_of_the_content_type(api: Api, user: str, content_type: str) -> None:
    answer = api.request("PUT", f"/users/{user}", JSON | {"Content-Type": content_type}, b"{}")
    assert answer.status == 201, answer


@pytest.mark.parametrize(
    ("segment", "plain"),
    [("%61%2Db", "a-b"), ("a@b.c", "a@b.c"), ("~!$&'()*+,;=:@", "~!$&'()*+,;=:@"), ("x%22%3C%7B", 'x"<{'), ("...", "...")],
)
def test_ids_in_every_spelling_name_one_user(
    deployment: Deployment, api: Api, user: str, segment: str, plain: str
) -> None:
    put = api.put(user + segment, b'{"v":1}')
    assert put.status == 201, put
    stored = deployment.user(user + plain)
    assert stored is not None and f'"{stored["op"]}"' == put.headers["etag"]
    assert api.get(user + segment).body == b'{"v":1}'


def test_the_longest_id(deployment: Deployment, api: Api, user: str) -> None:
    longest = user.ljust(128, "x")
    assert api.put(longest, b"{}").status == 201
    assert deployment.user(longest) is not None


class TestConditional:
    """If-Match and If-None-Match on awaited PUTs."""

    def test_if_match(self, deployment: Deployment, api: Api, user: str) -> None:
        old = api.put(user, b'{"v":1}').headers["etag"]
        matched = api.put(user, b'{"v":2}', {"If-Match": old})
        assert matched.status == 200, matched
        current = matched.headers["etag"]
        problem_in(api.put(user, b'{"v":3}', {"If-Match": old}), 412, "precondition-failed")
        several = api.put(user, b'{"v":4}', {"If-Match": f'"other", W/{old}, {current}'})
        assert several.status == 200, several
        stored = deployment.user(user)
        assert stored is not None
        assert (stored["body"], f'"{stored["op"]}"') == ('{"v":4}', several.headers["etag"])

    @pytest.mark.parametrize("tag", ['"other"', '"01a203ad-500c-7a30-b45e-320af9644cbf"', "*"])
    def test_if_match_of_no_user(self, deployment: Deployment, api: Api, user: str, tag: str) -> None:
        problem_in(api.put(user, b"{}", {"If-Match": tag}), 412, "precondition-failed")
        assert deployment.user(user) is None

    def test_if_match_compares_strongly(self, api: Api, user: str) -> None:
        etag = api.put(user, b"{}").headers["etag"]
        problem_in(api.put(user, b"{}", {"If-Match": f"W/{etag}"}), 412, "precondition-failed")

    def test_if_match_any(self, api: Api, user: str) -> None:
        api.put(user, b'{"v":1}')
        answer = api.put(user, b'{"v":2}', {"If-Match": "*"})
        assert (answer.status, api.get(user).body) == (200, b'{"v":2}'), answer

    def test_if_none_match(self, api: Api, new_user: Callable[[], str]) -> None:
        user = new_user()
        answer = api.put(user, b'{"v":1}', {"If-None-Match": "*"})
        assert answer.status == 201, answer
        problem_in(api.put(user, b'{"v":2}', {"If-None-Match": "*"}), 412, "precondition-failed")
        assert api.get(user).body == b'{"v":1}'
