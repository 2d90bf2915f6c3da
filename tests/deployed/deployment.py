"""The deployed stack, seen from outside: its API, and its tables, queues and functions.

boto3 is another client than the functions' Rust SDK, so what it reads is what any other
program would read.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import subprocess
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import botocore.config

from scripts.ministack import ALIAS

from .answers import id_of
from .client import Answer, Api
from .names import FUNCTION_OUTPUTS
from .polling import until
from .queues import EventSource, Queue
from .service import Service

# How long a tombstone is kept after its operation.
TOMBSTONE_DAYS, DAY = 33, 24 * 60 * 60
ROOT = Path(__file__).resolve().parent.parent.parent


def stack_command(
    command: str, local: Path, *options: str, parameters: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run scripts.stack on the stack in `local`, as the Makefile does. `parameters` are set
    beside those that all tests run with.
    """
    python = ROOT / ".tools" / "sam" / "bin" / "python"
    line: list[str | Path] = [python, "-m", "scripts.stack", command, "--port", "0"]
    line += ["--local-dir", local, *options]
    line += ["--parameters", f"{os.environ.get('PARAMETERS', '')} {parameters}"]
    return subprocess.run(
        line, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )


class Deployment(Service):
    """One running stack, as its stack.env describes it."""

    def __init__(self, environment_file: Path) -> None:
        lines = (line.partition("=") for line in environment_file.read_text().splitlines())
        self.environment = {key: shlex.split(value)[0] for key, _, value in lines}
        self.local = environment_file.resolve().parent
        self.endpoint = self.environment["AWS_ENDPOINT_URL"]
        self.port = urlsplit(self.endpoint).port or 80
        super().__init__(Api(self.environment["API_URL"]))
        self.dynamodb = self.client("dynamodb")
        self.sqs = self.client("sqs")
        self.functions = self.client("lambda")
        self.queue = self._queue("UPDATES")
        self.dead_letters = self._queue("DEAD_LETTERS")
        self.parked = self._queue("PARKED")
        # A message to any queue makes MiniStack look at all of them at once; it is else idle for
        # up to a second.
        bell = self.sqs.create_queue(QueueName="tests-bell")["QueueUrl"]
        self.mapping = EventSource(
            self.functions,
            self.environment["APPLY_FUNCTION"],
            lambda: self.sqs.send_message(QueueUrl=bell, MessageBody="."),
        )

    def client(self, service: str) -> Any:
        """A client that reads no setting of this machine."""
        key = self.environment["AWS_ACCESS_KEY_ID"]
        secret = self.environment["AWS_SECRET_ACCESS_KEY"]
        session = boto3.session.Session(key, secret, region_name=self.environment["AWS_REGION"])
        configuration = botocore.config.Config(proxies={})
        return session.client(service, endpoint_url=self.endpoint, config=configuration)

    def _queue(self, name: str) -> Queue:
        return Queue(self.sqs, self.environment[f"{name}_QUEUE_URL"])

    # What is stored

    def resource(self, resource: str) -> dict[str, str] | None:
        """The item of a resource."""
        return self._item("RESOURCES_TABLE", resource)

    def outcome(self, operation: str) -> dict[str, str] | None:
        """The item of an operation."""
        return self._item("OPERATIONS_TABLE", operation)

    def body_of(self, resource: str) -> str:
        """The stored body, which must be what the API gives back."""
        stored = self.resource(resource)
        assert stored is not None, resource
        got = self.api.get(resource)
        given = got.body.decode(), got.headers["etag"]
        assert given == (stored["body"], f'"{stored["op"]}"'), (got, stored)
        return stored["body"]

    def is_deleted(self, resource: str) -> bool:
        """Whether a DELETE has left a tombstone: nothing but its operation, and the time at which
        DynamoDB may remove it. The API must then say that there is no resource.
        """
        item = self.resource(resource)
        if item is None or "body" in item:
            return False
        until_then = (uuid.UUID(item["op"]).int >> 80) / 1000 + TOMBSTONE_DAYS * DAY
        assert item.keys() == {"id", "op", "expires_at"}, item
        assert 0 <= int(item["expires_at"]) - until_then <= 1, item
        assert self.api.get(resource).status == 404
        return True

    def _item(self, table: str, key: str) -> dict[str, str] | None:
        reply = self.dynamodb.get_item(
            TableName=self.environment[table], Key={"id": {"S": key}}, ConsistentRead=True
        )
        item = reply.get("Item")
        # All attributes are strings, numbers or booleans, whose text is what counts.
        return item and {name: str(text) for name, value in item.items() for text in value.values()}

    def put_item(self, table: str, item: Mapping[str, Any]) -> None:
        """Store an item in RESOURCES_TABLE or OPERATIONS_TABLE."""
        self.dynamodb.put_item(TableName=self.environment[table], Item=item)

    def footprint(self) -> dict[str, int]:
        """How much is stored and queued."""
        count = {"messages": self.queue.size()}
        for table in ("RESOURCES_TABLE", "OPERATIONS_TABLE"):
            pages = self.dynamodb.get_paginator("scan").paginate(
                TableName=self.environment[table], Select="COUNT", ConsistentRead=True
            )
            count[table] = sum(page["Count"] for page in pages)
        return count

    def forget(self, *, resources: tuple[str, ...] = (), operations: tuple[str, ...] = ()) -> None:
        """Delete items."""
        for table, keys in (("RESOURCES_TABLE", resources), ("OPERATIONS_TABLE", operations)):
            for key in keys:
                name = self.environment[table]
                self.dynamodb.delete_item(TableName=name, Key={"id": {"S": key}})

    # What happens

    def completed(self, accepted: Answer, seconds: float = 30) -> Any:
        """The status document of an operation once it has ended, which must be as its item is."""
        document = super().completed(accepted, seconds)
        item = self.outcome(id_of(accepted))
        assert item is not None and item["outcome"] == document["status"], (item, document)
        return document

    # The functions

    @contextlib.contextmanager
    def functions_use(self, variables: Mapping[str, str]) -> Iterator[None]:
        """Add variables to every function's environment, and put back what was there after."""
        names = [self.environment[output] for output in FUNCTION_OUTPUTS]
        before = {name: self._variables(name) for name in names}
        try:
            for name in names:
                self._set_variables(name, before[name] | dict(variables))
            yield
        finally:
            for name in names:
                self._set_variables(name, before[name])

    def variables(self, function: str) -> dict[str, str]:
        """The environment of a function such as READ."""
        return self._variables(self.environment[f"{function}_FUNCTION"])

    def invoke(self, function: str, event: object) -> Any:
        """Hand a function such as APPLY an event; returns its result."""
        reply = self.functions.invoke(
            FunctionName=self.environment[f"{function}_FUNCTION"],
            Qualifier=ALIAS,
            Payload=json.dumps(event),
        )
        result = json.loads(reply["Payload"].read())
        assert "FunctionError" not in reply, result
        return result

    def _variables(self, function: str) -> dict[str, str]:
        configuration = self.functions.get_function_configuration(FunctionName=function)
        return dict(configuration["Environment"]["Variables"])

    def _set_variables(self, function: str, variables: Mapping[str, str]) -> None:
        environment = {"Variables": variables}
        self.functions.update_function_configuration(FunctionName=function, Environment=environment)
        until(
            f"the new environment of {function}",
            lambda: self.functions.get_function_configuration(FunctionName=function),
            lambda seen: seen["LastUpdateStatus"] == "Successful",
        )
        # Callers see the alias, and through it only what is published.
        version = self.functions.publish_version(FunctionName=function)["Version"]
        self.functions.update_alias(FunctionName=function, Name=ALIAS, FunctionVersion=version)
