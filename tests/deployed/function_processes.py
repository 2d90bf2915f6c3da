"""The processes that run the deployed functions: children of MiniStack."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from pathlib import Path

from .deployment import Deployment


def pids_of(deployment: Deployment, function: str) -> list[int]:
    """The processes of a function, such as "APPLY"."""
    ministack = json.loads((deployment.local / "stack.json").read_text())["processes"]["ministack"][
        "pid"
    ]
    name = f"AWS_LAMBDA_FUNCTION_NAME={deployment.environment[f'{function}_FUNCTION']}".encode()
    return [pid for pid in _children(ministack) if name in _environment(pid)]


def kill(deployment: Deployment, function: str) -> int:
    """SIGKILL every process of a function; returns how many there were."""
    pids = pids_of(deployment, function)
    for pid in pids:
        kill_one(pid)
    return len(pids)


def kill_one(pid: int) -> None:
    """SIGKILL one process that may have ended."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _children(parent: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                fields = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()
                if int(fields[1]) == parent and fields[0] not in "ZX":
                    found.append(int(entry.name))
    return found


def _environment(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []
