"""What a soak left behind, against what was answered.

Pure: it is given the requests with their answers, the status documents, and both tables
with every write they took, and computes what is wrong. The order of a user's operations
is that of their ids (UUIDv7), which inline answers show as ETag and 202s as `id`.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from history import Item, Write
from sent import Sent

FINAL = ("succeeded", "superseded", "failed")
REFUSED = ("not-written", "precondition-failed", "clock-skew")


@dataclasses.dataclass(frozen=True)
class Evidence:
    """All that is known after the end."""

    sent: list[Sent]
    # By operation; None where the status URL did not answer 200.
    statuses: Mapping[str, Any]
    users: Mapping[str, Item]
    operations: Mapping[str, Item]
    user_writes: list[Write]
    operation_writes: list[Write]


@dataclasses.dataclass
class Findings:
    """What is wrong, in words."""

    lost: list[str] = dataclasses.field(default_factory=list)
    doubled: list[str] = dataclasses.field(default_factory=list)
    stale: list[str] = dataclasses.field(default_factory=list)
    lies: list[str] = dataclasses.field(default_factory=list)

    def named(self) -> dict[str, list[str]]:
        """By the name they are printed under."""
        return {"LOST": self.lost, "DOUBLED": self.doubled, "STALE": self.stale, "LIES": self.lies}


def check(evidence: Evidence) -> Findings:
    """Everything at once."""
    checker = _Checker(evidence)
    checker.writes()
    checker.outcomes()
    for sent in evidence.sent:
        if sent.is_accepted:
            checker.accepted(sent)
        elif sent.is_written:
            checker.written(sent)
        elif sent.problem in REFUSED:
            checker.refused(sent)
        elif not sent.is_unknown:
            checker.found.lies.append(f"an answer that nobody expected: {sent}")
    checker.final_users()
    checker.order_of_answers()
    return checker.found


class _Checker:
    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        self.found = Findings()
        self.by_body = {sent.request.body.decode(): sent for sent in evidence.sent}
        # The effects: writes of users, by operation and by the request whose body they stored.
        self.effects: dict[str, list[Write]] = collections.defaultdict(list)
        self.effects_of_request: dict[int, list[Write]] = collections.defaultdict(list)

    def writes(self) -> None:
        """Every write moved a user up, and stored a body that was sent for it."""
        for write in self.evidence.user_writes:
            if write.new is None:
                self.found.lost.append(f"a user was deleted: {write}")
                continue
            self.effects[write.new["op"]].append(write)
            if write.old is not None and write.old["op"] >= write.new["op"]:
                self.found.stale.append(f"a user moved down: {write}")
            source = self.by_body.get(write.new["body"])
            if source is None or source.request.user != write.new["id"]:
                self.found.lies.append(f"nobody sent what was stored: {write}")
                continue
            self.effects_of_request[source.request.number].append(write)
            if source.operation is not None and source.operation != write.new["op"]:
                self.found.lies.append(f"written as another operation than was answered: {write}, {source}")
        for operation, writes in self.effects.items():
            if len(writes) > 1:
                self.found.doubled.append(f"{operation} wrote {len(writes)} times: {writes}")
        for number, writes in self.effects_of_request.items():
            if len({write.new["op"] for write in writes if write.new}) > 1:
                self.found.doubled.append(f"request {number} wrote as several operations: {writes}")

    def outcomes(self) -> None:
        """Every operation has one final outcome, and it is true of the users' history."""
        final: dict[str, list[Item]] = collections.defaultdict(list)
        for write in self.evidence.operation_writes:
            if write.new is None:
                self.found.lost.append(f"an outcome was deleted: {write}")
                continue
            final[write.new["id"]].append(write.new)
            if write.old is not None and "provisional" not in write.old:
                self.found.doubled.append(f"a final outcome was replaced: {write}")
        for operation, items in final.items():
            item = items[-1]
            if item != self.evidence.operations.get(operation):
                self.found.lies.append(f"{operation} ended as {item}, and the table has another")
            if (item["outcome"] == "succeeded") != (operation in self.effects):
                self.found.lies.append(f"{operation} is {item['outcome']}, and it wrote {self.effects.get(operation)}")

    def accepted(self, sent: Sent) -> None:
        """A 202: its status tells a final outcome that is true."""
        operation = str(sent.operation)
        document = self.evidence.statuses.get(operation)
        if document is None or document["status"] not in FINAL:
            self.found.lost.append(f"{operation} has no outcome: {document}, {sent}")
            return
        status, item = document["status"], self.evidence.operations.get(operation)
        if item is None or item["outcome"] != status or item["user"] != sent.request.user:
            self.found.lies.append(f"the status {document} and the table's {item}")
        if document["id"] != operation or document["userId"] != sent.request.user:
            self.found.lies.append(f"the status of {operation} is {document}")
        if document.get("etag") != (f'"{operation}"' if status == "succeeded" else None):
            self.found.lies.append(f"the etag in {document}")
        is_written = operation in self.effects
        if is_written != (status == "succeeded"):
            self.found.lies.append(f"{operation} is {status}, and it wrote {self.effects.get(operation)}")
        stored = self.evidence.users.get(sent.request.user)
        if status == "superseded" and (stored is None or stored["op"] <= operation):
            self.found.lost.append(f"{operation} is superseded, and nothing newer is stored: {stored}")
        if status == "failed":
            self._failed(sent, operation, document)

    def _failed(self, sent: Sent, operation: str, document: Any) -> None:
        kind = document.get("error", {}).get("type", "").rpartition(":")[2]
        if not sent.precondition:
            self.found.lost.append(f"{operation} had no precondition and failed: {document}")
        elif kind != "precondition-failed":
            self.found.lies.append(f"{operation} failed for no precondition: {document}")
        elif sent.precondition.startswith("If-None-Match"):
            first = next(
                (w.new["op"] for w in self.evidence.user_writes if w.new and w.new["id"] == sent.request.user), None
            )
            if first is None:
                self.found.lies.append(f"{operation} failed for a user that never was")

    def written(self, sent: Sent) -> None:
        """A 200 or 201: it took effect, and told truly whether it made the user."""
        operation = str(sent.operation)
        assert sent.answer is not None
        writes = self.effects.get(operation)
        if not writes:
            self.found.lies.append(f"answered {sent.answer.status} and never written: {sent}")
        elif (writes[0].old is None) != (sent.answer.status == 201):
            self.found.lies.append(f"answered {sent.answer.status} of {writes}")
        if sent.answer.body != sent.request.body:
            self.found.lies.append(f"another body in the answer: {sent}")

    def refused(self, sent: Sent) -> None:
        """A refusal that says that nothing was written."""
        writes = self.effects_of_request.get(sent.request.number)
        if writes:
            self.found.lies.append(f"{sent.problem}, and written: {sent}, {writes}")

    def final_users(self) -> None:
        """A user is at its newest operation, and has that one's body."""
        newest: dict[str, Sent] = {}
        for sent in self.evidence.sent:
            document = self.evidence.statuses.get(sent.operation or "") or {}
            if sent.operation is None or (sent.is_accepted and document.get("status") == "failed"):
                continue
            if sent.operation > (newest[sent.request.user].operation or "" if sent.request.user in newest else ""):
                newest[sent.request.user] = sent
        last = {write.new["id"]: write.new for write in self.evidence.user_writes if write.new}
        for user in {*last, *self.evidence.users, *newest}:
            stored = self.evidence.users.get(user)
            if stored is None or stored != last.get(user):
                self.found.stale.append(f"{user} is {stored}, and was written last as {last.get(user)}")
                continue
            expected = newest.get(user)
            if expected is None or stored["op"] > str(expected.operation):
                # Something newer than all that was acknowledged: only an unknown answer may be that.
                source = self.by_body.get(stored["body"])
                if source is None or not source.is_unknown:
                    self.found.stale.append(f"{user} is {stored}, the newest acknowledged is {expected}")
            elif stored["op"] < str(expected.operation) or stored["body"] != expected.request.body.decode():
                self.found.stale.append(f"{user} is {stored}, the newest acknowledged is {expected}")

    def order_of_answers(self) -> None:
        """What was sent after an answer is newer than what was answered."""
        by_user: dict[str, list[Sent]] = collections.defaultdict(list)
        for sent in self.evidence.sent:
            if sent.operation is not None:
                by_user[sent.request.user].append(sent)
        for all_sent in by_user.values():
            answered = sorted(all_sent, key=lambda sent: sent.ended)
            newest, position = "", 0
            for sent in sorted(all_sent, key=lambda sent: sent.started):
                while answered[position].ended < sent.started:
                    newest = max(newest, str(answered[position].operation))
                    position += 1
                if str(sent.operation) <= newest:
                    self.found.stale.append(f"{sent} is older than {newest}, which was answered before it was sent")


def figures(evidence: Evidence) -> dict[str, int]:
    """How many of each answer and outcome there were."""
    answers = collections.Counter(_kind(sent) for sent in evidence.sent)
    statuses = collections.Counter(
        str((evidence.statuses.get(str(sent.operation)) or {}).get("status"))
        for sent in evidence.sent
        if sent.is_accepted
    )
    return _ordered(answers, ("accepted", "inline 200 or 201", "503 not-written", "503 outcome-unknown")) | _ordered(
        statuses, FINAL
    )


def _ordered(counts: Mapping[str, int], first: Iterable[str]) -> dict[str, int]:
    return {name: counts.get(name, 0) for name in first} | dict(counts)


def _kind(sent: Sent) -> str:
    if sent.is_accepted:
        return "accepted"
    if sent.is_written:
        return "inline 200 or 201"
    if sent.answer is None or sent.problem is None:
        return "no answer (killed)"
    return f"{sent.answer.status} {sent.problem}"
