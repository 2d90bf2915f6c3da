"""The deployed stack, seen from outside: its API, and its tables, queue and functions through boto3.

boto3 is another client than the functions' Rust SDK, so what it reads is what any
other program would read.
"""

from __future__ import annotations

import contextlib
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
import botocore.config

from client import Answer, Api
from polling import until

ROOT = Path(__file__).resolve().parent.parent.parent


def stack_command(command: str, local: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run scripts/stack.py on the stack in `local`, as the Makefile does."""
    python = ROOT / ".tools" / "sam" / "bin" / "python"
    line: list[str | Path] = [python, ROOT / "scripts" / "stack.py", command, "--port", "0", "--local-dir", local, *options]
    return subprocess.run(line, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)


class Deployment:
    """One running stack, as its stack.env describes it."""

    def __init__(self, environment_file: Path) -> None:
        lines = environment_file.read_text().splitlines()
        self.environment = {key: shlex.split(value)[0] for key, _, value in (line.partition("=") for line in lines)}
        self.local = environment_file.resolve().parent
        self.endpoint = self.environment["AWS_ENDPOINT_URL"]
        self.api = Api.at(self.environment["API_URL"])
        self.dynamodb = self.client("dynamodb")
        self.sqs = self.client("sqs")
        self.functions = self.client("lambda")
        self.queue = Queue(self.sqs, self.environment["UPDATES_QUEUE_URL"])
        self.parked = Queue(self.sqs, self.environment["PARKED_QUEUE_URL"])
        self.mapping = EventSource(self.functions, self.environment["APPLY_FUNCTION"])

    def client(self, service: str) -> Any:
        """A client that reads no setting of this machine."""
        key, secret = self.environment["AWS_ACCESS_KEY_ID"], self.environment["AWS_SECRET_ACCESS_KEY"]
        session = boto3.session.Session(key, secret, region_name=self.environment["AWS_REGION"])
        return session.client(service, endpoint_url=self.endpoint, config=botocore.config.Config(proxies={}))

    # What is stored

    def user(self, user: str) -> dict[str, str] | None:
        """The item of a user."""
        return self._item("USERS_TABLE", user)

    def outcome(self, operation: str) -> dict[str, str] | None:
        """The item of an operation."""
        return self._item("OPERATIONS_TABLE", operation)

    def _item(self, table: str, key: str) -> dict[str, str] | None:
        reply = self.dynamodb.get_item(
            TableName=self.environment[table], Key={"id": {"S": key}}, ConsistentRead=True
        )
        item = reply.get("Item")
        # All attributes are strings or numbers, whose text is what counts.
        return item and {name: str(text) for name, value in item.items() for text in value.values()}

    def footprint(self) -> dict[str, int]:
        """How much is stored and queued."""
        count = {"messages": self.queue.size()}
        for table in ("USERS_TABLE", "OPERATIONS_TABLE"):
            pages = self.dynamodb.get_paginator("scan").paginate(
                TableName=self.environment[table], Select="COUNT", ConsistentRead=True
            )
            count[table] = sum(page["Count"] for page in pages)
        return count

    def forget(self, *, users: tuple[str, ...] = (), operations: tuple[str, ...] = ()) -> None:
        """Delete items."""
        for table, keys in (("USERS_TABLE", users), ("OPERATIONS_TABLE", operations)):
            for key in keys:
                self.dynamodb.delete_item(TableName=self.environment[table], Key={"id": {"S": key}})

    # What happens

    def completed(self, accepted: Answer, seconds: float = 30) -> Any:
        """The status document of an operation once it is no longer pending."""
        answer = until(
            f"the end of {accepted.json()['id']}",
            lambda: self.api.status(accepted),
            lambda answer: answer.status != 200 or answer.json()["status"] != "pending",
            seconds,
        )
        assert answer.status == 200, answer
        return answer.json()

    # The functions' environment

    @contextlib.contextmanager
    def functions_use(self, variables: Mapping[str, str]) -> Iterator[None]:
        """Add variables to the environment of every function, and put back what was there after."""
        names = [self.environment[f"{name}_FUNCTION"] for name in ("PUT", "READ", "APPLY", "BURY")]
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

    def _variables(self, function: str) -> dict[str, str]:
        configuration = self.functions.get_function_configuration(FunctionName=function)
        return dict(configuration["Environment"]["Variables"])

    def _set_variables(self, function: str, variables: Mapping[str, str]) -> None:
        self.functions.update_function_configuration(FunctionName=function, Environment={"Variables": variables})
        until(
            f"the new environment of {function}",
            lambda: self.functions.get_function_configuration(FunctionName=function)["LastUpdateStatus"],
            lambda status: status == "Successful",
        )


class Queue:
    """One of the queues."""

    def __init__(self, sqs: Any, url: str) -> None:
        self._sqs = sqs
        self.url = url

    def size(self) -> int:
        """How many messages it holds, visible or not."""
        names = [f"ApproximateNumberOfMessages{state}" for state in ("", "NotVisible", "Delayed")]
        reply = self._sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=names)
        return sum(int(reply["Attributes"][name]) for name in names)

    def is_empty_after(self, what: str) -> None:
        """Wait until it holds nothing."""
        until(f"an empty queue after {what}", self.size, lambda size: size == 0)

    def look(self) -> list[dict[str, Any]]:
        """The visible messages with everything they carry. They stay visible."""
        reply = self._sqs.receive_message(
            QueueUrl=self.url,
            VisibilityTimeout=0,
            MaxNumberOfMessages=10,
            MessageAttributeNames=["All"],
            AttributeNames=["All"],
        )
        return list(reply.get("Messages", []))

    def message_of(self, user: str) -> dict[str, Any]:
        """The one visible message of a user."""
        found = [message for message in self.look() if attributes(message).get("user") == user]
        assert len(found) == 1, found
        return found[0]

    def send(self, body: str, values: Mapping[str, str], group: str = "test") -> str:
        """Send a message with these attributes of type String; returns its id."""
        reply = self._sqs.send_message(
            QueueUrl=self.url,
            MessageBody=body,
            MessageGroupId=group,
            MessageAttributes={name: {"DataType": "String", "StringValue": value} for name, value in values.items()},
        )
        return str(reply["MessageId"])

    def send_copy(self, message: Mapping[str, Any]) -> str:
        """Send what a received message holds once more."""
        return self.send(message["Body"], attributes(message), message["Attributes"]["MessageGroupId"])

    def delete(self, message: Mapping[str, Any]) -> None:
        """Delete a received message."""
        self._sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])

    def purge(self) -> None:
        """Delete every message."""
        self._sqs.purge_queue(QueueUrl=self.url)


def attributes(message: Mapping[str, Any]) -> dict[str, str]:
    """The attributes of a received message."""
    return {name: value["StringValue"] for name, value in message.get("MessageAttributes", {}).items()}


class EventSource:
    """The event source mapping from the queue of updates to apply."""

    def __init__(self, functions: Any, function: str) -> None:
        self._functions = functions
        (mapping,) = functions.list_event_source_mappings(FunctionName=function)["EventSourceMappings"]
        self._id = mapping["UUID"]

    @contextlib.contextmanager
    def off(self) -> Iterator[None]:
        """Nothing is delivered inside the block."""
        self._enable(False, "Disabled")
        try:
            yield
        finally:
            self._enable(True, "Enabled")

    def _enable(self, enabled: bool, state: str) -> None:
        self._functions.update_event_source_mapping(UUID=self._id, Enabled=enabled)
        until(
            f"the event source mapping {state}",
            lambda: self._functions.get_event_source_mapping(UUID=self._id)["State"],
            lambda seen: seen == state,
        )
