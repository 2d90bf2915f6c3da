"""AuthMode jwt, set by an update of the running stack: each token is for the user of its sub."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from typing import Any

import pytest

from .access import (
    METHODS,
    RECEIPT,
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
from .test_examples import is_example

pytestmark = pytest.mark.changes_stack(closes_api=True)

AUDIENCE, SCOPE, ADMIN_SCOPE = "the-api", "users/write", "users/admin"


@dataclasses.dataclass
class Tokens:
    """The API behind tokens."""

    api: Api
    issuer: Issuer

    def api_of(self, user: str | None, **claims: Any) -> Api:
        """The API as the bearer of a token sees it that is good but for these claims."""
        return self.api.seen_by(bearer(self.token(user, **claims)))

    def token(self, user: str | None, **claims: Any) -> str:
        """A token of a user that is good but for these claims."""
        good = {"sub": user, "aud": AUDIENCE, "scope": f"openid {SCOPE}"}
        return self.issuer.token(good | claims)


@pytest.fixture(scope="module")
def tokens(deployment: Deployment, api: Api) -> Iterator[Tokens]:
    with issuer() as made:
        parameters = {"AuthMode": "jwt", "JwtIssuer": made.url, "JwtScope": SCOPE}
        parameters |= {"JwtAudience": f"another,{AUDIENCE}", "AdminScope": ADMIN_SCOPE}
        yield Tokens(deploy(deployment, parameters), made)


def test_a_user_has_what_is_its_own(deployment: Deployment, tokens: Tokens, user: str) -> None:
    api = tokens.api_of(user)
    put = api.put(user, sample(1))
    assert put.status == 201, put
    assert api.get(user).headers["etag"] == put.headers["etag"]
    accepted = api.put_later(user, sample(2))
    until(
        "the end of the update",
        lambda: api.status(accepted).json()["status"],
        lambda status: status == "succeeded",
    )
    assert api.request("DELETE", f"/users/{user}").status == 405
    answer = api.request("PUT", f"/users/{user}/operations/{RECEIPT}", JSON, sample())
    problem_in(answer, 405, "method-not-allowed")


def test_no_token(deployment: Deployment, tokens: Tokens, user: str) -> None:
    for api in (tokens.api, tokens.api.seen_by(bearer("a.b.c"))):
        for answer in to_every_route(api, user):
            by_the_gateway(answer, 401)
    assert deployment.user(user) is None
    let_a_preflight_pass(tokens.api, user)


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
    deployment: Deployment, tokens: Tokens, user: str, claims: dict[str, Any]
) -> None:
    by_the_gateway(tokens.api_of(user, **claims).put(user, sample()), 401)
    assert deployment.user(user) is None


def test_a_token_of_another_key(deployment: Deployment, tokens: Tokens, user: str) -> None:
    claims = {"sub": user, "aud": AUDIENCE, "scope": SCOPE}
    forged = tokens.issuer.token(claims, new_key())
    by_the_gateway(tokens.api.seen_by(bearer(forged)).put(user, sample()), 401)
    assert deployment.user(user) is None


@pytest.mark.parametrize("scope", [None, "openid", f"{SCOPE}s", ADMIN_SCOPE], ids=str)
def test_a_token_without_the_scope(
    deployment: Deployment, tokens: Tokens, user: str, scope: str | None
) -> None:
    for answer in to_every_route(tokens.api_of(user, scope=scope), user):
        by_the_gateway(answer, 403)
    assert deployment.user(user) is None


def test_tokens_like_those_of_cognito(deployment: Deployment, tokens: Tokens, user: str) -> None:
    """An access token has a client_id and no aud. An ID token has the client as its aud,
    so that the gateway takes it, were it not for the scope.
    """
    of_access = {"aud": None, "client_id": AUDIENCE, "token_use": "access"}
    assert tokens.api_of(user, **of_access).put(user, sample()).status == 201
    other = f"{user}-2"
    by_the_gateway(tokens.api_of(other, token_use="id", scope=None).put(other, sample()), 403)
    with_scope = tokens.api_of(other, token_use="id").put(other, sample())
    assert "access token" in problem_in(with_scope, 403, "forbidden")["detail"]
    assert deployment.user(other) is None


def test_another_users_path(deployment: Deployment, tokens: Tokens, user: str) -> None:
    """Nothing is told of it, not even which methods it has."""
    other = f"{user}-2"
    assert tokens.api_of(other).put(other, sample(1)).status == 201
    for path in (other, f"{user}-unknown", "a%20b", user.upper(), f"{user}%21"):
        answers = to_every_route(tokens.api_of(user), path)
        for method, answer in zip(METHODS * 2, answers, strict=True):
            by_the_function(answer, is_head=method == "HEAD")
    is_example(tokens.api_of(user).get(other), "forbidden")
    assert (deployment.user(other) or {})["body"] == sample_text(1)


@pytest.mark.parametrize("subject", [None, ""], ids=repr)
def test_a_token_of_nobody(
    deployment: Deployment, tokens: Tokens, user: str, subject: str | None
) -> None:
    for scope in (SCOPE, f"{SCOPE} {ADMIN_SCOPE}"):
        by_the_function(tokens.api_of(subject, scope=scope).put(user, sample()))
    assert deployment.user(user) is None


@pytest.mark.parametrize(
    "claims",
    [{"scope": f"{SCOPE} {ADMIN_SCOPE}"}, {"scope": None, "scp": [SCOPE, ADMIN_SCOPE]}],
    ids=str,
)
def test_the_admin_scope(tokens: Tokens, user: str, claims: dict[str, Any]) -> None:
    api = tokens.api_of("the-admin", **claims)
    accepted = api.put_later(user, sample())
    assert api.status(accepted).status == 200
    assert api.put(user, sample()).status in (200, 201)


def test_a_key_is_its_callers_own(tokens: Tokens, user: str, key: str) -> None:
    """With another token of the same caller it is the same key."""
    keyed = {"Idempotency-Key": f'"{key}"'}
    own, again = (tokens.api_of(user).put(user, sample(), keyed) for _ in range(2))
    admin = tokens.api_of("the-admin", scope=f"{SCOPE} {ADMIN_SCOPE}").put(user, sample(), keyed)
    assert id_of(own) == id_of(again) != id_of(admin)


def test_the_functions_look_again(deployment: Deployment, tokens: Tokens, user: str) -> None:
    refuse_what_no_authorizer_saw(deployment, user)


def test_make_smoke_with_a_token_of_an_admin(deployment: Deployment, tokens: Tokens) -> None:
    token = tokens.token("the-admin", scope=f"{SCOPE} {ADMIN_SCOPE}")
    status, printed = make_smoke(deployment, "PYTEST=-k 'http or unsigned'", TOKEN=token)
    assert status == 0 and "skipped" not in printed and "deleted: " in printed
