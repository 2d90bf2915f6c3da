"""`make run` from beginning to end: what it prints works as it is printed, and Ctrl-C ends it."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
from pathlib import Path

from .deployment import ROOT
from .polling import until

LOCAL = ".local/run"
# What this test's own make has set for its commands.
MAKE = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")


def test_what_is_printed_can_be_copied(tmp_path: Path) -> None:
    printed = tmp_path / "printed"
    environment = {key: value for key, value in os.environ.items() if key not in MAKE}
    with printed.open("w") as output:
        make = subprocess.Popen(
            ["make", "run", "PORT=0", f"LOCAL_DIR={LOCAL}"],
            cwd=ROOT,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        text = until(
            "the URL",
            printed.read_text,
            lambda text: "Ctrl-C stops everything." in text or make.poll() is not None,
            600,
        )
        found = re.search(
            r"The API is at (http://127\.0\.0\.1:(\d+))\n(.*)\nAWS, ", text, re.DOTALL
        )
        assert found, text
        url, port, commands = found.groups()
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", commands],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        answers = re.findall(r"HTTP/1.1 (\d+)", done.stdout)
        assert answers == ["201", "202", "200", "200"], done.stdout
        assert url in commands and re.search('"status":"(pending|succeeded)"', done.stdout)
    finally:
        os.killpg(make.pid, signal.SIGINT)
        make.wait(60)
    assert printed.read_text().rstrip().endswith("stopped (SIGINT)"), printed.read_text()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", int(port))) != 0
