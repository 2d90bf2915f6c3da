"""AuthMode iam, then jwt, each set by an update of the running stack."""

import json
import os
import re
from collections.abc import Callable
from typing import Any

import pytest

from .client import Api
from .credentials import Issuer, bearer, signed
from .deployment import Deployment
from .resources import PATH, new_resource, owner_of, path_of, sample
from .shell import run
from .test_events import EVENTS, ORDER
from .test_examples import is_example

pytestmark = pytest.mark.changes_stack(turn=2)

AUDIENCE, SCOPE, ADMIN_SCOPE = "the-api", "resources/write", "resources/admin"
BOTH_SCOPES = f"{SCOPE} {ADMIN_SCOPE}"


@pytest.fixture(scope="module")
def iam(deployment: Deployment) -> Deployment:
    """The stack with AuthMode iam."""
    return deployment.update(AuthMode="iam")


def user(deployment: Deployment, name: str, path: str) -> tuple[str, str]:
    """The keys of a new user who may call the API at this path, such as PUT/users/ada."""
    accounts = deployment.client("iam")
    accounts.create_user(UserName=name)
    arn = f"arn:aws:execute-api:*:*:{deployment.environment['API_ID']}/*/{path}"
    allow = {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": arn}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    accounts.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=policy)
    made = accounts.create_access_key(UserName=name)["AccessKey"]
    return made["AccessKeyId"], made["SecretAccessKey"]


def test_a_callers_own_policy(iam: Deployment, resource: str) -> None:
    (key, secret), other = user(iam, resource, f"PUT{path_of(resource)}"), new_resource()

    def signed_with(secret: str) -> Api:
        return iam.api.seen_by(signed(key, secret, None, iam.environment["AWS_REGION"]))

    api = signed_with(secret)
    assert api.put(resource, sample()).status == 201
    refused = [api.get(resource), api.delete(resource), api.put(other, sample())]
    refused += [it.put(resource, sample()) for it in (iam.api, signed_with("another secret"))]
    # MiniStack accepts an Authorization header without a signature; then the function refuses.
    refused.append(iam.api.seen_by(bearer("a.b.c")).put(resource, sample()))
    assert {answer.status for answer in refused} == {403}
    assert iam.resource(other) is None


def test_the_command_of_the_output_first_put(iam: Deployment, key: str) -> None:
    outputs = iam.stack.outputs()
    command = outputs["FirstPut"].replace(outputs["ApiUrl"], iam.environment["API_URL"])
    (path,) = re.findall(r"-X PUT \S+?://[^/]+(\S+)", command)
    access_key, secret = user(iam, key, f"PUT{path}")
    keys = {"AWS_ACCESS_KEY_ID": access_key, "AWS_SECRET_ACCESS_KEY": secret}
    # Without a session token curl omits its header.
    printed = run("bash", "-c", command, env=keys | {"PATH": os.environ["PATH"]})
    assert printed.startswith("HTTP/1.1 202 "), printed


def refuse_what_no_authorizer_saw(deployment: Deployment) -> None:
    """Invoke each function as over a route that was left open; it must refuse."""
    for name, function in ORDER.items():
        if function in ("put", "read"):
            answer = deployment.invoke(function.upper(), EVENTS / f"{name}.json")
            assert answer["statusCode"] == 403 and "identity" in answer["body"], (name, answer)


def test_the_functions_look_again(iam: Deployment) -> None:
    refuse_what_no_authorizer_saw(iam)


def make_smoke(deployment: Deployment, *options: str, **credentials: str) -> str:
    """The output of `make smoke`, run as against a stack on AWS."""
    environment = deployment.environment
    ours = ("MAKE", "MFLAGS", "PYTEST", "AWS_", "TOKEN", "STACK_ENV")
    variables = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
    variables |= {key: value for key, value in environment.items() if key.startswith("AWS_")}
    # A user of AWS's command line may have AWS_REGION only.
    del variables["AWS_DEFAULT_REGION"]
    # The output ApiUrl is an address of AWS.
    line = ("make", "smoke", f"STACK={environment['STACK_NAME']}", "IDLE=1", *options)
    printed = run(*line, f"API_URL={environment['API_URL']}", env=variables | credentials)
    assert "all deleted" in printed, printed
    return printed


def test_make_smoke_says_what_the_stack_does(iam: Deployment) -> None:
    printed = make_smoke(iam)
    told = [
        "as assumed: warnings of API Gateway at the import: none",
        r"as assumed: park: Active, \w+, version \d+",
        "OPTIONS without Origin, unsigned: 403",
        r"the first PUT after 1 s without any: 200 in \d+ ms",
    ]
    # Another resource may not have the ids that some of them ask for.
    if PATH == "/users/{id}":
        assert "skipped" not in printed
        told.append(r"as assumed: ID\+v2 in a path: 202, the function saw the id 'ID\+v2'")
    for line in told:
        assert re.search(line, printed), (line, printed)
    assert not re.search(r"\d{12}", printed.partition("paste into an issue")[2])


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Issuer:
    return Issuer(tmp_path_factory.mktemp("issuer"))


@pytest.fixture(scope="module")
def jwt(deployment: Deployment, issuer: Issuer) -> Deployment:
    """The stack with AuthMode jwt, in which requests are deferred by default."""
    parameters = {"AuthMode": "jwt", "JwtIssuer": issuer.url, "JwtScope": SCOPE}
    parameters |= {"JwtAudience": f"another,{AUDIENCE}", "AdminScope": ADMIN_SCOPE}
    return deployment.update(DefaultMode="deferred", **parameters)


@pytest.fixture
def token(issuer: Issuer, resource: str) -> Callable[..., str]:
    """A token of the resource's owner that is valid except for the given claims."""
    good = {"sub": owner_of(resource), "aud": AUDIENCE, "scope": f"openid {SCOPE}"}
    return lambda **claims: issuer.token(good | claims)


@pytest.mark.parametrize(
    ("claims", "status"),
    [
        ({}, 202),
        ({"aud": None, "client_id": AUDIENCE, "token_use": "access"}, 202),  # as of Cognito
        ({"aud": "another-api"}, 401),
        ({"iss": "https://issuer.invalid"}, 401),
        ({"scope": "openid"}, 403),
        ({"token_use": "id"}, 403),  # its aud is the client's id
        ({"sub": "the-admin"}, 403),
        ({"sub": "the-admin", "scope": BOTH_SCOPES}, 202),
    ],
    ids=str,
)
def test_the_claims_of_a_token(
    jwt: Deployment,
    token: Callable[..., str],
    resource: str,
    claims: dict[str, Any],
    status: int,
) -> None:
    answer = jwt.api.seen_by(bearer(token(**claims))).put(resource, sample())
    assert answer.status == status, answer


def test_a_path_of_another_owner(jwt: Deployment, token: Callable[..., str]) -> None:
    other, api = new_resource(), jwt.api.seen_by(bearer(token()))
    is_example(api.get(other), "forbidden")
    refuse_what_no_authorizer_saw(jwt)


def test_make_smoke_with_a_token(jwt: Deployment, token: Callable[..., str]) -> None:
    admin = token(sub="the-admin", scope=BOTH_SCOPES)
    make_smoke(jwt, "PYTEST=-k 'journeys or unsigned'", TOKEN=admin)
