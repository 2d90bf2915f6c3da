"""`sam local` with the functions of a running local stack, in Docker.

    make -C events invoke FUNCTION=PutFunction EVENT=events/put-inline.json
    make -C events api    on http://127.0.0.1:3000

Both print sam's whole command first. Tables and queues are the stack's (`make up`); sam exits
0 whatever a function answers.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from scripts import docker_engine, lambda_image, sam
from scripts.environment import ROOT, replace, shown, tool_environment
from scripts.ports import free_port
from scripts.processes import Failure, last_lines

SAMPLES = ROOT / "events" / "env.json"
# In the containers: this machine.
HOST_NAME = "host.docker.internal"


class SamLocal:
    """The commands `sam local …` for one stack and one engine."""

    def __init__(self, local: Path, stack: Mapping[str, str], engine: docker_engine.Engine) -> None:
        self._local = local
        self._engine = engine
        # sam hands the keys on, and asks STS whose they are.
        self.environment = tool_environment(local) | dict(stack) | engine.variables
        # Of these, sam hands each function those that the template names for it.
        names = {key: value for key, value in stack.items() if not key.startswith("AWS_")}
        endpoint = {"AWS_ENDPOINT_URL": f"http://{HOST_NAME}:{port_of(stack)}"}
        samples = json.loads(SAMPLES.read_text())["Parameters"]
        self._variables = local / "sam-local.json"
        replace(self._variables, json.dumps({"Parameters": names | endpoint | samples}, indent=2))

    def command(self, command: str, *arguments: str | Path) -> list[str]:
        """A whole command: invoke or start-api."""
        line = [*sam.local(self._local, command), "--env-vars", self._variables]
        line += ["--add-host", f"{HOST_NAME}:host-gateway", *arguments]
        return [*self._engine.enter, *map(str, line)]

    def shows(self, port: int) -> AbstractContextManager[None]:
        """What start-api serves on this port of 127.0.0.1 is reached there."""
        return self._engine.shows(port)


@contextlib.contextmanager
def ready(local: Path, stack: Mapping[str, str]) -> Iterator[SamLocal]:
    """Docker, and its way to the stack, for the time of the block."""
    build = local / "build"
    binaries = [build / name / "bootstrap" for name in sam.binaries()]
    with docker_engine.running(local, binaries) as engine:
        for binary in binaries:
            version = lambda_image.needs_newer_glibc(binary)
            if version and not engine.is_ours:
                raise Failure(
                    f"{shown(binary)} needs glibc {version}, which Lambda's image does not have",
                    "build it as for AWS: make up BUILD=release; then try again",
                )
        with engine.sees(port_of(stack)):
            yield SamLocal(local, stack, engine)


def port_of(stack: Mapping[str, str]) -> int:
    """Where the stack's AWS listens on 127.0.0.1."""
    return int(stack["AWS_ENDPOINT_URL"].rpartition(":")[2])


def main() -> int:
    """Run one command until it ends; returns the exit status."""
    parser = argparse.ArgumentParser(description="sam local, on the running local stack.")
    parser.add_argument("--local-dir", default=".local")
    commands = parser.add_subparsers(dest="command", required=True)
    invoke = commands.add_parser("invoke")
    invoke.add_argument("function", choices=sam.binaries())
    invoke.add_argument("event", type=Path)
    api = commands.add_parser("start-api")
    api.add_argument("--port", type=int, default=3000)
    options = parser.parse_args()
    local = (ROOT / options.local_dir).resolve()
    file = local / "stack.env"
    try:
        if not file.is_file():
            raise Failure(f"no stack is up in {shown(local)}", "bring it up: make up")
        lines = (line.partition("=") for line in file.read_text().splitlines())
        stack = {key: shlex.split(value)[0] for key, _, value in lines}
        with ready(local, stack) as sam_local, contextlib.ExitStack() as shown_api:
            if options.command == "invoke":
                command = sam_local.command("invoke", options.function, "--event", options.event)
            else:
                free_port(options.port, "SAM_PORT")
                command = sam_local.command("start-api", "--port", str(options.port))
                shown_api.enter_context(sam_local.shows(options.port))
            print(shlex.join(command), file=sys.stderr, flush=True)
            return subprocess.run(command, env=sam_local.environment, check=False).returncode
    except KeyboardInterrupt:
        return 0 if options.command == "start-api" else 130
    except Failure as failure:
        if failure.log is not None:
            print(f"--- the end of {shown(failure.log)}", file=sys.stderr)
            print(*last_lines(failure.log, 30), "---", sep="\n", file=sys.stderr)
        print(f"error: {failure}\nnext:  {failure.next_step}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
