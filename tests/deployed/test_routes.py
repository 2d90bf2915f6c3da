"""Who may call each route, in every AuthMode, as SAM's transform leaves the template.

The functions' events make the routes and the API's body says who may call them: what stands
in the events alone would be open.
"""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from .client import Api
from .deployment import ROOT, Deployment
from .resources import OPERATION_PATH, PATH, path_of

METHODS = {"get", "head", "put", "post", "patch", "delete"}
OF_PUT = {("put", PATH), ("delete", PATH), ("delete", OPERATION_PATH)}
JWT = {"AuthMode": "jwt", "JwtIssuer": "https://issuer.invalid", "JwtAudience": "a,b"}


def body(parameters: dict[str, str]) -> Any:
    """The API's body under these parameters."""
    python = ROOT / ".tools" / "sam" / "bin" / "python"
    words = [f"{name}={value}" for name, value in parameters.items()]
    line: list[str | Path] = [python, "-m", "scripts.transformed", *words]
    return json.loads(subprocess.check_output(line, cwd=ROOT))


@pytest.mark.parametrize(
    ("parameters", "security"),
    [
        ({"AuthMode": "iam"}, [{"AWS_IAM": []}]),
        (JWT, [{"Jwt": []}]),
        (JWT | {"JwtScope": "resources:write"}, [{"Jwt": ["resources:write"]}]),
        ({"AuthMode": "none"}, None),
    ],
    ids=str,
)
def test_every_route_asks_who_calls(parameters: dict[str, str], security: Any) -> None:
    """No ANY among them, which would catch a browser's preflight, and no OPTIONS."""
    paths = body(parameters)["paths"]
    assert {path: set(operations) for path, operations in paths.items()} == {
        PATH: METHODS,
        OPERATION_PATH: METHODS,
    }
    for path, operations in paths.items():
        for method, operation in operations.items():
            assert operation.get("security") == security, (method, path)
            function = "PutFunction" if (method, path) in OF_PUT else "ReadFunction"
            uri = operation["x-amazon-apigateway-integration"]["uri"]
            assert f":{function}/" in uri, (method, path)


def test_what_the_gateway_verifies() -> None:
    schemes = body({"AuthMode": "iam"})["components"]["securitySchemes"]
    assert schemes.keys() == {"AWS_IAM"}
    assert schemes["AWS_IAM"]["x-amazon-apigateway-authtype"] == "awsSigv4"
    schemes = body(JWT)["components"]["securitySchemes"]
    assert schemes.keys() == {"Jwt"}
    authorizer = schemes["Jwt"]["x-amazon-apigateway-authorizer"]
    assert authorizer["type"] == "jwt"
    assert authorizer["jwtConfiguration"] == {
        "issuer": "https://issuer.invalid",
        "audience": ["a", "b"],
    }


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({"AuthMode": "jwt", "JwtAudience": "a"}, "JwtIssuer"),
        ({"AuthMode": "jwt", "JwtIssuer": "https://issuer.invalid"}, "JwtAudience"),
        ({"AuthMode": "jwt", "JwtIssuer": "issuer", "JwtAudience": "a"}, "JwtIssuer"),
        ({"AuthMode": "open"}, "AuthMode"),
    ],
    ids=str,
)
def test_parameters_that_are_refused(
    deployment: Deployment, parameters: dict[str, str], named: str
) -> None:
    cloudformation = deployment.client("cloudformation")
    stack = deployment.environment["STACK_NAME"]
    (described,) = cloudformation.describe_stacks(StackName=stack)["Stacks"]
    own = {item["ParameterKey"]: item["ParameterValue"] for item in described["Parameters"]}
    given = own | parameters
    with pytest.raises(cloudformation.exceptions.ClientError, match=named):
        cloudformation.create_change_set(
            StackName=stack,
            ChangeSetName=f"refused-{time.time_ns()}",
            UsePreviousTemplate=True,
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
            Parameters=[
                {"ParameterKey": name, "ParameterValue": value} for name, value in given.items()
            ],
        )


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "PROPFIND"])
def test_a_method_without_a_route(api: Api, resource: str, method: str) -> None:
    """The gateway's own answer; a preflight has an origin, see test_http.py."""
    assert api.request(method, path_of(resource)).status in (403, 404)


def test_an_open_stack_says_so(deployment: Deployment) -> None:
    assert "AuthMode=iam" in deployment.environment["WARNING"]
