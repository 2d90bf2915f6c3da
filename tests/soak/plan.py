"""What a soak does, made from a seed: the requests, and the faults among them."""

from __future__ import annotations

import dataclasses
import random

DEFERRED = "deferred"
INLINE = "inline"
WAIT = "wait"

THROTTLE = "throttle"
LOSE_REPLY = "lose reply"
DELAY = "delay"
BREAK = "500"
DUPLICATE = "duplicate"
KILL_APPLY = "kill apply"
KILL_PUT = "kill put"
DYNAMODB_GONE = "DynamoDB gone"
SQS_GONE = "SQS gone"

FAULTS = {
    THROTTLE: 5,
    LOSE_REPLY: 5,
    DELAY: 4,
    BREAK: 2,
    DUPLICATE: 6,
    KILL_APPLY: 4,
    KILL_PUT: 2,
    DYNAMODB_GONE: 1,
    SQS_GONE: 1,
}
CALLS = ("UpdateItem", "TransactWriteItems", "TransactWriteItems", "PutItem", "SendMessage", "ChangeMessageVisibility")
LONGEST_DELAY = 5.0


@dataclasses.dataclass(frozen=True)
class Request:
    """A PUT. Its number stands in its body, so that a stored body names its request."""

    number: int
    user: str
    mode: str
    # Among "", "exists", "absent", "tag" (of the user's newest known version).
    precondition: str
    filler: int

    @property
    def body(self) -> bytes:
        """The body, unlike any other."""
        return b'{"request": %d, "filler": "%s"}' % (self.number, b"x" * self.filler)


@dataclasses.dataclass(frozen=True)
class Fault:
    """What goes wrong once request `at` is sent."""

    at: int
    kind: str
    call: str
    times: int
    seconds: float
    # Chooses among processes, or operations to duplicate.
    choice: float


@dataclasses.dataclass(frozen=True)
class Plan:
    """The requests in their order, and the faults in theirs."""

    requests: list[Request]
    faults: list[Fault]


def plan(seed: int, deferred: int, users: int, run: str) -> Plan:
    """So many deferred PUTs over so many users, with inline, waiting and conditional ones among them.

    The users' names hold `run`, so that a plan can be replayed on the same stack."""
    dice = random.Random(seed)
    modes = [DEFERRED] * deferred + [INLINE] * (deferred * 15 // 100) + [WAIT] * (deferred * 8 // 100)
    dice.shuffle(modes)
    requests = []
    for number, mode in enumerate(modes):
        precondition = dice.choices(["", "tag", "exists", "absent"], [85, 9, 4, 2])[0]
        user = f"soak-{run}-{dice.randrange(users)}"
        requests.append(Request(number, user, mode, precondition, dice.choice([0, 10, 100, 1000])))
    faults = []
    at = 0
    while (at := at + dice.randint(10, 30)) < len(requests):
        kind = dice.choices(list(FAULTS), list(FAULTS.values()))[0]
        seconds = dice.uniform(0.3, LONGEST_DELAY) if kind == DELAY else dice.uniform(0.5, 3)
        faults.append(Fault(at, kind, dice.choice(CALLS), dice.randint(1, 6), round(seconds, 2), dice.random()))
    # A short plan has one of every kind too.
    for kind in sorted(FAULTS.keys() - {fault.kind for fault in faults}):
        where = random.Random(f"{seed} {kind}").randrange(len(requests))
        faults.append(Fault(where, kind, "TransactWriteItems", 3, 2.0, 0.5))
    return Plan(requests, sorted(faults, key=lambda fault: fault.at))
