"""What HTTP says of the answers: preferences, conditions, methods, caching, CORS, and states of old operations."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import pytest

from client import DEFERRED, JSON, Answer, Api
from deployment import Deployment, Queue
from operations import DAY, operation_id, receipt, store_outcome
from problems import problem_in

ORIGIN = "https://origin.invalid"


def applied(answer: Answer) -> str | None:
    """What Preference-Applied says."""
    return answer.headers.get("preference-applied")


class TestPrefer:
    """Prefer (RFC 7240) in its forms."""

    @pytest.mark.parametrize(
        "fields",
        [
            ["respond-async"],
            ["Respond-Async"],
            ["foo=1, respond-async; x=y"],
            ["foo", "respond-async"],
            ["respond-async", "foo"],
            ['respond-async=""'],
            ["respond-async, wait=0"],
            ["wait=0, respond-async, wait=9"],
            ["return=minimal", "respond-async"],
        ],
        ids=str,
    )
    def test_later(self, deployment: Deployment, api: Api, user: str, queue: Queue, fields: list[str]) -> None:
        with deployment.mapping.off():
            answer = api.request("PUT", f"/users/{user}", [*JSON.items(), *(("Prefer", f) for f in fields)], b"{}")
            assert (answer.status, applied(answer)) == (202, "respond-async"), answer
            assert deployment.user(user) is None

    @pytest.mark.parametrize(
        ("fields", "is_minimal", "named"),
        [
            (["wait=5"], False, None),
            (["respond-async, wait=5"], False, None),
            (["respond-async", "wait=5"], False, None),
            (["wait=5, respond-async, wait=0"], False, None),
            (['foo=", respond-async, "'], False, None),
            (["respond-async=yes"], False, None),
            (["respondasync, handling=strict"], False, None),
            (["return=minimal"], True, "return=minimal"),
            (['return="minimal"'], True, "return=minimal"),
            (["return=minimal, return=representation"], True, "return=minimal"),
            (["return=minimal", "return=representation"], True, "return=minimal"),
            (["return=representation, return=minimal"], False, "return=representation"),
            (["return=other, return=minimal"], False, None),
            (["return=Minimal"], False, None),
            (["respond-async, wait=5, return=minimal"], True, "return=minimal"),
            ([""], False, None),
        ],
        ids=str,
    )
    def test_now(
        self, deployment: Deployment, api: Api, user: str, fields: list[str], is_minimal: bool, named: str | None
    ) -> None:
        for status in (201, 204 if is_minimal else 200):
            answer = api.request("PUT", f"/users/{user}", [*JSON.items(), *(("Prefer", f) for f in fields)], b"{}")
            assert (answer.status, answer.body) == (status, b"" if is_minimal else b"{}"), answer
            assert applied(answer) == named, answer
            assert "location" not in answer.headers, answer
            stored = deployment.user(user)
            assert stored is not None and f'"{stored["op"]}"' == answer.headers["etag"]

    def test_a_put_that_waits_leaves_an_outcome(self, deployment: Deployment, api: Api, user: str) -> None:
        answer = api.put(user, b"{}", {"Prefer": "respond-async, wait=5"})
        outcome = deployment.outcome(answer.headers["etag"].strip('"'))
        assert outcome is not None and outcome["outcome"] == "succeeded"


class TestConditions:
    """Conditional requests (RFC 9110 section 13)."""

    @pytest.mark.parametrize("form", ["{0}", "W/{0}", '"x", {0}', '"x",,W/{0} , "y"', "*"])
    def test_a_known_version_is_not_sent_again(self, api: Api, user: str, form: str) -> None:
        etag = api.put(user, b"{}").headers["etag"]
        full = api.get(user)
        for method in ("GET", "HEAD"):
            answer = api.request(method, f"/users/{user}", {"If-None-Match": form.format(etag)})
            assert (answer.status, answer.body) == (304, b""), answer
            for name in ("etag", "cache-control", "last-modified"):
                assert answer.headers[name] == full.headers[name], answer

    @pytest.mark.parametrize(
        "headers",
        [
            {"If-None-Match": '"x"'},
            {"If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"},
            {"If-Unmodified-Since": "Sat, 01 Jan 2000 00:00:00 GMT"},
            {"Range": "bytes=0-0"},
        ],
        ids=str,
    )
    def test_what_is_another_version_or_not_honoured_gets_all(
        self, api: Api, user: str, headers: Mapping[str, str]
    ) -> None:
        api.put(user, b'{"v":1}')
        answer = api.request("GET", f"/users/{user}", headers)
        assert (answer.status, answer.body) == (200, b'{"v":1}'), answer

    def test_a_get_with_if_match(self, api: Api, user: str) -> None:
        etag = api.put(user, b"{}").headers["etag"]
        assert api.request("GET", f"/users/{user}", {"If-Match": etag}).status == 200
        for tag in ('"x"', f"W/{etag}"):
            problem_in(api.request("GET", f"/users/{user}", {"If-Match": tag}), 412, "precondition-failed")
        for name in ("If-Match", "If-None-Match"):
            problem_in(api.request("GET", f"/users/{user}", {name: "x"}), 400, "malformed-header")

    @pytest.mark.parametrize("headers", [{}, DEFERRED], ids=["inline", "deferred"])
    @pytest.mark.parametrize(
        ("extra", "body", "status", "kind"),
        [
            ({"Content-Range": "bytes 0-1/2"}, b"{}", 400, "partial-put"),
            ({"Idempotency-Key": "x"}, b"{}", 400, "malformed-header"),
            ({}, b"{", 400, "malformed-json"),
            ({}, b"x" * 262145, 413, "body-too-large"),
            ({"Content-Type": "text/plain"}, b"{}", 415, "unsupported-media-type"),
            ({}, b"1", 422, "not-an-object"),
            ({}, b'{"a":1,"a":1}', 422, "duplicate-member"),
        ],
    )
    def test_what_is_wrong_in_itself_comes_before_412(
        self,
        api: Api,
        user: str,
        headers: Mapping[str, str],
        extra: Mapping[str, str],
        body: bytes,
        status: int,
        kind: str,
    ) -> None:
        old = api.put(user, b'{"v":1}').headers["etag"]
        api.put(user, b'{"v":2}')
        problem_in(api.put(user, body, {"If-Match": old, **headers, **extra}), status, kind)
        problem_in(api.put(user, b"{}", {"If-Match": old}), 412, "precondition-failed")
        assert api.get(user).body == b'{"v":2}'

    def test_several_if_match_fields_are_one_list(self, api: Api, user: str) -> None:
        etag = api.put(user, b"{}").headers["etag"]
        fields = [*JSON.items(), ("If-Match", '"x"'), ("If-Match", etag)]
        assert api.request("PUT", f"/users/{user}", fields, b"{}").status == 200

    def test_both_fields_are_never_true_at_once(self, deployment: Deployment, api: Api, user: str) -> None:
        both = {"If-Match": "*", "If-None-Match": "*"}
        for headers in (both, both | DEFERRED):
            problem_in(api.put(user, b"{}", headers), 412, "precondition-failed")
        assert deployment.user(user) is None

    def test_a_deferred_if_match_of_what_can_be_no_version_is_refused_at_once(
        self, api: Api, user: str, queue: Queue
    ) -> None:
        for tag in ('"x"', f'"{operation_id(-3600)}"'):
            problem_in(api.put(user, b"{}", DEFERRED | {"If-Match": tag}), 412, "precondition-failed")
        assert queue.size() == 0


class TestMethods:
    """HEAD, and methods that the resources do not have."""

    def paths(self, api: Api, user: str) -> dict[str, int]:
        """Paths and what GET answers there."""
        accepted = api.put_later(user, b'{"v":1}')
        return {
            f"/users/{user}": 200,
            accepted.headers["location"]: 200,
            f"/users/{user}-unknown": 404,
            f"/users/{user}/operations/{'A' * 38}": 404,
            "/users/a%20b": 400,
        }

    def test_head_is_get_without_the_body(self, deployment: Deployment, api: Api, user: str, queue: Queue) -> None:
        paths = self.paths(api, user)
        queue.is_empty_after("the update")
        varying = dict.fromkeys(("apigw-requestid", "date", "content-length"))
        for path, status in paths.items():
            got, head = api.request("GET", path), api.request("HEAD", path)
            assert (got.status, head.status, head.body) == (status, status, b""), (got, head)
            assert dict(head.headers) | varying == dict(got.headers) | varying, (got, head)

    @pytest.mark.parametrize("method", ["POST", "DELETE", "PATCH", "PROPFIND"])
    def test_other_methods(self, deployment: Deployment, api: Api, user: str, method: str) -> None:
        for path, allow in ((f"/users/{user}", "GET, HEAD, PUT"), (f"/users/{user}/operations/x", "GET, HEAD")):
            answer = api.request(method, path, JSON, b"{}")
            problem_in(answer, 405, "method-not-allowed")
            assert answer.headers["allow"] == allow, answer
        assert deployment.user(user) is None

    def test_the_status_of_an_operation_is_not_put(self, api: Api, user: str) -> None:
        answer = api.request("PUT", f"/users/{user}/operations/x", JSON, b"{}")
        problem_in(answer, 405, "method-not-allowed")
        assert answer.headers["allow"] == "GET, HEAD", answer


def test_what_may_be_kept(deployment: Deployment, api: Api, user: str) -> None:
    accepted = api.put_later(user, b"{}")
    deployment.completed(accepted)
    assert api.get(user).headers["cache-control"] == "private, no-cache"
    assert api.status(accepted).headers["cache-control"] == "no-store"
    for answer in (api.get(f"{user}-unknown"), api.put(user, b"1"), api.request("POST", f"/users/{user}")):
        assert answer.headers["cache-control"] == "no-store", answer


class TestCors:
    """Calls from web pages, which the gateway lets through for one origin."""

    def test_a_preflight_request(self, api: Api, user: str) -> None:
        asked = "content-type,idempotency-key,if-match,if-none-match,prefer"
        headers = {"Origin": ORIGIN, "Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": asked}
        answer = api.request("OPTIONS", f"/users/{user}", headers)
        assert answer.status in (200, 204) and answer.body == b"", answer
        assert answer.headers["access-control-allow-origin"] == ORIGIN, answer
        assert names(answer, "access-control-allow-methods") == {"get", "head", "put"}, answer
        assert names(answer, "access-control-allow-headers") >= set(asked.split(",")), answer

    def test_what_a_page_may_read(self, api: Api, user: str, queue: Queue) -> None:
        answers = [
            api.put(user, b"{}", {"Origin": ORIGIN, "Prefer": "return=minimal"}),
            api.put(user, b"{}", {"Origin": ORIGIN, "Prefer": "respond-async"}),
            api.request("GET", f"/users/{user}", {"Origin": ORIGIN}),
            api.request("PUT", f"/users/{user}", {"Origin": ORIGIN}, b"{}"),
        ]
        always_readable = {"content-type", "cache-control", "content-length"}
        of_the_gateway = {"apigw-requestid", "date", "server", "connection", "vary"}
        for answer in answers:
            assert answer.headers["access-control-allow-origin"] == ORIGIN, answer
            ours = {name for name in answer.headers if not name.startswith(("access-control-", "x-amz"))}
            exposed = names(answer, "access-control-expose-headers")
            assert ours - always_readable - of_the_gateway <= exposed, answer

    def test_another_origin(self, api: Api, user: str) -> None:
        answer = api.request("GET", f"/users/{user}", {"Origin": "https://other.invalid"})
        assert answer.headers.get("access-control-allow-origin") not in ("*", "https://other.invalid"), answer


def names(answer: Answer, field: str) -> set[str]:
    """The names in a list field, in lower case."""
    return {name.strip().lower() for name in answer.headers[field].split(",")}


class TestStates:
    """Operations of any age: receipts that the deployment's key signed."""

    def status(self, deployment: Deployment, user: str, operation: str) -> Answer:
        """What the status URL of an operation answers."""
        return deployment.api.request("GET", f"/users/{user}/operations/{receipt(deployment, user, operation)}")

    def test_a_receipt_is_what_the_service_makes(
        self, deployment: Deployment, api: Api, user: str, queue: Queue
    ) -> None:
        accepted = api.put_later(user, b"{}")
        made = receipt(deployment, user, accepted.json()["id"])
        assert accepted.headers["location"] == f"/users/{user}/operations/{made}"

    @pytest.mark.parametrize(
        ("age", "status"),
        [(0, "pending"), (16 * DAY - 60, "pending"), (16 * DAY + 60, "expired"), (45 * DAY - 60, "expired")],
    )
    def test_without_an_outcome(self, deployment: Deployment, user: str, age: int, status: str) -> None:
        operation = operation_id(age)
        answer = self.status(deployment, user, operation)
        assert answer.status == 200, answer
        document = answer.json()
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", document.pop("acceptedAt"))
        assert document == {"id": operation, "userId": user, "status": status, "resource": f"/users/{user}"}
        assert answer.headers["cache-control"] == "no-store", answer
        assert ("retry-after" in answer.headers) == (status == "pending"), answer
        assert 1 <= int(answer.headers.get("retry-after", 1)) <= 60, answer

    def test_too_old(self, deployment: Deployment, user: str) -> None:
        problem_in(self.status(deployment, user, operation_id(45 * DAY + 60)), 410, "operation-gone")

    def test_a_failure_that_may_change(self, deployment: Deployment, api: Api, user: str) -> None:
        operation, problem = operation_id(60), {"type": "about:blank", "title": "t", "status": 503, "detail": "d"}
        store_outcome(deployment, user, operation, "failed", problem)
        answer = self.status(deployment, user, operation)
        document = answer.json()
        assert (document["status"], document["provisional"], document["error"]) == ("failed", True, problem), answer
        assert "etag" not in document and "retry-after" not in answer.headers, answer

    def test_receipts_of_others(self, deployment: Deployment, api: Api, new_user: Callable[[], str]) -> None:
        one, other = new_user(), new_user()
        genuine = receipt(deployment, one, operation_id())
        forged = genuine[:-1] + ("A" if genuine[-1] != "A" else "Q")
        problem_in(api.request("GET", f"/users/{other}/operations/{genuine}"), 404, "operation-not-found")
        for shown in (forged, genuine[:-4], f"{genuine}AAAA", "%41"):
            problem_in(api.request("GET", f"/users/{one}/operations/{shown}"), 404, "operation-not-found")
