"""MiniStack in the role of AWS: its start, and what it needs beside `sam deploy`."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boto3
import botocore.config

from scripts import http_api
from scripts.environment import AWS_HOST, HOST, KEY, REGION, TOOLS
from scripts.processes import start


def launch(local: Path, port: int, log: Path) -> subprocess.Popen[bytes]:
    """Start it; the caller waits until it `answers`."""
    temporary = local / "tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    # A clean environment: MiniStack hands its own to the functions.
    environment = {
        "PATH": os.defpath,
        "HOME": str(local / "home"),
        "TMPDIR": str(temporary),
        "LANG": "C.UTF-8",
        "GATEWAY_PORT": str(port),
        "BIND_HOST": HOST,  # without it, every interface
        "AWS_ENDPOINT_URL": f"http://{AWS_HOST}:{port}",  # where the functions find AWS
        "AUTH": "true",  # the functions' roles are enforced
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "DOCKER_HOST": f"unix://{temporary}/no-docker",  # leave a Docker of this machine alone
        "S3_DATA_DIR": str(temporary / "s3"),
        "PYTHONUNBUFFERED": "1",
    }
    python = TOOLS / "ministack" / "bin" / "python"
    return start([python, "-m", "ministack"], log, environment, temporary)


def answers(port: int) -> bool:
    """Whether it is ready."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://{HOST}:{port}/_ministack/health", timeout=2) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def listens(port: int) -> bool:
    """Whether something accepts connections on the port."""
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


# The `AutoPublishAlias` of the template, which is what every caller of a function calls.
ALIAS = "live"


class Deployed:
    """The stack that sam deployed."""

    def __init__(self, port: int, stack_name: str) -> None:
        self._port = port
        self._stack_name = stack_name
        self._cloudformation = self._client("cloudformation")

    def add_routes(self) -> list[str]:
        """Give the HTTP API the routes that MiniStack drops; returns the route keys."""
        api_id = self.outputs()["ApiId"]
        return http_api.complete(self._client("apigatewayv2"), api_id, self.api_body({}))

    def api_body(self, parameters: Mapping[str, str]) -> Any:
        """The API's OpenAPI body after SAM's transform, resolved with the stack's parameters or
        others in their place.
        """
        reply = self._cloudformation.get_template(
            StackName=self._stack_name, TemplateStage="Processed"
        )
        template = reply["TemplateBody"]
        if isinstance(template, str):
            template = json.loads(template)
        stack = self._stack()
        own = {item["ParameterKey"]: item["ParameterValue"] for item in stack["Parameters"]}
        intrinsics = http_api.Intrinsics(
            template["Conditions"],
            {**own, **parameters},
            self.physical_ids(),
            stack["StackId"],
        )
        (body,) = (
            resource["Properties"]["Body"]
            for resource in template["Resources"].values()
            if resource["Type"] == "AWS::ApiGatewayV2::Api"
        )
        return intrinsics.resolve(body)

    def serve_api(self) -> str:
        """Make 127.0.0.1 a custom domain of the API; returns the API's URL.

        Every program resolves that name, paths are what they are on AWS, and `Host` is the name
        that the client signed. The API's own name (….execute-api.localhost) many programs cannot
        resolve; under MiniStack's path form the API does not know the prefix of its own URL.
        """
        client = self._client("apigatewayv2")
        if not client.get_domain_names()["Items"]:
            client.create_domain_name(DomainName=HOST)
            api = self.outputs()["ApiId"]
            client.create_api_mapping(DomainName=HOST, ApiId=api, Stage="$default")
        return f"http://{HOST}:{self._port}"

    def correct_event_sources(self) -> None:
        """Set the numbers of the queues' event sources again: a template parameter arrives as
        text, and MiniStack's poller stumbles over that ("'>=' not supported") and never delivers.
        """
        functions = self._client("lambda")
        for source in functions.list_event_source_mappings()["EventSourceMappings"]:
            concurrency = int(source["ScalingConfig"]["MaximumConcurrency"])
            functions.update_event_source_mapping(
                UUID=source["UUID"],
                BatchSize=int(source["BatchSize"]),
                MaximumBatchingWindowInSeconds=int(source["MaximumBatchingWindowInSeconds"]),
                ScalingConfig={"MaximumConcurrency": concurrency},
            )

    def outputs(self) -> dict[str, str]:
        """The stack's outputs."""
        return {item["OutputKey"]: item["OutputValue"] for item in self._stack()["Outputs"]}

    def physical_ids(self) -> dict[str, str]:
        """What each logical id of the template became."""
        reply = self._cloudformation.describe_stack_resources(StackName=self._stack_name)
        return {
            item["LogicalResourceId"]: item["PhysicalResourceId"]
            for item in reply["StackResources"]
        }

    def variables(self, function: str) -> dict[str, str]:
        """The environment of a function, by its physical id."""
        reply = self._client("lambda").get_function_configuration(FunctionName=function)
        return dict(reply["Environment"]["Variables"])

    def set_variables(self, function: str, variables: dict[str, str]) -> None:
        """Replace the environment of a function, in a new version behind its alias."""
        functions = self._client("lambda")
        functions.update_function_configuration(
            FunctionName=function, Environment={"Variables": variables}
        )
        version = functions.publish_version(FunctionName=function)["Version"]
        functions.update_alias(FunctionName=function, Name=ALIAS, FunctionVersion=version)

    def _stack(self) -> Any:
        return self._cloudformation.describe_stacks(StackName=self._stack_name)["Stacks"][0]

    def _client(self, service: str) -> Any:
        """A client of MiniStack, whatever AWS settings this machine has."""
        session = boto3.session.Session(KEY, KEY, region_name=REGION)
        configuration = botocore.config.Config(
            proxies={}, connect_timeout=5, read_timeout=60, retries={"total_max_attempts": 1}
        )
        endpoint = f"http://{AWS_HOST}:{self._port}"
        return session.client(service, endpoint_url=endpoint, config=configuration)
