"""How long after a PUT's arrival at the gateway `put` ran and decided it, from its log: Lambda's
own lines beside those of the function.

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
class Run:
    """What one PUT's lines tell, in milliseconds after its arrival."""

    # The function had decided the PUT and wrote its line.
    decided: float
    # The function got the PUT; only Lambda tells.
    started: float | None = None
    # Whether the function itself had to be started for it; only Lambda tells, and after the rest.
    is_cold: bool | None = None


def runs(lines: Iterable[str], resources: Iterable[str]) -> list[Run]:
    """Those of the PUTs of these resources, each of which must be decided once and without a key:
    then the time in the id of its operation is that of its arrival.
    """
    parsed = [line for line in map(_parsed, lines) if line]
    of_lambda = [line for line in parsed if isinstance(line.get("record"), dict)]
    begun = {
        line["record"]["requestId"]: line["time"]
        for line in of_lambda
        if line["type"] == "platform.start"
    }
    cold = {
        line["record"]["requestId"]: "initDurationMs" in line["record"]["metrics"]
        for line in of_lambda
        if line["type"] == "platform.report"
    }
    found = []
    for line in parsed:
        if line.get("resource") in set(resources) and {"WrittenInline", "Accepted"} & line.keys():
            request, operation = line["requestId"], line["operation"]
            started = begun.get(request)
            found.append(
                Run(
                    _after_arrival(line["timestamp"], operation),
                    None if started is None else _after_arrival(started, operation),
                    cold.get(request),
                )
            )
    return found


def summary(found: list[Run]) -> str:
    """The range and the quantiles in milliseconds."""
    started = [run for run in found if run.started is not None]
    warm = [run.started for run in started if run.started is not None and not run.is_cold]
    cold = [run.started for run in started if run.started is not None and run.is_cold]
    parts = []
    if started:
        parts.append(f"to its start: warm {_quantiles(warm)}; cold {_quantiles(cold)}")
    else:
        parts.append("to its start: Lambda did not log it")
    parts.append(f"to its decision: {_quantiles([run.decided for run in found])}")
    return "; ".join(parts)


def _quantiles(times: list[float]) -> str:
    if not times:
        return "none"
    ordered = sorted(times)
    p50, p99 = (ordered[min(int(part * len(ordered)), len(ordered) - 1)] for part in (0.5, 0.99))
    least, most = ordered[0], ordered[-1]
    return f"{least:.0f} to {most:.0f} ms, p50 {p50:.0f}, p99 {p99:.0f}, of {len(ordered)}"


def _after_arrival(time: str, operation: str) -> float:
    """From the time in an operation id, a UUIDv7."""
    arrival = EPOCH + (uuid.UUID(operation).int >> 80) * MILLISECOND
    return (datetime.datetime.fromisoformat(time) - arrival) / MILLISECOND


def _parsed(line: str) -> dict[str, Any] | None:
    try:
        parsed = json.loads(line)
    except ValueError:
        return None
    return parsed if isinstance(parsed, dict) else None
