"""Tests a stack on AWS through its API: `make smoke STACK=name`.

CloudFormation gives the address of its API, and the caller's AWS credentials sign the requests
(AuthMode iam); for AuthMode jwt, TOKEN is an access token with the AdminScope. The tests
delete what they have made.
"""

import contextlib
import os
from collections.abc import Iterator
from typing import Protocol

import boto3
import botocore.exceptions
import pytest

from scripts.ministack import ALIAS

from .client import Api, Credentials, unsigned
from .credentials import bearer, signed
from .deployment import FUNCTIONS
from .resources import MADE, ROOT
from .service import Service
from .shell import run

SMOKE = "SMOKE_STACK"


class Tell(Protocol):
    """Adds a line to the report, and whether it is as this project assumes."""

    def __call__(self, line: str, as_assumed: bool | None = None) -> None: ...


class Stack(Service):
    """The deployed stack."""

    def __init__(self, session: boto3.Session, name: str) -> None:
        self.client, self.name = session.client, name
        (stack,) = self.client("cloudformation").describe_stacks(StackName=name)["Stacks"]
        self.status = stack["StackStatus"]
        self.outputs = {each["OutputKey"]: each["OutputValue"] for each in stack["Outputs"]}
        self.parameters: dict[str, str] = {
            each["ParameterKey"]: each["ParameterValue"] for each in stack["Parameters"]
        }
        base = os.environ.get("API_URL") or self.outputs["ApiUrl"]
        api = Api(base.rstrip("/"), credentials_for(self.parameters["AuthMode"], session))
        super().__init__(api, self.parameters["CorsAllowOrigin"], self.parameters["DefaultMode"])

    def describe(self, tell: Tell) -> None:
        """Report the deployment, by calls that cost nothing, without account and address."""
        commit = run("sh", "-c", "git describe --always --dirty || echo of no commit").strip()
        names = "AuthMode", "DefaultMode", "Architecture", "MemorySize", "Deployment", "Tracing"
        chosen = ", ".join(f"{name} {self.parameters.get(name)}" for name in names)
        tell(f"async-put {commit}, {self.status}: {chosen}")
        try:
            gateway = self.client("apigatewayv2").get_api(ApiId=self.outputs["ApiId"])
            warnings = gateway.get("Warnings") or gateway.get("ImportInfo") or "none"
            tell(f"warnings of API Gateway at the import: {warnings}", warnings == "none")
            for function, binary in FUNCTIONS.items():
                found = self.client("lambda").get_function_configuration(
                    FunctionName=self.outputs[function], Qualifier=ALIAS
                )
                (architecture,) = found["Architectures"]
                is_right = architecture == self.parameters["Architecture"]
                what = f"{found['State']}, {architecture}, version {found['Version']}"
                tell(f"{binary}: {what}", is_right and found["State"] == "Active")
        except botocore.exceptions.ClientError as error:
            tell(f"these credentials see no more of the stack ({error})")


def credentials_for(mode: str, session: boto3.Session) -> Credentials:
    """The caller's credentials for a stack with this AuthMode."""
    if mode == "none":
        return unsigned
    if mode == "jwt":
        if not os.environ.get("TOKEN"):
            pytest.exit("the stack has AuthMode jwt: TOKEN= an access token with AdminScope", 3)
        return bearer(os.environ["TOKEN"])
    # There are credentials: the stack was read with them.
    keys = session.get_credentials().get_frozen_credentials()
    return signed(keys.access_key, keys.secret_key, keys.token, session.region_name)


@contextlib.contextmanager
def deployed_stack(name: str, tell: Tell) -> Iterator[Stack]:
    """The stack of this name. It is checked before anything is sent to it."""
    try:
        # boto3 does not read the variable that AWS's command line reads first.
        stack = Stack(boto3.Session(region_name=os.environ.get("AWS_REGION")), name)
    except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
        pytest.exit(f"the stack {name} cannot be read: {error}", 3)
    run(ROOT / ".tools" / "sam" / "bin" / "python", "-m", "scripts.stack", "validate")
    tell("sam validate --lint finds nothing")
    stack.describe(tell)
    if not stack.status.endswith("_COMPLETE") or stack.status.startswith("ROLLBACK"):
        pytest.exit(f"the stack {name} is in {stack.status}: deploy it first", 3)
    try:
        yield stack
    finally:
        left = [it for it in sorted(MADE) if stack.api.delete(it).status != 204]
        made = f"of {len(MADE)} resources, "
        tell(made + (f"left behind: {' '.join(left)}" if left else "all deleted"))
