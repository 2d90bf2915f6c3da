"""`sam local` with the functions of a running local stack, in Docker.

    make -C events invoke FUNCTION=PutFunction EVENT=events/put-inline.json
    make -C events api    on http://127.0.0.1:3000

Both first print the whole command of sam. They use the stack's tables and queues (`make up`).
sam exits with 0 whatever a function answers.
"""

import argparse
import contextlib
import errno
import ipaddress
import json
import os
import re
import shlex
import socket
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

from scripts import sam
from scripts.environment import HOST, ROOT, port_of, replace, settings_in, tool_environment
from scripts.ports import free_port
from scripts.processes import Failure, shown

SAMPLES = ROOT / "events" / "env.json"
# Set by scripts/with_docker. Its engine has a substitute for Lambda's image.
NO_PULL = "SAM_SKIP_PULL_IMAGE"
# The name of this machine in the containers.
HOST_NAME = "host.docker.internal"
NEWEST_GLIBC = (2, 34)  # of Amazon Linux 2023


class SamLocal:
    """The commands `sam local …` for one stack."""

    def __init__(self, local: Path, stack: Mapping[str, str]) -> None:
        self._local = local
        # sam passes the keys on, and asks STS for their owner.
        self.environment = tool_environment(local) | dict(stack) | stand_in()
        # sam passes each function those of these that the template names for it.
        names = {key: value for key, value in stack.items() if not key.startswith("AWS_")}
        endpoint = {"AWS_ENDPOINT_URL": f"http://{HOST_NAME}:{port_of(stack)}"}
        samples = json.loads(SAMPLES.read_text())["Parameters"]
        self._variables = local / "sam-local.json"
        replace(self._variables, json.dumps({"Parameters": names | endpoint | samples}, indent=2))

    def command(self, command: str, *arguments: str | Path) -> list[str]:
        """A whole command: invoke or start-api."""
        line = [*sam.local(self._local, command), "--env-vars", self._variables]
        line += ["--add-host", f"{HOST_NAME}:host-gateway", *arguments]
        return [str(word) for word in line]


@contextlib.contextmanager
def ready(local: Path, stack: Mapping[str, str]) -> Iterator[SamLocal]:
    """Docker, and its route to the stack, for the duration of the block."""
    for name in sam.binaries():
        binary = local / "build" / name / "bootstrap"
        if not stand_in() and newest_glibc(binary) > NEWEST_GLIBC:
            raise Failure(
                f"{shown(binary)} needs a newer glibc than Lambda's image has",
                "build it as for AWS: make up BUILD=release; then try again",
            )
    with reached_from_containers(port_of(stack)):
        yield SamLocal(local, stack)


def stand_in() -> dict[str, str]:
    """The variable that prevents sam from asking a registry, if it is set."""
    return {NO_PULL: os.environ[NO_PULL]} if NO_PULL in os.environ else {}


def newest_glibc(binary: Path) -> tuple[int, int]:
    """The version of the C library that a binary needs."""
    versions = re.findall(rb"GLIBC_(\d+)\.(\d+)", binary.read_bytes())
    return max(((int(major), int(minor)) for major, minor in versions), default=(0, 0))


def bridge() -> str:
    """The address of host-gateway."""
    line = ["docker", "network", "inspect", "bridge", "--format", "{{json (index .IPAM.Config 0)}}"]
    try:
        done = subprocess.run(line, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise Failure(
            f"Docker does not answer: {getattr(error, 'stderr', error)}",
            "start it (docker version must work); or as root on Debian or Ubuntu: "
            "scripts/with_docker bash, and run make up in it",
        ) from None
    known = json.loads(done.stdout)
    return str(known.get("Gateway") or next(ipaddress.ip_network(known["Subnet"]).hosts()))


@contextlib.contextmanager
def reached_from_containers(port: int) -> Iterator[None]:
    """Forward connections from the bridge's port to the same port of 127.0.0.1."""

    def copy(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    class Connection(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.create_connection((HOST, port)) as there:
                threading.Thread(target=copy, args=(self.request, there), daemon=True).start()
                copy(there, self.request)

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = daemon_threads = True

    try:
        server = Server((bridge(), port), Connection)
    except OSError as error:
        # Docker Desktop has its bridge elsewhere, and forwards to 127.0.0.1 itself. If the address
        # is in use, another command already forwards to this stack.
        if error.errno not in (errno.EADDRNOTAVAIL, errno.EADDRINUSE):
            raise
        yield
        return
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


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
    try:
        with ready(local, stack_in(local)) as sam_local:
            if options.command == "invoke":
                command = sam_local.command("invoke", options.function, "--event", options.event)
            else:
                free_port(options.port, "SAM_PORT")
                command = sam_local.command("start-api", "--port", str(options.port))
            print(shlex.join(command), file=sys.stderr, flush=True)
            return subprocess.run(command, env=sam_local.environment, check=False).returncode
    except KeyboardInterrupt:
        return 0 if options.command == "start-api" else 130
    except Failure as failure:
        return failure.show()


def stack_in(local: Path) -> dict[str, str]:
    """The addresses and names of the running stack."""
    file = local / "stack.env"
    if not file.is_file():
        raise Failure(f"no stack is up in {shown(local)}", "bring it up: make up")
    return settings_in(file)


if __name__ == "__main__":
    sys.exit(main())
