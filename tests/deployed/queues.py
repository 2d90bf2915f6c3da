"""The queues, and the event source mapping that delivers updates to `apply`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from .polling import until

Message = dict[str, Any]


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

    def look(self) -> list[Message]:
        """The visible messages with everything they carry. They stay visible."""
        return self._receive(hidden_for=0)

    def _receive(self, hidden_for: int) -> list[Message]:
        """Visible messages, which are hidden for so many seconds."""
        reply = self._sqs.receive_message(
            QueueUrl=self.url,
            VisibilityTimeout=hidden_for,
            MaxNumberOfMessages=10,
            MessageAttributeNames=["All"],
            AttributeNames=["All"],
        )
        return list(reply.get("Messages", []))

    def message_of(self, resource: str) -> Message:
        """The one message of a resource, once it is visible."""

        def found() -> list[Message]:
            return [
                each for each in self.look() if each["Attributes"]["MessageGroupId"] == resource
            ]

        (message,) = until(f"the message of {resource}", found)
        return message

    def receive(self, resource: str) -> Message:
        """The one message of a resource, which is hidden from now on."""
        message = self.message_of(resource)
        self._sqs.change_message_visibility(
            QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=60
        )
        return message

    def receive_of(self, resources: Sequence[str], count: int) -> list[Message]:
        """So many messages of these resources, which are hidden from now on."""
        found: list[Message] = []

        def all_of_them() -> bool:
            messages = self._receive(hidden_for=120)
            found.extend(
                each for each in messages if each["Attributes"]["MessageGroupId"] in resources
            )
            return len(found) == count

        until(f"{count} messages", all_of_them)
        return found

    def take(self, resource: str) -> Message:
        """The one message of a resource, which is deleted."""
        message = self.message_of(resource)
        self.delete(message)
        return message

    def send(self, body: str, values: Mapping[str, str], group: str) -> str:
        """Send a message with these attributes of type String; returns its id."""
        attributes = {
            name: {"DataType": "String", "StringValue": value} for name, value in values.items()
        }
        reply = self._sqs.send_message(
            QueueUrl=self.url, MessageBody=body, MessageGroupId=group, MessageAttributes=attributes
        )
        return str(reply["MessageId"])

    def send_copy(self, message: Message) -> str:
        """Send what a received message holds once more."""
        group = message["Attributes"]["MessageGroupId"]
        return self.send(message["Body"], attributes(message), group)

    def delete(self, message: Message) -> None:
        """Delete a received message."""
        self._sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])

    def purge(self) -> None:
        """Delete every message."""
        self._sqs.purge_queue(QueueUrl=self.url)

    @contextlib.contextmanager
    def visibility_timeout(self, seconds: int) -> Iterator[None]:
        """A received message comes back after so long inside the block."""
        name = "VisibilityTimeout"
        reply = self._sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=[name])
        self._sqs.set_queue_attributes(QueueUrl=self.url, Attributes={name: str(seconds)})
        try:
            yield
        finally:
            before = {name: reply["Attributes"][name]}
            self._sqs.set_queue_attributes(QueueUrl=self.url, Attributes=before)


def attributes(message: Message) -> dict[str, str]:
    """The attributes of a received message."""
    found = message.get("MessageAttributes", {})
    return {name: value["StringValue"] for name, value in found.items()}


def record(message: Message) -> dict[str, Any]:
    """A received message, as Lambda hands it to a function."""
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message["Attributes"],
        "messageAttributes": {
            name: {"dataType": value["DataType"], "stringValue": value["StringValue"]}
            for name, value in message["MessageAttributes"].items()
        },
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:updates",
        "awsRegion": "us-east-1",
    }


class EventSource:
    """The event source mapping from the queue of updates to `apply`."""

    def __init__(self, functions: Any, function: str, poll: Callable[[], object]) -> None:
        self._functions = functions
        self._poll = poll
        sources = functions.list_event_source_mappings(FunctionName=function)
        (mapping,) = sources["EventSourceMappings"]
        self._id = mapping["UUID"]

    @contextlib.contextmanager
    def off(self) -> Iterator[None]:
        """Nothing is delivered inside the block."""
        self._enable(False, "Disabled")
        try:
            yield
        finally:
            self._enable(True, "Enabled")
            self._poll()

    def _enable(self, enabled: bool, state: str) -> None:
        self._functions.update_event_source_mapping(UUID=self._id, Enabled=enabled)
        until(
            f"the event source mapping {state}",
            lambda: self._functions.get_event_source_mapping(UUID=self._id)["State"],
            lambda seen: seen == state,
        )
