"""The sample events in events/, and what each is to give."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .deployment import ROOT, Deployment
from .names import PARK
from .polling import until
from .queues import attributes
from .resources import SAMPLES

EVENTS = ROOT / "events"
# The function of each, in the order in which the results follow from one another.
ORDER = {
    "put-inline": "put",
    "put-inline-rest": "put",
    "put-deferred": "put",
    "put-deferred-rest": "put",
    "put-bad-json": "put",
    "apply-batch": "apply",
    f"{PARK}-batch": PARK,
    "get-resource": "read",
    "get-operation": "read",
    "cancel-operation": "put",
    "delete-deferred": "put",
    "delete-inline": "put",
    "apply-delete": "apply",
}
# Those that are batches of messages.
BATCHES = ("apply-batch", f"{PARK}-batch", "apply-delete")

Invoke = Callable[[str, Path], Any]


def difference(expected: Any, actual: Any, at: str = "") -> str | None:
    """Where the actual value is not as expected. "regex:^...$" stands for what it matches."""
    if isinstance(expected, str) and expected.startswith("regex:"):
        is_match = isinstance(actual, str) and re.fullmatch(expected.removeprefix("regex:"), actual)
        return None if is_match else f"{at}: {actual!r} does not match {expected}"
    if isinstance(expected, dict) and isinstance(actual, dict):
        if expected.keys() != actual.keys():
            return f"{at}: has the members {sorted(actual)} and not {sorted(expected)}"
        found = (difference(expected[name], actual[name], f"{at}/{name}") for name in expected)
        return next(filter(None, found), None)
    if isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
        found = (
            difference(pair[0], pair[1], f"{at}/{i}")
            for i, pair in enumerate(zip(expected, actual, strict=True))
        )
        return next(filter(None, found), None)
    is_same = (type(expected), expected) == (type(actual), actual)
    return None if is_same else f"{at}: {actual!r} and not {expected!r}"


def batch(samples: Path, name: str) -> list[dict[str, Any]]:
    """The records of a sample that is a batch of messages."""
    records: list[dict[str, Any]] = json.loads((samples / f"{name}.json").read_text())["Records"]
    return records


def operation_of(record: dict[str, Any]) -> str:
    """The operation that a record names."""
    return str(record["messageAttributes"]["operation"]["stringValue"])


def run_all(deployment: Deployment, samples: Path, invoke: Invoke) -> None:
    """Run the samples and check their results, and what they left in the tables and the queue."""
    first, second, _ = SAMPLES
    rest = json.loads((samples / "put-inline-rest.json").read_text())
    good, stale, broken, _ = batch(samples, "apply-batch")
    (dead,), (deletion,) = batch(samples, f"{PARK}-batch"), batch(samples, "apply-delete")
    for name, function in ORDER.items():
        if name == "cancel-operation":
            bodies = {each: (deployment.resource(each) or {}).get("body") for each in SAMPLES[:2]}
            assert bodies == {first: base64.b64decode(rest["body"]).decode(), second: good["body"]}
            assert (deployment.outcome(operation_of(dead)) or {})["outcome"] == "stalled"
        expected = json.loads((samples / "expected" / f"{name}.json").read_text())
        actual = invoke(function, samples / f"{name}.json")
        found = difference(expected, actual)
        assert found is None, f"{name}: {found}\n{json.dumps(actual, indent=2)}"
    ends = (
        (good, "succeeded"),
        (stale, "superseded"),
        (dead, "cancelled"),
        (deletion, "succeeded"),
    )
    for record, outcome in ends:
        item = deployment.outcome(operation_of(record))
        assert item is not None and item["outcome"] == outcome, (record, item)
    for each in (first, second):
        assert deployment.is_deleted(each)
    # The broken one came through the dead letters.
    until("both messages parked", deployment.parked.size, lambda size: size == 2)
    parked = {message["Body"] for message in deployment.parked.look()}
    assert parked == {broken["body"], dead["body"]}
    messages = deployment.queue.look()
    assert [attributes(message)["resource"] for message in messages] == [first] * 3, messages
