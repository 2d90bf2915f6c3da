"""AuthMode jwt, set by an update of the running stack: each token is for what its sub owns."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from typing import Any

import pytest

from .access import (
    METHODS,
    by_the_function,
    by_the_gateway,
    deploy,
    let_a_preflight_pass,
    refuse_what_no_authorizer_saw,
    to_every_route,
)
from .answers import id_of, problem_in
from .bodies import sample, sample_text
from .client import JSON, Api
from .credentials import Issuer, bearer, issuer, new_key
from .deployment import Deployment
from .make_smoke import make_smoke
from .polling import until
from .resources import RECEIPT, new_resource, operation_path, owner_of, spelled
from .test_examples import is_example

pytestmark = pytest.mark.changes_stack(closes_api=True)

AUDIENCE, SCOPE, ADMIN_SCOPE = "the-api", "resources/write", "resources/admin"


@dataclasses.dataclass
class Tokens:
    """The API behind tokens."""

    api: Api
    issuer: Issuer

    def api_of_owner(self, resource: str, **claims: Any) -> Api:
        """The API as the owner of a resource sees it, with a token that is good but for these
        claims.
        """
        return self.api_of(owner_of(resource), **claims)

    def api_of(self, subject: str | None, **claims: Any) -> Api:
        """The API as the bearer of a token sees it that is good but for these claims."""
        return self.api.seen_by(bearer(self.token(subject, **claims)))

    def token(self, subject: str | None, **claims: Any) -> str:
        """A token that is good but for these claims."""
        good = {"sub": subject, "aud": AUDIENCE, "scope": f"openid {SCOPE}"}
        return self.issuer.token(good | claims)


@pytest.fixture(scope="module")
def tokens(deployment: Deployment, api: Api) -> Iterator[Tokens]:
    with issuer() as made:
        parameters = {"AuthMode": "jwt", "JwtIssuer": made.url, "JwtScope": SCOPE}
        parameters |= {"JwtAudience": f"another,{AUDIENCE}", "AdminScope": ADMIN_SCOPE}
        yield Tokens(deploy(deployment, parameters), made)


def test_an_owner_has_what_is_its_own(
    deployment: Deployment, tokens: Tokens, resource: str
) -> None:
    api = tokens.api_of_owner(resource)
    put = api.put(resource, sample(1))
    assert put.status == 201, put
    assert api.get(resource).headers["etag"] == put.headers["etag"]
    accepted = api.put_later(resource, sample(2))
    until(
        "the end of the update",
        lambda: api.status(accepted).json()["status"],
        lambda status: status == "succeeded",
    )
    problem_in(api.cancel(accepted), 409, "already-decided")
    assert api.delete(resource).status == 204
    answer = api.request("PUT", operation_path(resource, RECEIPT), JSON, sample())
    problem_in(answer, 405, "method-not-allowed")


def test_no_token(deployment: Deployment, tokens: Tokens, resource: str) -> None:
    for api in (tokens.api, tokens.api.seen_by(bearer("a.b.c"))):
        for answer in to_every_route(api, resource):
            by_the_gateway(answer, 401)
    assert deployment.resource(resource) is None
    let_a_preflight_pass(tokens.api, resource)


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "another-api"},
        {"aud": None},
        {"aud": None, "client_id": "another-client"},
        {"exp": int(time.time()) - 60},
        {"nbf": int(time.time()) + 3600},
        {"iss": "https://issuer.invalid"},
    ],
    ids=str,
)
def test_a_token_that_is_not_valid_here(
    deployment: Deployment, tokens: Tokens, resource: str, claims: dict[str, Any]
) -> None:
    by_the_gateway(tokens.api_of_owner(resource, **claims).put(resource, sample()), 401)
    assert deployment.resource(resource) is None


def test_a_token_of_another_key(deployment: Deployment, tokens: Tokens, resource: str) -> None:
    claims = {"sub": owner_of(resource), "aud": AUDIENCE, "scope": SCOPE}
    forged = tokens.issuer.token(claims, new_key())
    by_the_gateway(tokens.api.seen_by(bearer(forged)).put(resource, sample()), 401)
    assert deployment.resource(resource) is None


@pytest.mark.parametrize("scope", [None, "openid", f"{SCOPE}s", ADMIN_SCOPE], ids=str)
def test_a_token_without_the_scope(
    deployment: Deployment, tokens: Tokens, resource: str, scope: str | None
) -> None:
    for answer in to_every_route(tokens.api_of_owner(resource, scope=scope), resource):
        by_the_gateway(answer, 403)
    assert deployment.resource(resource) is None


def test_tokens_like_those_of_cognito(
    deployment: Deployment, tokens: Tokens, resource: str
) -> None:
    """An access token has a client_id and no aud. An ID token has the client as its aud,
    so that the gateway takes it, were it not for the scope.
    """
    of_access = {"aud": None, "client_id": AUDIENCE, "token_use": "access"}
    assert tokens.api_of_owner(resource, **of_access).put(resource, sample()).status == 201
    other = new_resource()
    by_the_gateway(tokens.api_of_owner(other, token_use="id", scope=None).put(other, sample()), 403)
    with_scope = tokens.api_of_owner(other, token_use="id").put(other, sample())
    assert "access token" in problem_in(with_scope, 403, "forbidden")["detail"]
    assert deployment.resource(other) is None


def test_a_path_of_another_owner(deployment: Deployment, tokens: Tokens, resource: str) -> None:
    """Nothing is told of it, not even which methods it has."""
    other = new_resource()
    assert tokens.api_of_owner(other).put(other, sample(1)).status == 201
    others = [other, new_resource(), spelled(other, "a%20b"), resource.upper()]
    for another in filter(lambda each: owner_of(each) != owner_of(resource), others):
        answers = to_every_route(tokens.api_of_owner(resource), another)
        for method, answer in zip(METHODS * 2, answers, strict=True):
            by_the_function(answer, is_head=method == "HEAD")
    is_example(tokens.api_of_owner(resource).get(other), "forbidden")
    assert (deployment.resource(other) or {})["body"] == sample_text(1)


@pytest.mark.parametrize("subject", [None, ""], ids=repr)
def test_a_token_of_nobody(
    deployment: Deployment, tokens: Tokens, resource: str, subject: str | None
) -> None:
    for scope in (SCOPE, f"{SCOPE} {ADMIN_SCOPE}"):
        by_the_function(tokens.api_of(subject, scope=scope).put(resource, sample()))
    assert deployment.resource(resource) is None


@pytest.mark.parametrize(
    "claims",
    [{"scope": f"{SCOPE} {ADMIN_SCOPE}"}, {"scope": None, "scp": [SCOPE, ADMIN_SCOPE]}],
    ids=str,
)
def test_the_admin_scope(tokens: Tokens, resource: str, claims: dict[str, Any]) -> None:
    api = tokens.api_of("the-admin", **claims)
    accepted = api.put_later(resource, sample())
    assert api.status(accepted).status == 200
    assert api.put(resource, sample()).status in (200, 201)


def test_a_key_is_its_callers_own(tokens: Tokens, resource: str, key: str) -> None:
    """With another token of the same caller it is the same key."""
    keyed = {"Idempotency-Key": f'"{key}"'}
    own, again = (tokens.api_of_owner(resource).put(resource, sample(), keyed) for _ in range(2))
    admin = tokens.api_of("the-admin", scope=f"{SCOPE} {ADMIN_SCOPE}").put(
        resource, sample(), keyed
    )
    assert id_of(own) == id_of(again) != id_of(admin)


def test_the_functions_look_again(deployment: Deployment, tokens: Tokens, resource: str) -> None:
    refuse_what_no_authorizer_saw(deployment, resource)


def test_make_smoke_with_a_token_of_an_admin(deployment: Deployment, tokens: Tokens) -> None:
    token = tokens.token("the-admin", scope=f"{SCOPE} {ADMIN_SCOPE}")
    status, printed = make_smoke(deployment, "PYTEST=-k 'http or unsigned'", TOKEN=token)
    assert status == 0 and "skipped" not in printed and "deleted: " in printed
