"""The queues."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from .service import until

Message = dict[str, Any]


class Queue:
    """One of the queues."""

    def __init__(self, sqs: Any, url: str) -> None:
        self._sqs = sqs
        self.url = url

    def size(self) -> int:
        """How many messages it contains, visible or not."""
        names = [f"ApproximateNumberOfMessages{state}" for state in ("", "NotVisible", "Delayed")]
        reply = self._sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=names)
        return sum(int(reply["Attributes"][name]) for name in names)

    def is_empty_after(self, what: str) -> None:
        """Wait until it is empty."""
        until(f"an empty queue after {what}", self.size, lambda size: size == 0)

    def look(self) -> list[Message]:
        """The visible messages with all attributes. They stay visible."""
        asked = {"MessageAttributeNames": ["All"], "AttributeNames": ["All"]}
        reply = self._sqs.receive_message(
            QueueUrl=self.url, VisibilityTimeout=0, MaxNumberOfMessages=10, **asked
        )
        return list(reply.get("Messages", []))

    def take(self, group: str) -> Message:
        """Wait for the one message of a group, and delete it."""
        (message,) = until(
            f"the message of {group}",
            lambda: [it for it in self.look() if it["Attributes"]["MessageGroupId"] == group],
        )
        self._sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
        return message

    def send(self, body: str, values: Mapping[str, str], group: str) -> None:
        """Send a message with these attributes of type String."""
        attributes = {
            name: {"DataType": "String", "StringValue": value} for name, value in values.items()
        }
        self._sqs.send_message(
            QueueUrl=self.url, MessageBody=body, MessageGroupId=group, MessageAttributes=attributes
        )

    def send_copy(self, message: Message) -> None:
        """Send the content of a received message once more."""
        group = message["Attributes"]["MessageGroupId"]
        self.send(message["Body"], attributes(message), group)

    def purge(self) -> None:
        """Delete every message."""
        self._sqs.purge_queue(QueueUrl=self.url)

    @contextlib.contextmanager
    def visibility_timeout(self, seconds: int) -> Iterator[None]:
        """Inside the block, a received message comes back after this time."""
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
