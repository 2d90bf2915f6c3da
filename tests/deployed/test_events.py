"""Every sample event in events/ gives the result in events/expected/, with the usual commands:
under `cargo lambda`, and under the real `sam local`, in Docker (`make sam-local`).

The tables and the queue are the stack's. Meanwhile the queue delivers nothing, so only the
samples change them.
"""

import contextlib
import json
import os
import re
import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from scripts.environment import target
from scripts.ports import free_port
from scripts.processes import Failure, last_lines, running
from scripts.sam import CARGO_LAMBDA
from scripts.sam_local import SamLocal, ready

from .client import Api
from .deployment import FUNCTIONS, Deployment
from .resources import ROOT, SAMPLES, sample
from .service import problem_in, until
from .shell import run

EVENTS = ROOT / "events"
# The function of each event, in the order in which the results depend on each other.
ORDER = {
    **dict.fromkeys(("put-inline", "put-inline-rest"), "put"),
    **dict.fromkeys(("put-deferred", "put-deferred-rest", "put-bad-json"), "put"),
    "apply-batch": "apply",
    "park-batch": "park",
    **dict.fromkeys(("get-resource", "get-operation"), "read"),
    **dict.fromkeys(("cancel-operation", "delete-deferred", "delete-inline"), "put"),
    "apply-delete": "apply",
}
Invoke = Callable[[str, Path], Any]


@pytest.fixture
def samples(deployment: Deployment, tmp_path: Path) -> Iterator[Path]:
    """The sample events, newly written: those in the repository may be too old to be carried
    out. Their resources do not exist before and after, and nothing is delivered.
    """
    # With the features of the tests, so nothing is compiled again.
    run("cargo", "build", "--quiet", "--workspace", "--bin", "events")
    run(target() / os.environ.get("CARGO_BUILD_TARGET", "") / "debug" / "events", tmp_path)

    def clear() -> None:
        for resource in SAMPLES:
            deployment.forget(resource)
        deployment.queue.purge()
        deployment.parked.purge()

    with deployment.paused():
        clear()
        yield tmp_path
        clear()


class Pattern(str):
    """Equals each text that it matches."""

    __slots__ = ()
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and re.fullmatch(self, other) is not None


def matching(expected: Any) -> Any:
    """An expected result, in which "regex:^...$" equals any text that it matches."""
    if isinstance(expected, dict):
        return {name: matching(value) for name, value in expected.items()}
    if isinstance(expected, list):
        return [matching(value) for value in expected]
    is_pattern = isinstance(expected, str) and expected.startswith("regex:")
    return Pattern(expected.removeprefix("regex:")) if is_pattern else expected


def run_all(deployment: Deployment, samples: Path, invoke: Invoke) -> None:
    """Run the samples and check their results, and the messages that they leave in the queues."""
    for name, function in ORDER.items():
        result = invoke(function, samples / f"{name}.json")
        expected = json.loads((samples / "expected" / f"{name}.json").read_text())
        assert result == matching(expected), name
    # The broken message came through the dead letters.
    until("both messages parked", deployment.parked.size, lambda size: size == 2)
    groups = [message["Attributes"]["MessageGroupId"] for message in deployment.queue.look()]
    assert groups == [SAMPLES[0]] * 3


def listens(port: int) -> bool:
    """Whether a process listens on this port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_every_event_has_an_expectation_and_the_other_way_round() -> None:
    events = {file.stem for file in EVENTS.glob("*.json")} - {"env", "resource"}
    assert events == {file.stem for file in (EVENTS / "expected").glob("*.json")} == set(ORDER)


@contextlib.contextmanager
def serving(
    line: list[str | Path],
    port: int,
    log: Path,
    environment: Mapping[str, str],
    is_up: Callable[[], bool],
) -> Iterator[Api]:
    """A server for the duration of the block, once it is up; it ends with its children."""
    with running(line, log, environment, ROOT) as child:
        try:
            until(
                f"{line[0]} on port {port}", lambda: is_up() or child.poll() is not None, bool, 60
            )
            yield Api(f"http://127.0.0.1:{port}")
        finally:
            print(*last_lines(log, 60), sep="\n")


def test_under_cargo_lambda(deployment: Deployment, samples: Path, tmp_path: Path) -> None:
    """The commands of events/README.md work; its routes are those of the template."""
    ours = ("AWS_", "CARGO_LAMBDA_")
    settings = {key: text for key, text in os.environ.items() if not key.startswith(ours)}
    for binary in FUNCTIONS.values():
        settings |= deployment.variables(binary.upper())
    settings |= deployment.environment
    settings |= json.loads((EVENTS / "env.json").read_text())["Parameters"]
    # Without it the first invocation would wait for the compiler.
    run("cargo", "build", "--quiet", "--bins", env=settings)
    port = free_port(0, "cargo lambda watch")
    at = ["--invoke-address", "127.0.0.1", "--invoke-port", str(port)]

    def invoke(function: str, event: Path) -> Any:
        line = (CARGO_LAMBDA, "lambda", "invoke", function, "--data-file", event)
        return json.loads(run(*line, *at, env=settings))

    line: list[str | Path] = [CARGO_LAMBDA, "lambda", "watch", "--ignore-changes", *at]
    with serving(line, port, tmp_path / "log", settings, lambda: listens(port)) as api:
        run_all(deployment, samples, invoke)
        deployment.forget(SAMPLES[0])
        put = api.put(SAMPLES[0], sample())
        assert (put.status, api.get(SAMPLES[0]).headers["etag"]) == (201, put.headers["etag"])
        accepted = api.put_later(SAMPLES[0], sample(2))
        assert api.status(accepted).json() == accepted.json()
        assert api.cancel(accepted).json()["status"] == "cancelled"
        assert api.delete(SAMPLES[0]).status == 204


@pytest.fixture(scope="module")
def sam_local(deployment: Deployment) -> Iterator[SamLocal]:
    """`sam local` on the stack. If it cannot run, that is an error and never a skip."""
    try:
        with ready(deployment.local, deployment.environment) as ours:
            yield ours
    except Failure as failure:
        log = failure.log and "\n".join(last_lines(failure.log, 30))
        pytest.exit(f"{failure}\n{log or ''}\nnext: {failure.next_step}", 3)


def result_of(command: list[str], environment: Mapping[str, str]) -> Any:
    """A function's result, as sam prints it. It exits with 0 whatever a function answers."""
    result = json.loads(run(*command, env=environment))
    assert "errorType" not in result, result
    return result


@pytest.mark.sam_local
def test_under_sam_local(deployment: Deployment, samples: Path, sam_local: SamLocal) -> None:
    of = {binary: logical_id for logical_id, binary in FUNCTIONS.items()}

    def invoke(function: str, event: Path) -> Any:
        command = sam_local.command("invoke", of[function], "--event", event)
        return result_of(command, sam_local.environment)

    run_all(deployment, samples, invoke)


@pytest.mark.sam_local
def test_sam_local_start_api(resource: str, sam_local: SamLocal, tmp_path: Path) -> None:
    port = free_port(0, "sam local start-api")
    line: list[str | Path] = [*sam_local.command("start-api", "--port", str(port))]
    log = tmp_path / "log"

    def is_up() -> bool:
        return "Running on" in log.read_text(errors="replace")

    with serving(line, port, log, sam_local.environment, is_up) as api:
        put = api.put(resource, sample())
        assert (put.status, put.body) == (201, sample()), put
        # The stack carries out the operations that were accepted here.
        accepted = api.put_later(resource, sample(2))
        until("its outcome", lambda: api.status(accepted).json()["status"] == "succeeded")
        assert api.get(resource).body == sample(2)
        problem_in(api.put(resource, b"[]"), 422, "invalid-body")


@pytest.mark.sam_local
def test_the_line_in_the_readme(deployment: Deployment, samples: Path, sam_local: SamLocal) -> None:
    """The line is for the stack in .local; here it uses that of the tests."""
    page = (EVENTS / "README.md").read_text()
    (line,) = re.findall(r"^make -C events invoke .*$", page, re.MULTILINE)
    command = ["sh", "-c", f"{line} --silent LOCAL_DIR='{deployment.local}'"]
    result = result_of(command, os.environ)
    assert result["statusCode"] == 201, result
