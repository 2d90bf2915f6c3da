"""A stack that is deployed for real, tested through its API: `make smoke STACK=name`.

CloudFormation tells where its API is, and the caller's own AWS credentials sign the requests
(AuthMode iam); for AuthMode jwt, TOKEN is an access token with the AdminScope. What the tests
made is deleted in the end, as far as the caller may.
"""

from __future__ import annotations

import contextlib
import os
import platform
import subprocess
import time
from collections.abc import Iterator
from typing import Any, Protocol
from urllib.parse import urlsplit

import boto3
import botocore.exceptions
import pytest

from scripts.ministack import ALIAS

from .answers import id_of
from .client import WRITES, Answer, Api, Credentials, nobody
from .credentials import bearer, signed
from .deployment import ROOT
from .names import FUNCTIONS
from .resources import MADE, resource_in
from .service import Service

SMOKE = "SMOKE_STACK"
# What can be updated has been deployed.
USABLE = {"CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "IMPORT_COMPLETE"}


class Tell(Protocol):
    """Adds a line to the report."""

    def __call__(self, line: str, as_assumed: bool | None = None) -> None: ...


class Stack(Service):
    """The deployed stack, and what the tests made in it."""

    def __init__(self, session: boto3.Session, name: str) -> None:
        self.session = session
        self.name = name
        self.started = time.time()
        (stack,) = session.client("cloudformation").describe_stacks(StackName=name)["Stacks"]
        self.outputs = {each["OutputKey"]: each["OutputValue"] for each in stack["Outputs"]}
        self.status = stack["StackStatus"]
        self.parameters = parameters = {
            each["ParameterKey"]: each["ParameterValue"] for each in stack["Parameters"]
        }
        self.mode = parameters["AuthMode"]
        self._accepted: list[Answer] = []
        self._resources: set[str] = set()
        self.operations: set[str] = set()
        base = os.environ.get("API_URL") or self.outputs["ApiUrl"]
        api = Api(base.rstrip("/"), self._credentials(), self._note)
        super().__init__(api, parameters["CorsAllowOrigin"], parameters["DefaultMode"])

    def _credentials(self) -> Credentials:
        if self.mode == "none":
            return nobody
        if self.mode == "jwt":
            if not os.environ.get("TOKEN"):
                pytest.exit("the stack has AuthMode jwt: TOKEN= an access token with AdminScope", 3)
            return bearer(os.environ["TOKEN"])
        credentials = self.session.get_credentials()
        if credentials is None:
            pytest.exit("the stack has AuthMode iam, and there are no AWS credentials here", 3)
        frozen = credentials.get_frozen_credentials()
        region = self.session.region_name
        return signed(frozen.access_key, frozen.secret_key, frozen.token, region)

    def _note(self, method: str, answer: Answer) -> None:
        """Remember what a request made: of which resource, the answer to a deferred one says."""
        path = urlsplit(answer.headers.get("location", answer.url)).path
        resource = resource_in(path.partition("/operations/")[0] if answer.status == 202 else path)
        if method not in WRITES or not (200 <= answer.status < 300) or resource is None:
            return
        # Nothing else is ever deleted.
        assert resource.startswith(tuple(MADE)), answer
        self._resources.add(resource)
        if answer.status == 202:
            self._accepted.append(answer)
            self.operations.add(id_of(answer))
        elif method == "PUT":
            self.operations.add(answer.headers["etag"].strip('"'))

    def clean_up(self) -> str:
        """Delete the resources and operations that were made; says what was done."""
        made = f"{len(self._resources)} resources and {len(self.operations)} operations"
        dynamodb = self.session.client("dynamodb")
        items = [("ResourcesTable", resource) for resource in sorted(self._resources)]
        items += [("OperationsTable", operation) for operation in sorted(self.operations)]
        try:
            for answer in self._accepted:
                # What is carried out after its resource was deleted would make it anew.
                self.end_of(answer, 60)
            for table, key in items:
                dynamodb.delete_item(TableName=self.outputs[table], Key={"id": {"S": key}})
        except (AssertionError, botocore.exceptions.ClientError) as error:
            left = " ".join(sorted(self._resources))
            return f"left behind, of {made}, since they could not be deleted ({error}): {left}"
        return f"deleted: {made}; the idempotency keys go by themselves after a day"

    def described(self) -> Iterator[str]:
        """What is deployed here, by calls that cost nothing. No account, and no address."""
        commit = ["git", "describe", "--always", "--dirty"]
        done = subprocess.run(commit, cwd=ROOT, capture_output=True, text=True, check=False)
        versions = f"Python {platform.python_version()}, boto3 {boto3.__version__}"
        yield f"- async-put {done.stdout.strip() or 'of an unknown commit'}; {versions}"
        names = "AuthMode", "DefaultMode", "Architecture", "MemorySize", "Deployment", "Tracing"
        chosen = ", ".join(f"{name} {self.parameters.get(name)}" for name in names)
        yield f"- {self.session.region_name}, {self.status}: {chosen}"
        try:
            gateway = self.client("apigatewayv2").get_api(ApiId=self.outputs["ApiId"])
            warnings = gateway.get("Warnings") or gateway.get("ImportInfo") or "none"
            mark = "as assumed" if warnings == "none" else "SURPRISE"
            yield f"- {mark}: warnings of API Gateway at the import: {warnings}"
            for function, binary in FUNCTIONS.items():
                found = self.client("lambda").get_function_configuration(
                    FunctionName=self.outputs[function], Qualifier=ALIAS
                )
                built = found["Architectures"] == [self.parameters["Architecture"]]
                mark = "as assumed" if built and found["State"] == "Active" else "SURPRISE"
                what = f"{found['State']}, {found['Architectures'][0]}, {found['Runtime']}"
                yield f"- {mark}: {binary}: {what}, version {found['Version']}"
        except botocore.exceptions.ClientError as error:
            yield f"- these credentials see no more of the stack ({error})"

    def client(self, service: str) -> Any:
        """A client with the caller's credentials."""
        return self.session.client(service)

    def log_of_put(self) -> Iterator[str]:
        """The lines of `put` since the tests began, as far as the log has them."""
        found = self.client("cloudformation").describe_stack_resource(
            StackName=self.name, LogicalResourceId="PutLogs"
        )
        group = found["StackResourceDetail"]["PhysicalResourceId"]
        pages = self.client("logs").get_paginator("filter_log_events")
        for page in pages.paginate(logGroupName=group, startTime=int(self.started * 1000)):
            yield from (event["message"] for event in page["events"])


@contextlib.contextmanager
def deployed_stack(name: str, told: list[str]) -> Iterator[Stack]:
    """The stack of this name, looked at before anything is sent to it; what is found is told."""
    try:
        # boto3 does not read the variable that the command line of AWS reads first.
        stack = Stack(boto3.Session(region_name=os.environ.get("AWS_REGION")), name)
    except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
        pytest.exit(f"the stack {name} cannot be read: {error}", 3)
    told.extend(stack.described())
    if stack.status not in USABLE:
        pytest.exit(f"the stack {name} is in {stack.status}: deploy it first", 3)
    try:
        yield stack
    finally:
        told.append(stack.clean_up())
