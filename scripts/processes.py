"""Start processes, and end them with everything they have started.

Each has the path of its log in its environment, and its children inherit that (MiniStack's
functions, cargo under sam). By it another run of this program finds them again in /proc,
without notes, and never takes another process for one of them.
"""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

POLL = 0.05
GRACE = 8.0
MARK = "LOG_OF_LOCAL_STACK"


class Failure(Exception):
    """A step failed: what happened, what to do next, and the log to look at, if any."""

    def __init__(self, what: str, next_step: str, log: Path | None = None) -> None:
        super().__init__(what)
        self.next_step = next_step
        self.log = log

    def show(self) -> int:
        """Print it; returns the exit status."""
        if self.log is not None:
            print(f"\n--- the end of {shown(self.log)}", file=sys.stderr)
            print(*last_lines(self.log, 30), "---", sep="\n", file=sys.stderr)
        print(f"error: {self}\nnext:  {self.next_step}", file=sys.stderr)
        return 1


def shown(path: Path) -> Path:
    """A path in a readable form: relative to the current directory if it is below it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def start(
    command: Sequence[str | Path], log: Path, environment: Mapping[str, str], directory: Path
) -> subprocess.Popen[bytes]:
    """Start a process that is detached from this terminal and writes to the log."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        return subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**environment, MARK: str(log)},
            cwd=directory,
            start_new_session=True,
        )


@contextlib.contextmanager
def running(
    command: Sequence[str | Path], log: Path, environment: Mapping[str, str], directory: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """A process for the duration of the block."""
    child = start(command, log, environment, directory)
    try:
        yield child
    finally:
        stop(log)
        child.wait()


def found(log: Path) -> list[int]:
    """The ids of the processes with this log, or with one in this directory."""
    mark = f"{MARK}={log}".encode()
    pids = []
    for process in Path("/proc").glob("[0-9]*"):
        # Other users' processes cannot be read, and processes that have ended have no environment.
        with contextlib.suppress(OSError):
            variables = (process / "environ").read_bytes().split(b"\0")
            if any(each == mark or each.startswith(mark + b"/") for each in variables):
                pids.append(int(process.name))
    return pids


def stop(log: Path, grace: float = GRACE) -> None:
    """End all these processes; kill those that have not ended in time."""
    for number, patience in ((signal.SIGTERM, grace), (signal.SIGKILL, 5.0)):
        for pid in found(log):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        end = time.monotonic() + patience
        while found(log) and time.monotonic() < end:
            time.sleep(POLL)


# cargo's progress bar, such as "Building [===>   ] 46/246: time-core"; cargo draws it repeatedly.
BAR = re.compile(r"Building \[[=> ]*\] (\d+)/(\d+)(: [^\r\n]*)?")


def last_lines(log: Path, count: int) -> list[str]:
    """The end of a log, without progress bars."""
    text = log.read_text(errors="replace") if log.is_file() else ""
    lines = (BAR.sub("", line).rstrip() for line in text.splitlines())
    return [line for line in lines if line][-count:]


def progress(log: Path) -> str:
    """A tool's progress: the finished and all steps of cargo, else the last line of its log."""
    if bars := BAR.findall(log.read_text(errors="replace")):
        done, all_steps, current = bars[-1]
        return f"compiled {done} of {all_steps}{current.rstrip()}"
    return " ".join(last_lines(log, 1))[:100].strip()
