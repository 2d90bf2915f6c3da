"""Requests of callers to whom the API is closed, and the answers to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from .answers import problem_in
from .bodies import sample
from .client import JSON, Answer, Api
from .deployment import Deployment, stack_command
from .resources import RECEIPT, operation_path, path_of
from .rest_api import invoke
from .service import ORIGIN

METHODS = ("GET", "HEAD", "PUT", "POST", "PATCH", "DELETE")


def to_every_route(api: Api, resource: str) -> Iterator[Answer]:
    """The answers to a request to each of the API's routes."""
    for reference in (path_of(resource), operation_path(resource)):
        for method in METHODS:
            is_put = method == "PUT"
            fields, content = (JSON, sample()) if is_put else ({}, None)
            yield api.request(method, reference, fields, content)


def by_the_gateway(answer: Answer, status: int) -> None:
    """The gateway's own answer, so that no function was asked."""
    assert answer.status == status, answer
    assert answer.headers["content-type"] == "application/json", answer
    assert answer.body == b"" or answer.json().keys() == {"message"}, answer


def by_the_function(answer: Answer, *, is_head: bool = False) -> None:
    """The function's refusal."""
    if is_head:
        assert (answer.status, answer.body) == (403, b""), answer
    else:
        problem_in(answer, 403, "forbidden")
    assert not {"allow", "etag", "location"} & set(answer.headers), answer


def let_a_preflight_pass(api: Api, resource: str) -> None:
    """It has no credentials."""
    headers = {"Origin": ORIGIN, "Access-Control-Request-Method": "PUT"}
    headers["Access-Control-Request-Headers"] = "authorization,content-type"
    answer = api.request("OPTIONS", path_of(resource), headers)
    assert answer.status in (200, 204), answer
    assert answer.headers["access-control-allow-origin"] == ORIGIN, answer


def refuse_what_no_authorizer_saw(deployment: Deployment, resource: str) -> None:
    """As over a route that was left open."""
    for method in METHODS:
        for receipt in ("", RECEIPT):
            answer = invoke(deployment, method, resource, receipt, tuple(JSON.items()), sample())
            by_the_function(answer, is_head=method == "HEAD")
            assert "identity" in answer.body.decode() or method == "HEAD", answer
    assert deployment.resource(resource) is None


def deploy(deployment: Deployment, parameters: Mapping[str, str]) -> Api:
    """The API of the stack once it has these parameters."""
    words = " ".join(f"{name}={value}" for name, value in parameters.items())
    done = stack_command("up", deployment.local, parameters=words)
    assert done.returncode == 0, done.stdout
    again = Deployment(deployment.local / "stack.env")
    assert "WARNING" not in again.environment
    return again.api
