"""Requests and answers: preferences, conditions, methods, caching, CORS. What the rules' own
tests list in full is probed here, to see that it arrives.
"""

from __future__ import annotations

import email.utils
import time

import pytest

from .answers import problem_in
from .bodies import sample, sample_text
from .client import DEFERRED, JSON, Answer, Api, nobody
from .deployment import Deployment
from .operations import operation_id
from .queues import Queue
from .resources import any_id, new_resource, operation_path, path_of, spelled
from .service import Service


class TestPreferences:
    """Prefer (RFC 7240)."""

    @pytest.mark.smoke
    @pytest.mark.parametrize(
        ("fields", "status", "applied"),
        [
            (["foo=1, Respond-Async; x=y"], 202, "respond-async"),
            (["return=minimal", "respond-async"], 202, "respond-async"),
            (["wait=0, respond-async, wait=9"], 202, "respond-async"),
            (["respond-async=yes, wait=5"], 201, None),
            (["return=minimal", "return=representation"], 201, "return=minimal"),
            (["return=representation, handling=lenient"], 201, "return=representation"),
        ],
        ids=str,
    )
    def test_what_was_asked_for_is_done(
        self,
        api: Api,
        resource: str,
        settled: None,
        fields: list[str],
        status: int,
        applied: str | None,
    ) -> None:
        headers = [*JSON.items(), *(("Prefer", field) for field in fields)]
        answer = api.request("PUT", path_of(resource), headers, sample(1))
        assert answer.status == status, answer
        assert answer.headers.get("preference-applied") == applied, answer
        written = status == 201 and applied != "return=minimal"
        located = path_of(resource) if written else answer.headers.get("location")
        assert answer.headers.get("content-location") == located, answer
        if status == 201:
            assert answer.body == (b"" if applied == "return=minimal" else sample(1)), answer

    @pytest.mark.smoke
    def test_without_one_the_stack_decides(
        self, service: Service, resource: str, settled: None
    ) -> None:
        answer = service.plain_api.put(resource, sample(1))
        assert answer.status == (202 if service.default_mode == "deferred" else 201), answer
        assert "preference-applied" not in answer.headers, answer

    def test_return_minimal_of_a_replacement(
        self, deployment: Deployment, api: Api, resource: str
    ) -> None:
        api.put(resource, sample(1))
        answer = api.put(resource, sample(2), {"Prefer": "return=minimal"})
        assert (answer.status, answer.body) == (204, b""), answer
        stored = deployment.resource(resource)
        assert stored is not None and stored["body"] == sample_text(2)
        assert answer.headers["etag"] == f'"{stored["op"]}"'


class TestConditions:
    """Conditional requests (RFC 9110 section 13)."""

    @pytest.mark.smoke
    def test_if_match(self, service: Service, api: Api, resource: str) -> None:
        old = api.put(resource, sample(1)).headers["etag"]
        matched = api.put(resource, sample(2), {"If-Match": old})
        assert matched.status == 200, matched
        current = matched.headers["etag"]
        for tag in (old, f"W/{current}", '"other"'):
            problem_in(api.put(resource, b"3", {"If-Match": tag}), 422, "invalid-body")
            refused = api.put(resource, sample(), {"If-Match": tag})
            told = problem_in(refused, 412, "precondition-failed")
            # A tag that is no operation's is refused before anything is looked at.
            met = current if tag == old else None
            assert (told["field"], told.get("etag")) == ("If-Match", met), told
        several = [*JSON.items(), ("If-Match", f'"other", W/{old}'), ("If-Match", current)]
        assert api.request("PUT", path_of(resource), several, sample(4)).status == 200
        assert api.put(resource, sample(5), {"If-Match": "*"}).status == 200
        assert service.body_of(resource) == sample_text(5)

    @pytest.mark.smoke
    def test_if_none_match(self, service: Service, api: Api, resource: str) -> None:
        problem_in(api.put(resource, sample(), {"If-Match": "*"}), 412, "precondition-failed")
        created = api.put(resource, sample(1), {"If-None-Match": "*"})
        assert created.status == 201, created
        refused = api.put(resource, sample(), {"If-None-Match": "*"})
        told = problem_in(refused, 412, "precondition-failed")
        assert (told["field"], told["etag"]) == ("If-None-Match", created.headers["etag"])
        assert service.body_of(resource) == sample_text(1)

    def test_what_can_never_be_true_is_refused_at_once(
        self, deployment: Deployment, api: Api, resource: str, queue: Queue
    ) -> None:
        for condition in ({"If-Match": '"x"'}, {"If-Match": "*", "If-None-Match": "*"}):
            for mode in ({}, DEFERRED):
                answer = api.put(resource, sample(), condition | mode)
                problem_in(answer, 412, "precondition-failed")
        assert queue.size() == 0 and deployment.resource(resource) is None

    def test_a_tag_of_the_future_is_the_tables_to_decide(
        self, deployment: Deployment, api: Api, resource: str, queue: Queue
    ) -> None:
        """Nobody can have it, but a host whose clock leads may have written it."""
        api.put(resource, sample(1))
        future = {"If-Match": f'"{operation_id(-3600)}"'}
        problem_in(api.put(resource, sample(), future), 412, "precondition-failed")
        assert deployment.end_of(api.put_later(resource, sample(), future)) == "failed"
        assert deployment.body_of(resource) == sample_text(1)

    @pytest.mark.smoke
    def test_a_known_version_is_not_sent_again(self, api: Api, resource: str) -> None:
        etag = api.put(resource, sample()).headers["etag"]
        full = api.get(resource)
        for form in ("{0}", '"x",,W/{0} , "y"', "*"):
            for method in ("GET", "HEAD"):
                known = {"If-None-Match": form.format(etag)}
                answer = api.request(method, path_of(resource), known)
                assert (answer.status, answer.body) == (304, b""), answer
                for name in ("etag", "cache-control", "last-modified"):
                    assert answer.headers[name] == full.headers[name], answer

    @pytest.mark.smoke
    def test_a_get_that_is_conditional_otherwise(self, api: Api, resource: str) -> None:
        etag = api.put(resource, sample()).headers["etag"]
        ignored = {"If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT", "Range": "bytes=0-0"}
        for headers in ({"If-None-Match": '"x"'}, ignored, {"If-Match": etag}):
            answer = api.request("GET", path_of(resource), headers)
            assert (answer.status, answer.body) == (200, sample()), answer
        answer = api.request("GET", path_of(resource), {"If-Match": f"W/{etag}"})
        problem_in(answer, 412, "precondition-failed")


@any_id
@pytest.mark.parametrize(
    ("segment", "plain"), [("%61%2Db", "a-b"), ("~!$'()*+;=:@", ""), ("...", "")]
)
def test_ids_in_every_spelling_name_one_resource(
    deployment: Deployment, api: Api, resource: str, segment: str, plain: str
) -> None:
    put = api.put(resource + segment, sample(1))
    assert put.status == 201, put
    assert deployment.body_of(resource + (plain or segment)) == sample_text(1)


@any_id
def test_the_longest_id_and_its_status_url(
    deployment: Deployment, api: Api, resource: str, queue: Queue
) -> None:
    plain = f'{resource}"<{{#'.ljust(128, "x")
    segment = plain.replace('"', "%22").replace("<", "%3C").replace("{", "%7B").replace("#", "%23")
    headers = DEFERRED | {"Content-Type": "Application/JSON; charset=UTF-8"}
    accepted = api.request("PUT", path_of(segment), headers, sample())
    assert not set('"<{#') & set(accepted.headers["location"]), accepted
    assert deployment.end_of(accepted) == "succeeded"
    assert deployment.resource(plain) is not None


class TestMethods:
    """HEAD, and methods that the resources do not have."""

    @pytest.mark.smoke
    def test_head_is_get_without_the_body(
        self, service: Service, api: Api, resource: str, settled: None
    ) -> None:
        accepted = api.put_later(resource, sample(1))
        assert service.end_of(accepted) == "succeeded"
        paths = {
            path_of(resource): 200,
            accepted.headers["location"]: 200,
            path_of(new_resource()): 404,
            operation_path(resource): 404,
            path_of(spelled(resource, "a%20b")): 400,
        }
        varying = dict.fromkeys(("apigw-requestid", "date", "content-length"))
        for path, status in paths.items():
            got, head = api.request("GET", path), api.request("HEAD", path)
            assert (got.status, head.status, head.body) == (status, status, b""), (got, head)
            assert dict(head.headers) | varying == dict(got.headers) | varying, (got, head)

    @pytest.mark.smoke
    @pytest.mark.parametrize("method", ["POST", "PATCH"])
    def test_other_methods(self, api: Api, resource: str, method: str) -> None:
        of_resources, of_operations = "GET, HEAD, PUT, DELETE", "GET, HEAD, DELETE"
        paths = {path_of(resource): of_resources, operation_path(resource, "x"): of_operations}
        for path, allow in paths.items():
            answer = api.request(method, path, JSON, sample())
            problem_in(answer, 405, "method-not-allowed")
            assert answer.headers["allow"] == allow, answer
        assert api.get(resource).status == 404


def test_what_may_be_kept(deployment: Deployment, api: Api, resource: str, queue: Queue) -> None:
    before = int(time.time())
    accepted = api.put_later(resource, sample())
    assert deployment.end_of(accepted) == "succeeded"
    got = api.get(resource)
    assert got.headers["cache-control"] == "private, no-cache, no-transform"
    modified = got.headers["last-modified"]
    at = email.utils.parsedate_to_datetime(modified).timestamp()
    assert before <= at <= time.time(), got
    assert modified == email.utils.formatdate(at, usegmt=True), got
    assert api.status(accepted).headers["cache-control"] == "no-store"
    for answer in (api.get(new_resource()), api.put(resource, b"1")):
        assert answer.headers["cache-control"] == "no-store", answer


@pytest.mark.smoke
class TestCors:
    """Calls from web pages, which the gateway lets through for one origin."""

    def test_a_preflight_request(self, service: Service, resource: str) -> None:
        """MiniStack answers it before it looks at routes, so this shows the setting alone."""
        asked = "authorization,content-type,idempotency-key,if-match,if-none-match,prefer,"
        asked += "x-amz-content-sha256,x-amz-date,x-amz-security-token"
        headers = {"Origin": service.origin, "Access-Control-Request-Method": "PUT"}
        headers["Access-Control-Request-Headers"] = asked
        # A browser sends it without credentials.
        nobodys = service.api.seen_by(nobody)
        answer = nobodys.request("OPTIONS", path_of(resource), headers)
        assert answer.status in (200, 204) and answer.body == b"", answer
        assert answer.headers["access-control-allow-origin"] == service.origin, answer
        assert names(answer, "access-control-allow-methods") == {"get", "head", "put", "delete"}, (
            answer
        )
        assert names(answer, "access-control-allow-headers") >= set(asked.split(",")), answer

    def test_what_a_page_may_read(
        self, service: Service, api: Api, resource: str, settled: None
    ) -> None:
        always_readable = {"content-type", "cache-control", "content-length"}
        of_the_gateway = {"date", "server", "connection", "vary"}
        page = {"Origin": service.origin}
        for answer in (
            api.put(resource, sample(), page | {"Prefer": "return=minimal"}),
            api.put(resource, sample(), page | DEFERRED),
            api.request("GET", path_of(resource), page),
            api.request("PUT", path_of(resource), page, sample()),
        ):
            assert answer.headers["access-control-allow-origin"] == service.origin, answer
            added = ("access-control-", "x-amz")
            ours = {name for name in answer.headers if not name.startswith(added)}
            exposed = names(answer, "access-control-expose-headers")
            assert ours - always_readable - of_the_gateway <= exposed, answer

    def test_another_origin(self, api: Api, resource: str) -> None:
        other = "https://other.invalid"
        answer = api.request("GET", path_of(resource), {"Origin": other})
        assert answer.headers.get("access-control-allow-origin") not in ("*", other), answer


def names(answer: Answer, field: str) -> set[str]:
    """The names in a list field, in lower case."""
    return {name.strip().lower() for name in answer.headers[field].split(",")}
