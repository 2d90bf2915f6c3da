"""A Docker engine for `sam local`: the one of this machine, or one of our own.

Where none runs, Debian's packages are unpacked into `.tools/docker` (nothing is installed)
and its dockerd is started in namespaces of its own: the bridge, the mounts and the processes
of the containers end with it, and this machine's network never sees them. That takes root.
What runs in those namespaces has no way to any network but the bridge. So there is no
registry, and what stands in for Lambda's image is made from this machine's own files
(`scripts/lambda_image.py`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import ipaddress
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scripts import lambda_image
from scripts.environment import HOST, ROOT, TOOLS
from scripts.processes import POLL, Failure, Process, start

PACKAGES = ("docker.io", "busybox-static")
UNPACKED = TOOLS / "docker"
CGROUPS = Path("/sys/fs/cgroup")
DEFAULT = "unix:///var/run/docker.sock"
INSTALL_IT = "install Docker and start it (https://docs.docker.com/engine/install), or use a \
Debian or Ubuntu machine as root"


@dataclasses.dataclass(frozen=True)
class Engine:
    """A Docker engine that answers."""

    socket: Path
    # What a command starts with that is to reach the ports of containers on 127.0.0.1.
    enter: tuple[str, ...]
    logs: Path

    @property
    def is_ours(self) -> bool:
        """Whether it was started here, with a stand-in for Lambda's image."""
        return bool(self.enter)

    @property
    def variables(self) -> dict[str, str]:
        """The environment of sam."""
        ours = {"SAM_SKIP_PULL_IMAGE": "1"} if self.is_ours else {}
        return {"DOCKER_HOST": f"unix://{self.socket}", **ours}

    @contextlib.contextmanager
    def sees(self, port: int) -> Iterator[None]:
        """Containers reach this machine's 127.0.0.1:port at host.docker.internal:port, and what
        is started with `enter` reaches it as it does outside.
        """
        here = f"{HOST}:{port}"
        with contextlib.ExitStack() as stack:
            if self.is_ours:
                stack.enter_context(self._crossing(self.enter, f"0.0.0.0:{port}", (), here))
            # Docker Desktop has its bridge elsewhere, and leads to 127.0.0.1 by itself.
            elif _is_address_of_this_machine(bridge := self._bridge()):
                log = self.logs / "forward.log"
                stack.enter_context(_forwarding((), f"{bridge}:{port}", here, log))
            yield

    @contextlib.contextmanager
    def shows(self, port: int) -> Iterator[None]:
        """What listens on 127.0.0.1:port, started with `enter`, is reached there from outside."""
        here = f"{HOST}:{port}"
        nothing = contextlib.nullcontext()
        with self._crossing((), here, self.enter, here) if self.is_ours else nothing:
            yield

    @contextlib.contextmanager
    def _crossing(
        self, enter: tuple[str, ...], listen: str, leave: tuple[str, ...], to: str
    ) -> Iterator[None]:
        """Forward from one network namespace into another, through a Unix socket."""
        port = listen.rpartition(":")[2]
        between = self.socket.with_name(f"{port}.sock")
        with (
            _forwarding(leave, str(between), to, self.logs / f"to-{port}.log"),
            _forwarding(enter, listen, str(between), self.logs / f"from-{port}.log"),
        ):
            yield

    def _bridge(self) -> str:
        """The bridge's own address, which host-gateway stands for."""
        addresses = _get(self.socket, "/networks/bridge")["IPAM"]["Config"][0]
        first = next(ipaddress.ip_network(addresses["Subnet"]).hosts())
        return str(addresses.get("Gateway", first))


@contextlib.contextmanager
def running(local: Path, binaries: list[Path]) -> Iterator[Engine]:
    """An engine for the time of the block; one of our own has what these binaries need."""
    logs = local / "logs"
    address = os.environ.get("DOCKER_HOST", DEFAULT)
    if not address.startswith("unix:///"):
        raise Failure(
            f"DOCKER_HOST is {address}, and containers elsewhere do not reach this machine",
            "use an engine of this machine: DOCKER_HOST=unix:///… or none",
        )
    path = Path(address.removeprefix("unix://"))
    if _answers(path):
        yield Engine(path, (), logs)
    elif "DOCKER_HOST" in os.environ:
        raise Failure(f"no Docker engine answers at {address}", "start it, or unset DOCKER_HOST")
    else:
        with _ours(logs) as engine:
            docker = UNPACKED / "usr" / "bin" / "docker"
            lambda_image.make(docker, engine.socket, busybox(), binaries)
            yield engine


def _answers(path: Path) -> bool:
    try:
        _get(path, "/version")
    except PermissionError:
        raise Failure(
            f"the Docker engine at {path} does not let you in",
            "join its group (sudo usermod -aG docker $USER, and log in again)",
        ) from None
    except OSError:
        return False
    return True


def _get(path: Path, resource: str) -> Any:
    """What the engine says of a resource."""
    connection = http.client.HTTPConnection("docker", timeout=20)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(20)
    try:
        connection.sock.connect(str(path))
        connection.request("GET", resource)
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()


def _is_address_of_this_machine(address: str) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True


@contextlib.contextmanager
def _forwarding(enter: tuple[str, ...], listen: str, to: str, log: Path) -> Iterator[None]:
    command = [*enter, sys.executable, "-m", "scripts.forward", listen, to]
    child = start(command, log, os.environ, ROOT)
    process = Process.of(child)
    try:
        give_up = time.monotonic() + 20
        while "ready" not in log.read_text():
            if child.poll() is not None or time.monotonic() > give_up:
                raise Failure(f"{listen} could not be forwarded", "see the log", log)
            time.sleep(POLL)
        yield
    finally:
        process.stop()
        child.wait(10)


# An engine of our own


@contextlib.contextmanager
def _ours(logs: Path) -> Iterator[Engine]:
    if os.geteuid() != 0:
        raise Failure(
            "no Docker engine runs here, and starting one takes root",
            f"start yours, or run this as root, or {INSTALL_IT}",
        )
    _unpack(logs)
    log = logs / "dockerd.log"
    # A Unix socket's path has at most 107 characters: not below the checkout.
    directory = Path(tempfile.mkdtemp(prefix="docker-"))
    command = ["setpriv", "--pdeathsig", "KILL"]  # it does not outlive this process
    command += ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    command += ["sh", "-ec", f'{busybox()} ip link set lo up; exec dockerd "$@"', "sh"]
    # Ports are published by docker-proxy, and nothing is routed: no packet filter is needed.
    command += ["--iptables=false", "--ip6tables=false", "--host", f"unix://{directory}/socket"]
    command += ["--data-root", f"{directory}/data", "--exec-root", f"{directory}/exec"]
    command += ["--pidfile", f"{directory}/pid", "--cgroup-parent", f"/{directory.name}"]
    child = start(command, log, os.environ | _environment(), ROOT)
    process = Process.of(child)
    try:
        give_up = time.monotonic() + 60
        while not _answers(directory / "socket"):
            if child.poll() is not None or time.monotonic() > give_up:
                raise Failure(
                    "the Docker engine did not start; this machine may not allow namespaces "
                    "or control groups (a container?)",
                    f"see the log; or {INSTALL_IT}",
                    log,
                )
            time.sleep(POLL)
        enter = ("nsenter", "--net", "--target", str(_only_child(child)))
        yield Engine(directory / "socket", enter, logs)
    finally:
        # unshare itself ignores TERM; its child is dockerd.
        with contextlib.suppress(ProcessLookupError, ValueError):
            os.kill(_only_child(child), signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(15)
        process.stop(1)
        child.wait(10)
        shutil.rmtree(directory, ignore_errors=True)
        for group in (*CGROUPS.glob(directory.name), *CGROUPS.glob(f"*/{directory.name}")):
            with contextlib.suppress(OSError):
                group.rmdir()


def _only_child(child: subprocess.Popen[bytes]) -> int:
    return int(Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text())


def busybox() -> Path:
    """The unpacked busybox, which needs no library."""
    return next(
        path for name in ("usr/bin", "bin") if (path := UNPACKED / name / "busybox").is_file()
    )


def _environment() -> dict[str, str]:
    """Where what was unpacked is found."""
    libraries = ":".join(map(str, UNPACKED.glob("usr/lib/*-linux-gnu*")))
    path = f"{UNPACKED}/usr/sbin:{UNPACKED}/usr/bin:/usr/sbin:/sbin:{os.environ['PATH']}"
    return {"PATH": path, "LD_LIBRARY_PATH": libraries}


def _unpack(logs: Path) -> None:
    """Debian's packages, and what they depend on that this machine lacks, into UNPACKED."""
    stamp = UNPACKED / "stamp"
    if stamp.is_file() and stamp.read_text() == str(UNPACKED):
        return
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise Failure("no Docker engine runs here, and there is no apt-get to get one", INSTALL_IT)
    shutil.rmtree(UNPACKED, ignore_errors=True)
    scratch = UNPACKED / "apt"
    for name in ("lists/partial", "archives/partial"):
        (scratch / name).mkdir(parents=True)
    # apt's own directories stay as they are: lists and archives are kept here, without its locks.
    apt = ["apt-get", "--quiet", "--yes", "-o", "Debug::NoLocking=true"]
    apt += ["-o", f"Dir::State::lists={scratch}/lists", "-o", f"Dir::Cache={scratch}"]
    apt += ["-o", f"Dir::Cache::archives={scratch}/archives", "-o", "APT::Sandbox::User=root"]
    apt += ["-o", "Acquire::Retries=3", "-o", "Acquire::http::Timeout=30"]
    _run([*apt, "update"], logs / "apt-update.log")
    download = ["install", "--no-install-recommends", "--reinstall", "--download-only", *PACKAGES]
    _run([*apt, *download], logs / "apt-download.log")
    for archive in sorted((scratch / "archives").glob("*.deb")):
        _run(["dpkg-deb", "--extract", archive, UNPACKED], logs / "dpkg-deb.log")
    shutil.rmtree(scratch)
    stamp.write_text(str(UNPACKED))


def _run(command: list[str | Path], log: Path) -> None:
    child = start(command, log, os.environ | {"DEBIAN_FRONTEND": "noninteractive"}, ROOT)
    process = Process.of(child)
    try:
        child.wait(300)
    except subprocess.TimeoutExpired:
        raise Failure(f"{command[0]} took longer than 300 s", INSTALL_IT, log) from None
    finally:
        process.stop()
    if child.returncode != 0:
        raise Failure(f"{command[0]} failed", f"see the log; or {INSTALL_IT}", log)
