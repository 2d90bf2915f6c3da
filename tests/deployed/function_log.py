"""When the function `put` ran, from its log: Lambda's own lines beside those of the function.

https://docs.aws.amazon.com/lambda/latest/dg/telemetry-schema-reference.html
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import uuid
from collections.abc import Iterable
from typing import Any

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
MILLISECOND = datetime.timedelta(milliseconds=1)


@dataclasses.dataclass(frozen=True)
class Start:
    """How long after its arrival at the gateway the function got a PUT."""

    milliseconds: float
    # Whether the function itself had to be started for it.
    is_cold: bool


def starts(lines: Iterable[str]) -> list[Start]:
    """Those of every invocation whose lines tell its start and its operation."""
    started: dict[str, datetime.datetime] = {}
    cold: set[str] = set()
    operations: dict[str, str] = {}
    for line in filter(None, map(_parsed, lines)):
        record = line.get("record", {})
        if line.get("type") == "platform.start":
            started[record["requestId"]] = datetime.datetime.fromisoformat(line["time"])
        elif line.get("type") == "platform.report":
            if "initDurationMs" in record.get("metrics", {}):
                cold.add(record["requestId"])
        elif {"requestId", "operation"} <= line.keys():
            operations[line["requestId"]] = line["operation"]
    return [
        Start((started[request] - _arrival(operation)) / MILLISECOND, request in cold)
        for request, operation in operations.items()
        if request in started
    ]


def summary(found: list[Start]) -> str:
    """The quantiles of the warm ones and the longest of the cold ones, in milliseconds."""
    warm = sorted(each.milliseconds for each in found if not each.is_cold)
    cold = sorted(each.milliseconds for each in found if each.is_cold)
    parts = [f"{len(warm)} warm"]
    if warm:
        parts.append(f"p50 {_quantile(warm, 0.5):.0f} ms, p99 {_quantile(warm, 0.99):.0f} ms")
    parts.append(f"{len(cold)} cold" + (f", at most {cold[-1]:.0f} ms" if cold else ""))
    return ", ".join(parts)


def _quantile(ordered: list[float], part: float) -> float:
    return ordered[min(int(part * len(ordered)), len(ordered) - 1)]


def _arrival(operation: str) -> datetime.datetime:
    """The time in an operation id, a UUIDv7."""
    return EPOCH + (uuid.UUID(operation).int >> 80) * MILLISECOND


def _parsed(line: str) -> dict[str, Any] | None:
    try:
        parsed = json.loads(line)
    except ValueError:
        return None
    return parsed if isinstance(parsed, dict) else None
