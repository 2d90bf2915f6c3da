"""The soak's checker finds what is wrong: a true account of three PUTs, and then one lie at a time."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from check import Evidence, check
from client import Answer
from history import Item, Write
from plan import DEFERRED, INLINE, Request
from sent import Sent

OLD, MID, NEW = "01-old", "02-mid", "03-new"


def request(number: int, mode: str) -> Request:
    return Request(number, "ada", mode, "", 0)


def sent(number: int, mode: str, status: int, headers: dict[str, str], body: bytes) -> Sent:
    return Sent(request(number, mode), "", number, number + 0.5, Answer(status, headers, body, ""))


def body(number: int) -> str:
    return request(number, INLINE).body.decode()


def user(operation: str, number: int) -> Item:
    return {"id": "ada", "op": operation, "body": body(number), "created_by": MID}


def outcome(operation: str, what: str) -> Item:
    return {"id": operation, "user": "ada", "outcome": what}


def status(operation: str, what: str) -> dict[str, Any]:
    etag = {"etag": f'"{operation}"'} if what == "succeeded" else {}
    return {"id": operation, "userId": "ada", "status": what} | etag


def truth() -> Evidence:
    """The first was deferred and superseded by the second; the third was deferred and applied; the fourth refused."""
    refusal = b'{"type":"urn:problem-type:async-put:not-written"}'
    problem = {"content-type": "application/problem+json"}
    return Evidence(
        [
            sent(0, DEFERRED, 202, {}, json.dumps({"id": OLD}).encode()),
            sent(1, INLINE, 201, {"etag": f'"{MID}"'}, request(1, INLINE).body),
            sent(2, DEFERRED, 202, {}, json.dumps({"id": NEW}).encode()),
            sent(3, DEFERRED, 503, problem, refusal),
        ],
        {OLD: status(OLD, "superseded"), NEW: status(NEW, "succeeded")},
        {"ada": user(NEW, 2)},
        {OLD: outcome(OLD, "superseded"), NEW: outcome(NEW, "succeeded")},
        [Write(None, user(MID, 1)), Write(user(MID, 1), user(NEW, 2))],
        [Write(None, outcome(OLD, "superseded")), Write(None, outcome(NEW, "succeeded"))],
    )


def test_the_truth_is_accepted() -> None:
    assert not any(check(truth()).named().values())


WRONG: dict[str, tuple[str, dict[str, Any]]] = {
    "no outcome": ("LOST", {"statuses": {OLD: status(OLD, "superseded"), NEW: status(NEW, "pending")}}),
    "no status": ("LOST", {"statuses": {OLD: status(OLD, "superseded")}}),
    "superseded by nothing": (
        "LOST",
        {"users": {"ada": user(MID, 1)}, "statuses": {OLD: status(OLD, "superseded"), NEW: status(NEW, "superseded")}},
    ),
    "failed for no reason": ("LOST", {"statuses": {OLD: status(OLD, "failed"), NEW: status(NEW, "succeeded")}}),
    "written twice": (
        "DOUBLED",
        {"user_writes": [*truth().user_writes, Write(user(NEW, 2), user(MID, 1)), Write(user(MID, 1), user(NEW, 2))]},
    ),
    "succeeded twice": (
        "DOUBLED",
        {"operation_writes": [*truth().operation_writes, Write(outcome(NEW, "succeeded"), outcome(NEW, "succeeded"))]},
    ),
    "moved down": (
        "STALE",
        {"user_writes": [Write(None, user(NEW, 2)), Write(user(NEW, 2), user(MID, 1))], "users": {"ada": user(MID, 1)}},
    ),
    "another body": ("STALE", {"users": {"ada": user(NEW, 1)}}),
    "an old user": ("STALE", {"users": {"ada": user(MID, 1)}, "user_writes": truth().user_writes[:1]}),
    "answered and never written": ("LIES", {"user_writes": [Write(None, user(NEW, 2))]}),
    "not-written and written": ("LIES", {"user_writes": [*truth().user_writes, Write(user(NEW, 2), user("04", 3))]}),
    "told otherwise than stored": (
        "LIES",
        {"statuses": {OLD: status(OLD, "succeeded"), NEW: status(NEW, "succeeded")}},
    ),
    "superseded and written": ("LIES", {"user_writes": [Write(None, user(OLD, 0)), *truth().user_writes]}),
}


@pytest.mark.parametrize(("name", "change"), WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_is_found(name: str, change: dict[str, Any]) -> None:
    assert check(dataclasses.replace(truth(), **change)).named()[name]


def test_an_answer_out_of_order_is_found() -> None:
    """The third was sent after the second was answered, so it must be newer."""
    evidence = truth()
    evidence.sent[1].started, evidence.sent[1].ended = 5, 6
    assert check(evidence).named()["STALE"]
