"""Every sample event in events/, run as people run them, gives the result in events/expected/.

Two ways: the built functions under the Lambda runtime interface emulator (what
`sam local invoke` runs inside its container), and `cargo lambda watch` with
`cargo lambda invoke`. Tables and queue are the stack's; nothing is delivered from the
queue meanwhile, so that only the samples change them.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import platform
import re
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from scripts.processes import Process, last_lines, start
from scripts.sam import CARGO_LAMBDA

from .client import JSON, Api
from .deployment import ROOT, Deployment
from .names import FUNCTIONS, PARK
from .polling import until
from .queues import attributes

EVENTS = ROOT / "events"
# The function of each, in the order in which the results follow from one another.
ORDER = {
    "put-inline": "put",
    "put-inline-rest": "put",
    "put-deferred": "put",
    "put-deferred-rest": "put",
    "put-bad-json": "put",
    "apply-batch": "apply",
    f"{PARK}-batch": PARK,
    "get-user": "read",
    "get-operation": "read",
}
USERS = ("42", "grace")

Invoke = Callable[[str, Path], Any]


def test_every_event_has_an_expectation_and_the_other_way_round() -> None:
    events = {file.stem for file in EVENTS.glob("*.json")} - {"env"}
    assert events == {file.stem for file in (EVENTS / "expected").glob("*.json")} == set(ORDER)


def difference(expected: Any, actual: Any, at: str = "") -> str | None:
    """Where the actual value is not as expected. "regex:^...$" stands for what it matches."""
    if isinstance(expected, str) and expected.startswith("regex:"):
        is_match = isinstance(actual, str) and re.fullmatch(expected.removeprefix("regex:"), actual)
        return None if is_match else f"{at}: {actual!r} does not match {expected}"
    if isinstance(expected, dict) and isinstance(actual, dict):
        if expected.keys() != actual.keys():
            return f"{at}: has the members {sorted(actual)} and not {sorted(expected)}"
        found = (difference(expected[name], actual[name], f"{at}/{name}") for name in expected)
        return next(filter(None, found), None)
    if isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
        found = (
            difference(pair[0], pair[1], f"{at}/{i}")
            for i, pair in enumerate(zip(expected, actual, strict=True))
        )
        return next(filter(None, found), None)
    is_same = (type(expected), expected) == (type(actual), actual)
    return None if is_same else f"{at}: {actual!r} and not {expected!r}"


@pytest.fixture(scope="module")
def settings(deployment: Deployment) -> dict[str, str]:
    """The functions' environment: the stack's addresses and names, and what env.json has."""
    constants: dict[str, str] = json.loads((EVENTS / "env.json").read_text())["Parameters"]
    ours = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("AWS_", "CARGO_LAMBDA_"))
    }
    return ours | deployment.environment | constants


def batch(function: str) -> list[dict[str, Any]]:
    """The records of a function's sample batch."""
    records: list[dict[str, Any]] = json.loads((EVENTS / f"{function}-batch.json").read_text())[
        "Records"
    ]
    return records


@pytest.fixture
def clean(deployment: Deployment) -> Iterator[None]:
    """No user and no outcome of the samples, before and after; and nothing is delivered."""
    records = batch("apply") + batch(PARK)
    operations = tuple(
        record["messageAttributes"]["operation"]["stringValue"]
        for record in records
        if record["messageAttributes"]
    )

    def clear() -> None:
        deployment.forget(users=USERS, operations=operations)
        deployment.queue.purge()
        deployment.parked.purge()

    with deployment.mapping.off():
        clear()
        yield
        clear()


def run_all(deployment: Deployment, invoke: Invoke) -> None:
    """Run the samples and check their results, and what they left in the tables and the queue."""
    for name, function in ORDER.items():
        expected = json.loads((EVENTS / "expected" / f"{name}.json").read_text())
        actual = invoke(function, EVENTS / f"{name}.json")
        found = difference(expected, actual)
        assert found is None, f"{name}: {found}\n{json.dumps(actual, indent=2)}"
    rest = json.loads((EVENTS / "put-inline-rest.json").read_text())
    assert (deployment.user("42") or {}).get("body") == base64.b64decode(rest["body"]).decode()
    good, stale, broken, _ = batch("apply")
    (dead,) = batch(PARK)
    for record, outcome in ((good, "succeeded"), (stale, "superseded"), (dead, "failed")):
        item = deployment.outcome(record["messageAttributes"]["operation"]["stringValue"])
        assert item is not None and item["outcome"] == outcome, (record, item)
    assert (deployment.user("grace") or {}).get("body") == good["body"]
    # The broken one came through the dead letters.
    until("both messages parked", deployment.parked.size, lambda size: size == 2)
    parked = {message["Body"] for message in deployment.parked.look()}
    assert parked == {broken["body"], dead["body"]}
    messages = deployment.queue.look()
    assert [attributes(message)["user"] for message in messages] == ["42", "42"], messages


# The runtime interface emulator


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on."""
    with contextlib.ExitStack() as probes:
        sockets = [probes.enter_context(socket.socket()) for _ in range(count)]
        for probe in sockets:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in sockets]


@contextlib.contextmanager
def running(
    command: list[str | Path], log: Path, environment: Mapping[str, str], port: int
) -> Iterator[None]:
    """A server for the time of the block, once it listens; it ends with everything it started."""
    child = start(command, log, environment, ROOT)
    process = Process.of(child)
    try:

        def listens() -> bool:
            assert child.poll() is None, "\n".join(
                [f"{command[0]} has ended:", *last_lines(log, 30)]
            )
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        until(f"{command[0]} on port {port}", listens)
        yield
    except BaseException:
        print(f"--- the end of {log}", *last_lines(log, 30), sep="\n")
        raise
    finally:
        process.stop()
        child.wait(10)


def post(port: int, function: str, event: bytes) -> Any:
    """Invoke a function as the emulator offers it."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("POST", f"/2015-03-31/functions/{function}/invocations", event)
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()


def test_under_the_runtime_interface_emulator(
    deployment: Deployment, settings: dict[str, str], clean: None, tmp_path: Path
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
    deployment: Deployment, settings: dict[str, str], clean: None, watch: int
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

    run_all(deployment, invoke)


def test_the_router_of_cargo_lambda(deployment: Deployment, clean: None, watch: int) -> None:
    """`[workspace.metadata.lambda.watch.router]` in Cargo.toml names the routes of the template."""
    api = Api(f"http://127.0.0.1:{watch}")
    put = api.request("PUT", "/users/42", JSON, b'{"v":1}')
    assert put.status == 201, put
    got = api.get("42")
    assert (got.status, got.body, got.headers["etag"]) == (200, b'{"v":1}', put.headers["etag"]), (
        got
    )
    accepted = api.put_later("42", b'{"v":2}')
    pending = api.status(accepted)
    assert (pending.status, pending.json()) == (200, accepted.json()), pending
    assert api.request("DELETE", "/users/42").status >= 400
