"""Who may call each route, in every AuthMode, as SAM's transform leaves the template.

The functions' events make the routes, and the API's body says who may call them: a route that is
only in the events would be open.
"""

import json
import time
from typing import Any

import pytest

from .deployment import Deployment
from .resources import OPERATION_PATH, PATH, ROOT
from .shell import run

METHODS = {"get", "head", "put", "post", "patch", "delete"}
OF_PUT = {("put", PATH), ("delete", PATH), ("delete", OPERATION_PATH)}
ISSUER = {"JwtIssuer": "https://issuer.invalid"}
JWT = {"AuthMode": "jwt", "JwtAudience": "a,b"} | ISSUER


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
    """No route has ANY, which would catch a browser's preflight, or OPTIONS."""
    words = [f"{name}={value}" for name, value in parameters.items()]
    python = ROOT / ".tools" / "sam" / "bin" / "python"
    body = json.loads(run(python, "-m", "scripts.transformed", *words))
    routes = {
        (method, path): route for path, of in body["paths"].items() for method, route in of.items()
    }
    assert routes.keys() == {
        (method, path) for method in METHODS for path in (PATH, OPERATION_PATH)
    }
    for (method, path), route in routes.items():
        assert route.get("security") == security, (method, path)
        function = "PutFunction" if (method, path) in OF_PUT else "ReadFunction"
        assert f":{function}/" in route["x-amazon-apigateway-integration"]["uri"], (method, path)
    if security:
        ((name, scheme),) = body["components"]["securitySchemes"].items()
        assert name in security[0]
        verified = scheme.get("x-amazon-apigateway-authorizer", {}).get("jwtConfiguration")
        expected = {"issuer": ISSUER["JwtIssuer"], "audience": ["a", "b"]}
        assert verified == (expected if name == "Jwt" else None)
        assert (scheme.get("x-amazon-apigateway-authtype") == "awsSigv4") == (name == "AWS_IAM")


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({"AuthMode": "jwt", "JwtAudience": "a"}, "JwtIssuer"),
        ({"AuthMode": "jwt"} | ISSUER, "JwtAudience"),
        ({"AuthMode": "jwt", "JwtIssuer": "issuer", "JwtAudience": "a"}, "JwtIssuer"),
        ({"AuthMode": "open"}, "AuthMode"),
        ({"ApplyBatchSize": "11"}, "ApplyBatchWindow"),
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


def test_an_open_stack_says_so(deployment: Deployment) -> None:
    assert "AuthMode=iam" in deployment.environment["WARNING"]
