"""Commands."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

from .resources import ROOT


def run(*line: str | Path, cwd: Path = ROOT, env: Mapping[str, str] | None = None) -> str:
    """The output of a command; it must succeed."""
    command = [str(part) for part in line]
    done = subprocess.run(
        command, cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=1800
    )
    assert done.returncode == 0, f"{command}:\n{done.stdout[-9000:]}\n{done.stderr[-9000:]}"
    return done.stdout
