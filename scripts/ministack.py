"""MiniStack in the role of AWS: starts it, and does what it needs beside `sam deploy`."""

import os
import shutil
import subprocess
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boto3
import botocore.config

from scripts.environment import AWS_HOST, HOST, KEY, REGION, TOOLS
from scripts.processes import start


def launch(local: Path, port: int, log: Path) -> subprocess.Popen[bytes]:
    """Start it; the caller waits until it `answers`."""
    temporary = local / "tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    # A clean environment: MiniStack passes its own to the functions.
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


# The `AutoPublishAlias` of the template; every caller of a function calls this alias.
ALIAS = "live"


class Deployed:
    """The stack that sam deployed."""

    def __init__(self, port: int, stack_name: str) -> None:
        self._port = port
        self._stack_name = stack_name

    def outputs(self) -> dict[str, str]:
        """The stack's outputs."""
        stacks = self.client("cloudformation").describe_stacks(StackName=self._stack_name)
        return {each["OutputKey"]: each["OutputValue"] for each in stacks["Stacks"][0]["Outputs"]}

    def physical_ids(self) -> dict[str, str]:
        """The physical id of each logical id of the template."""
        client = self.client("cloudformation")
        reply = client.describe_stack_resources(StackName=self._stack_name)
        return {
            each["LogicalResourceId"]: each["PhysicalResourceId"]
            for each in reply["StackResources"]
        }

    def serve_api(self, cors: Mapping[str, Any]) -> str:
        """Set the API's CORS and make 127.0.0.1 a custom domain of it; returns its URL.

        Every program resolves that name, paths are as on AWS, and `Host` is the name
        that the client signed. Many programs cannot resolve the API's own name
        (….execute-api.localhost), and in MiniStack's path form the API does not know its prefix.
        """
        client, api = self.client("apigatewayv2"), self.outputs()["ApiId"]
        settings = {key[0].upper() + key[1:]: value for key, value in cors.items()}
        client.update_api(ApiId=api, CorsConfiguration=settings)
        if not client.get_domain_names()["Items"]:
            client.create_domain_name(DomainName=HOST)
            client.create_api_mapping(DomainName=HOST, ApiId=api, Stage="$default")
        return f"http://{HOST}:{self._port}"

    def variables(self, function: str) -> dict[str, str]:
        """The environment of a function, by its physical id."""
        reply = self.client("lambda").get_function_configuration(FunctionName=function)
        return dict(reply["Environment"]["Variables"])

    def set_variables(
        self, function: str, variables: Mapping[str, str], code: bytes | None = None
    ) -> None:
        """Replace the environment of a function, and perhaps its code, in a new version behind its
        alias.
        """
        client, environment = self.client("lambda"), {"Variables": variables}
        client.update_function_configuration(FunctionName=function, Environment=environment)
        if code is not None:
            client.update_function_code(FunctionName=function, ZipFile=code)
        version = client.publish_version(FunctionName=function)["Version"]
        client.update_alias(FunctionName=function, Name=ALIAS, FunctionVersion=version)

    def client(self, service: str) -> Any:
        """A client of MiniStack, independent of this machine's AWS settings."""
        session = boto3.session.Session(KEY, KEY, region_name=REGION)
        configuration = botocore.config.Config(
            proxies={}, connect_timeout=5, read_timeout=60, retries={"total_max_attempts": 1}
        )
        endpoint = f"http://{AWS_HOST}:{self._port}"
        return session.client(service, endpoint_url=endpoint, config=configuration)
