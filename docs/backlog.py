"""How the backlog of deferred PUTs grows and drains around an outage of the tables of an hour.

    python3 -m docs.backlog    # prints the table of docs/scale.md

The model goes second by second, with quantities where AWS has single messages, and without
chance, so that it gives the same figures everywhere. In it are: the receives that SQS counts and
the back-off of `apply`, that suspects run one at a time, SQS's bound of messages in flight, the
growth of Lambda's pollers, the share of a CPU that the memory buys, and what the tables take.
Not in it: what SQS and Lambda need to hand a batch over beyond a fixed time, cold starts, and
several updates of one user in a batch, which would cost one write and drain faster.
"""

import math
from dataclasses import dataclass, field
from pathlib import Path

PAGE = Path(__file__).resolve().parent / "scale.md"
BEGIN, END = "<!-- python3 -m docs.backlog -->\n", "<!-- end -->\n"

OUTAGE = 3600
# Before the outage, in the normal state.
CALM = 600
# The model gives up here: the backlog does not drain.
LONGEST = 6 * 3600

# What stands in the code and the template.
USERS_AT_A_TIME = 100
SUSPECT_RECEIVES = 4
BACK_OFF_MAX = 900
# 30 s of an invocation, less 1 s for the answer and 5 s for a last call.
TIME_TO_BEGIN_CALLS = 24.0

# What AWS documents; docs/scale.md has the sources.
IN_FLIGHT = 120_000
FIRST_INVOCATIONS, MORE_INVOCATIONS_A_SECOND = 5, 300 / 60
MEMORY_OF_A_CPU = 1769

# Measured, see docs/performance.md, and assumed.
CPU_OF_AN_OPERATION = 0.00015
TABLE_LATENCY = 0.005
HAND_OVER = 0.010
# Three throttled calls and the two pauses between them.
THROTTLED = 3 * TABLE_LATENCY + 0.0375 + 0.075

# A message that was received more often is backed off no longer: 2**10 s is over 15 min.
MOST_RECEIVES = 40


@dataclass(frozen=True)
class Setting:
    """A load, and the parameters of the template that it meets."""

    rate: int
    batch: int
    concurrency: int
    memory: int = 256
    # What the tables take, in multiples of the load.
    tables: int = 2


SETTINGS = (
    Setting(rate=1_000, batch=10, concurrency=5),
    Setting(rate=1_000, batch=10, concurrency=50),
    Setting(rate=1_000, batch=100, concurrency=10),
    Setting(rate=1_000, batch=100, concurrency=50, tables=4),
    Setting(rate=50_000, batch=10, concurrency=5),
    Setting(rate=50_000, batch=100, concurrency=100),
    Setting(rate=50_000, batch=100, concurrency=1_000),
    Setting(rate=50_000, batch=100, concurrency=1_000, tables=4),
)


@dataclass
class Run:
    """What happened, second by second and in sum."""

    setting: Setting
    backlog: list[float] = field(default_factory=list)
    # The share of them at the end of the outage.
    suspects: float = 0.0
    most_in_flight: float = 0.0
    most_receives: int = 0
    drained_after: str = "never"


class Queue:
    """The messages by how often they were received: those to be seen, and those hidden."""

    def __init__(self) -> None:
        self.visible = [0.0] * (MOST_RECEIVES + 1)
        self.hidden = [0.0] * (MOST_RECEIVES + 1)
        # How many come back each second, and how that changes at a later second.
        self._coming = [0.0] * (MOST_RECEIVES + 1)
        self._changes: dict[int, list[tuple[int, float]]] = {}

    def tick(self, now: int) -> None:
        """Let those come back whose time is over."""
        for receives, change in self._changes.pop(now, []):
            self._coming[receives] += change
        for receives, coming in enumerate(self._coming):
            back = min(max(coming, 0.0), self.hidden[receives])
            self.hidden[receives] -= back
            self.visible[receives] += back

    def receive(self, count: float) -> list[float]:
        """Take messages at random."""
        total = sum(self.visible)
        share = min(1.0, count / total) if total > 0 else 0.0
        taken = [visible * share for visible in self.visible]
        self.visible = [visible - out for visible, out in zip(self.visible, taken, strict=True)]
        return taken

    def hide(self, now: int, receives: int, count: float) -> None:
        """Back off what was received so often: for half of the doubled time to all of it."""
        receives = min(receives, MOST_RECEIVES)
        longest = min(2 ** (receives - 1), BACK_OFF_MAX)
        first = now + max(1, longest // 2)
        last = max(first + 1, now + longest)
        each = count / (last - first)
        self.hidden[receives] += count
        self._changes.setdefault(first, []).append((receives, each))
        self._changes.setdefault(last, []).append((receives, -each))

    def size(self) -> float:
        """All messages but those that are being worked on."""
        return sum(self.visible) + sum(self.hidden)


def suspects_of(by_receives: list[float]) -> float:
    """How many will be suspects at their next receive."""
    return sum(by_receives[SUSPECT_RECEIVES - 1 :])


def batch_time(setting: Setting, share_of_suspects: float, *, is_down: bool) -> tuple[float, float]:
    """Seconds that a full batch takes, and the share of the suspects that it has time for."""
    cpu = CPU_OF_AN_OPERATION * MEMORY_OF_A_CPU / setting.memory
    call = THROTTLED if is_down else TABLE_LATENCY
    suspects = setting.batch * share_of_suspects
    users = setting.batch - suspects
    rounds = math.ceil(round(users, 6) / USERS_AT_A_TIME)
    together = max(rounds * call, users * cpu)
    alone = suspects * (call + cpu)
    time_left = max(0.0, TIME_TO_BEGIN_CALLS - together)
    in_time = min(1.0, time_left / alone) if alone > 0 else 1.0
    return HAND_OVER + together + alone * in_time, in_time


def run(setting: Setting) -> Run:
    """The model."""
    queue, result, invocations = Queue(), Run(setting), 0.0
    for now in range(LONGEST):
        is_down = CALM <= now < CALM + OUTAGE
        queue.tick(now)
        queue.visible[0] += setting.rate
        total = sum(queue.visible)
        share = suspects_of(queue.visible) / total if total > 0 else 0.0
        seconds, in_time = batch_time(setting, share, is_down=is_down)
        grown = max(invocations, FIRST_INVOCATIONS) + MORE_INVOCATIONS_A_SECOND
        wanted = math.ceil(total * seconds / setting.batch)
        invocations = min(grown, setting.concurrency, max(wanted, FIRST_INVOCATIONS))
        # No more are received than may be in flight: hidden ones, and those being worked on.
        room = max(0.0, IN_FLIGHT - sum(queue.hidden))
        working = min(invocations * setting.batch, total, room)
        taken_by_tables = 0 if is_down else setting.tables * setting.rate
        received = queue.receive(min(working / seconds, taken_by_tables + room - working))
        result.most_in_flight = max(result.most_in_flight, sum(queue.hidden) + working)
        begun = [
            count * (in_time if receives >= SUSPECT_RECEIVES - 1 else 1.0)
            for receives, count in enumerate(received)
        ]
        landed = min(1.0, taken_by_tables / sum(begun)) if sum(begun) > 0 else 0.0
        for receives, count in enumerate(received):
            back = count - begun[receives] * landed
            if back > 0:
                queue.hide(now, receives + 1, back)
            if back >= 1:
                result.most_receives = max(result.most_receives, receives + 1)
        result.backlog.append(queue.size())
        if now == CALM + OUTAGE - 1:
            waiting = suspects_of(queue.visible) + suspects_of(queue.hidden)
            result.suspects = waiting / queue.size()
        # Messages of two seconds: nobody waits noticeably longer than without the outage.
        if now >= CALM + OUTAGE and queue.size() <= 2 * setting.rate:
            result.drained_after = f"{math.ceil((now + 1 - CALM - OUTAGE) / 60):,} min"
            break
    return result


HEAD = (
    "| PUT/s | `ApplyBatchSize` | `ApplyMaximumConcurrency` | invocations carry out"
    " | tables take | backlog after the hour | of it suspects | most in flight"
    " | most receives | drained after |\n"
    "|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n"
)


def table(runs: list[Run]) -> str:
    """What docs/scale.md shows."""
    text = HEAD
    for done in runs:
        setting = done.setting
        seconds, _ = batch_time(setting, 0.0, is_down=False)
        # Operations a second, whatever the tables take.
        carried_out = setting.concurrency * setting.batch / seconds
        taken = setting.tables * setting.rate
        text += f"| {setting.rate:,} | {setting.batch:,} | {setting.concurrency:,} "
        text += f"| {round(carried_out, -2):,.0f}/s | {taken:,}/s "
        text += f"| {done.backlog[CALM + OUTAGE - 1] / 1e6:,.1f} million | {done.suspects:.1%} "
        text += f"| {done.most_in_flight:,.0f} | {done.most_receives} | {done.drained_after} |\n"
    return text


if __name__ == "__main__":
    print(table([run(setting) for setting in SETTINGS]), end="")
