"""Processes: start them, recognise them later, and end them with everything they started.

Each process gets a session of its own. Whatever it starts stays in that session
(MiniStack's functions, cargo under sam), so the session is what gets ended. A
process is remembered by its id and its start time, so an id that the system has
given to somebody else since is never signalled.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

POLL = 0.1
GRACE = 8.0


class Failure(Exception):
    """A step failed. `what` happened, the `log` to look at (if any), and what to do `next`."""

    def __init__(self, what: str, next_step: str, log: Path | None = None) -> None:
        super().__init__(what)
        self.next_step = next_step
        self.log = log


class Interrupted(Exception):
    """Ctrl-C, a TERM or HUP signal, or the end of the process that started this one."""


class Interrupts:
    """Notes that the program should end; the waiting loops ask by calling `check`.

    The signal handler only sets a flag: an exception thrown out of it could strike
    between starting a process and remembering it.
    """

    def __init__(self) -> None:
        self._reason: str | None = None
        self._parent = os.getppid()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._note)

    def _note(self, number: int, _frame: object) -> None:
        self._reason = signal.Signals(number).name

    def check(self) -> None:
        """Raise Interrupted when it is time to end."""
        if self._reason is None and os.getppid() != self._parent:
            self._reason = "the parent process is gone"
        if self._reason is not None:
            raise Interrupted(self._reason)

    def wait(self, seconds: float = POLL) -> None:
        """Sleep, then check."""
        time.sleep(seconds)
        self.check()


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat from the state on, or None when there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    return text.rpartition(")")[2].split()


def _runs(fields: list[str]) -> bool:
    """Whether the process does; a finished one that nobody has collected yet does not."""
    return fields[0] not in "ZX"


@dataclasses.dataclass(frozen=True)
class Process:
    """The leader of a session, recognisable across runs of this program."""

    pid: int
    started: int  # clock ticks since boot

    @classmethod
    def of(cls, child: subprocess.Popen[bytes]) -> Process:
        """Remember a child that has not been waited for yet, so that its entry is there."""
        fields = _stat(child.pid)
        if fields is None:
            raise Failure(f"process {child.pid} vanished", "try again")
        return cls(child.pid, int(fields[19]))

    def is_alive(self) -> bool:
        """Whether that very process still runs."""
        fields = _stat(self.pid)
        return fields is not None and _runs(fields) and int(fields[19]) == self.started

    def session(self) -> list[int]:
        """The ids of the running processes of its session, itself included."""
        leader = _stat(self.pid)
        if leader is not None and int(leader[19]) != self.started:
            return []  # The id belongs to another process now, so the session is over.
        pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
        return [
            pid
            for pid in pids
            if (fields := _stat(pid)) and _runs(fields) and int(fields[3]) == self.pid
        ]

    def stop(self, grace: float = GRACE) -> None:
        """End the session: TERM to the leader, then TERM to what is left of it, then KILL."""
        self._signal([self.pid] if self.is_alive() else [], signal.SIGTERM, grace)
        self._signal(self.session(), signal.SIGTERM, 2.0)
        self._signal(self.session(), signal.SIGKILL, 5.0)

    def _signal(self, pids: list[int], number: int, patience: float) -> None:
        """Send the signal and wait until these processes have ended, or patience has."""
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        end = time.monotonic() + patience
        while time.monotonic() < end and set(pids) & set(self.session()):
            time.sleep(POLL / 2)


def start(
    command: Sequence[str | Path], log: Path, environment: Mapping[str, str], directory: Path
) -> subprocess.Popen[bytes]:
    """Start a process in a session of its own, its output going to the log."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        return subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            cwd=directory,
            start_new_session=True,
        )


# cargo's progress bar, such as "Building [===>   ] 46/246: time-core"; it is drawn over itself.
BAR = re.compile(r"Building \[[=> ]*\] (\d+)/(\d+)(: [^\r\n]*)?")


def last_lines(log: Path, count: int) -> list[str]:
    """The end of a log, without progress bars."""
    try:
        text = log.read_text(errors="replace")
    except OSError:
        return []
    lines = (BAR.sub("", line).rstrip() for line in text.splitlines())
    return [line for line in lines if line][-count:]


def progress(log: Path) -> str:
    """How far a tool is: the steps that cargo has done of all, else the last line of its log."""
    bars = BAR.findall(log.read_text(errors="replace"))
    if bars:
        done, all_steps, current = bars[-1]
        return f"compiled {done} of {all_steps}{current.rstrip()}"
    return " ".join(last_lines(log, 1))[:100].strip()
