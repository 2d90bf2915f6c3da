"""Every sample event in events/, run as people run them, gives the result in events/expected/.

Two ways: the built functions under the Lambda runtime interface emulator (what
`sam local invoke` runs inside its container), and `cargo lambda watch` with
`cargo lambda invoke`. Tables and queue are the stack's; nothing is delivered from the
queue meanwhile, so that only the samples change them.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import platform
import socket
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from scripts import processes
from scripts.processes import last_lines
from scripts.sam import CARGO_LAMBDA

from .bodies import sample
from .client import Api
from .deployment import ROOT, Deployment
from .events import EVENTS, ORDER, run_all
from .names import FUNCTIONS
from .polling import until
from .ports import free_ports
from .resources import SAMPLES


def test_every_event_has_an_expectation_and_the_other_way_round() -> None:
    events = {file.stem for file in EVENTS.glob("*.json")} - {"env", "resource"}
    assert events == {file.stem for file in (EVENTS / "expected").glob("*.json")} == set(ORDER)


@pytest.fixture(scope="module")
def settings(deployment: Deployment) -> dict[str, str]:
    """The functions' environment: the stack's addresses and names, and what env.json has."""
    constants: dict[str, str] = json.loads((EVENTS / "env.json").read_text())["Parameters"]
    ours = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("AWS_", "CARGO_LAMBDA_"))
    }
    theirs: dict[str, str] = {}
    for binary in FUNCTIONS.values():
        theirs |= deployment.variables(binary.upper())
    return ours | theirs | deployment.environment | constants


# The runtime interface emulator


@contextlib.contextmanager
def running(
    command: list[str | Path], log: Path, environment: Mapping[str, str], port: int
) -> Iterator[None]:
    """A server for the time of the block, once it listens; it ends with everything it started."""
    with processes.running(command, log, environment, ROOT) as child:

        def listens() -> bool:
            assert child.poll() is None, f"{command[0]} has ended"
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        try:
            until(f"{command[0]} on port {port}", listens)
            yield
        finally:
            print(f"--- the end of {log}", *last_lines(log, 30), sep="\n")


def post(port: int, function: str, event: bytes) -> Any:
    """Invoke a function as the emulator offers it."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("POST", f"/2015-03-31/functions/{function}/invocations", event)
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()


def test_under_the_runtime_interface_emulator(
    deployment: Deployment, settings: dict[str, str], samples: Path, clean: None, tmp_path: Path
) -> None:
    architecture = "arm64" if platform.machine() in ("aarch64", "arm64") else "x86_64"
    (emulator,) = ROOT.glob(
        f".tools/sam/lib/python3*/site-packages/samcli/local/rapid/aws-lambda-rie-{architecture}"
    )
    with contextlib.ExitStack() as stack:
        ports = {}
        for logical_id, function in FUNCTIONS.items():
            ports[function], runtime_api = free_ports(2)
            command: list[str | Path] = [
                emulator,
                "--runtime-interface-emulator-address",
                f"127.0.0.1:{ports[function]}",
            ]
            command += ["--runtime-api-address", f"127.0.0.1:{runtime_api}"]
            command += [deployment.local / "build" / logical_id / "bootstrap"]
            stack.enter_context(
                running(command, tmp_path / f"{function}.log", settings, ports[function])
            )
        run_all(
            deployment,
            samples,
            lambda function, event: post(ports[function], "function", event.read_bytes()),
        )


# cargo lambda


@pytest.fixture(scope="module")
def watch(settings: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a `cargo lambda watch` of its own."""
    # Without it the first invocation would wait for the compiler.
    built = subprocess.run(
        ["cargo", "build", "--quiet", "--bins"],
        cwd=ROOT,
        env=settings,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    (port,) = free_ports(1)
    command: list[str | Path] = [
        CARGO_LAMBDA,
        "lambda",
        "watch",
        "--ignore-changes",
        "--invoke-address",
        "127.0.0.1",
    ]
    command += ["--invoke-port", str(port)]
    with running(command, tmp_path_factory.mktemp("watch") / "watch.log", settings, port):
        yield port


def test_under_cargo_lambda(
    deployment: Deployment, settings: dict[str, str], samples: Path, clean: None, watch: int
) -> None:
    def invoke(function: str, event: Path) -> Any:
        command: list[str | Path] = [
            CARGO_LAMBDA,
            "lambda",
            "invoke",
            function,
            "--data-file",
            event,
        ]
        command += ["--invoke-address", "127.0.0.1", "--invoke-port", str(watch)]
        done = subprocess.run(
            command, cwd=ROOT, env=settings, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, (event, done)
        return json.loads(done.stdout)

    run_all(deployment, samples, invoke)


def test_the_router_of_cargo_lambda(deployment: Deployment, clean: None, watch: int) -> None:
    """`[workspace.metadata.lambda.watch.router]` in Cargo.toml names the routes of the template."""
    api = Api(f"http://127.0.0.1:{watch}")
    put = api.put(SAMPLES[0], sample(1))
    assert put.status == 201, put
    got = api.get(SAMPLES[0])
    assert (got.status, got.body, got.headers["etag"]) == (200, sample(1), put.headers["etag"]), got
    accepted = api.put_later(SAMPLES[0], sample(2))
    pending = api.status(accepted)
    assert (pending.status, pending.json()) == (200, accepted.json()), pending
    assert api.cancel(accepted).json()["status"] == "cancelled"
    assert api.delete(SAMPLES[0]).status == 204
