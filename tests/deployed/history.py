"""Every write that the tables took, from their DynamoDB streams.

What is stored at the end does not tell whether an operation took effect twice, or was
there for a moment; the stream does. The template has no streams: the tests turn them on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .deployment import Deployment

Item = dict[str, str]


class History:
    """The history of both tables, from now on."""

    def __init__(self, deployment: Deployment) -> None:
        self._resources = _Stream(deployment, "RESOURCES_TABLE")
        self._operations = _Stream(deployment, "OPERATIONS_TABLE")

    def of_resource(self, resource: str) -> list[str]:
        """The operations that wrote a resource, in the order of their effects."""
        return [item["op"] for item in self._resources.items() if item["id"] == resource]

    def of_operation(self, operation: str) -> list[str]:
        """The outcomes that an operation ever had."""
        return [item["outcome"] for item in self._operations.items() if item["id"] == operation]


class _Stream:
    """The items that were written to one table, in their order."""

    def __init__(self, deployment: Deployment, table: str) -> None:
        name = deployment.environment[table]
        deployment.dynamodb.update_table(
            TableName=name,
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
        )
        arn = deployment.dynamodb.describe_table(TableName=name)["Table"]["LatestStreamArn"]
        self._streams = deployment.client("dynamodbstreams")
        stream = self._streams.describe_stream(StreamArn=arn)["StreamDescription"]
        (shard,) = stream["Shards"]
        self._next = self._streams.get_shard_iterator(
            StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        self._items: list[Item] = []

    def items(self) -> list[Item]:
        """All until now."""
        while True:
            page = self._streams.get_records(ShardIterator=self._next, Limit=1000)
            images = (record["dynamodb"].get("NewImage") for record in page["Records"])
            self._items += [_flat(image) for image in images if image]
            self._next = page["NextShardIterator"]
            if not page["Records"]:
                return self._items


def _flat(image: Mapping[str, Mapping[str, Any]]) -> Item:
    return {name: str(text) for name, value in image.items() for text in value.values()}
