"""Every write that the tables ever took, from their DynamoDB streams.

What is stored at the end does not tell whether an operation took effect twice, or was
there for a moment; the stream does. The template has no streams: the tests turn them on.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from deployment import Deployment

Item = dict[str, str]


@dataclasses.dataclass(frozen=True)
class Write:
    """An item before and after a write."""

    old: Item | None
    new: Item | None


class History:
    """The history of both tables."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._streams = deployment.client("dynamodbstreams")
        for table in ("USERS_TABLE", "OPERATIONS_TABLE"):
            name = deployment.environment[table]
            if not deployment.dynamodb.describe_table(TableName=name)["Table"].get("LatestStreamArn"):
                deployment.dynamodb.update_table(
                    TableName=name,
                    StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
                )

    def operations(self, user: str) -> list[str]:
        """The operations that wrote a user, in the order of their effects."""
        return [write.new["op"] for write in self.writes("USERS_TABLE") if write.new and write.new["id"] == user]

    def outcomes(self, operation: str) -> list[str]:
        """The outcomes that an operation ever had."""
        writes = self.writes("OPERATIONS_TABLE")
        return [write.new["outcome"] for write in writes if write.new and write.new["id"] == operation]

    def writes(self, table: str) -> Iterator[Write]:
        """All writes of a table, in their order."""
        name = self._deployment.environment[table]
        arn = self._deployment.dynamodb.describe_table(TableName=name)["Table"]["LatestStreamArn"]
        for shard in self._streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]:
            iterator = self._streams.get_shard_iterator(
                StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
            )["ShardIterator"]
            while iterator:
                page = self._streams.get_records(ShardIterator=iterator, Limit=1000)
                if not page["Records"]:
                    break
                for record in page["Records"]:
                    images = record["dynamodb"]
                    yield Write(_flat(images.get("OldImage")), _flat(images.get("NewImage")))
                iterator = page.get("NextShardIterator")


def _flat(image: Mapping[str, Mapping[str, Any]] | None) -> Item | None:
    if not image:
        return None
    return {name: str(text) for name, value in image.items() for text in value.values()}
