"""What the tests share: the stack, the proxy before it, and names of their own."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import signal
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from .client import Api
from .deployment import ROOT, Deployment, stack_command
from .events import BATCHES, batch, operation_of
from .history import History
from .proxy import Proxy
from .queues import Queue
from .resources import SAMPLES, new_resource
from .service import Service
from .smoke import SMOKE, Tell, deployed_stack

OWN_STACK = ROOT / ".local" / "tests"
TOLD = pytest.StashKey[list[str]]()


def pytest_configure() -> None:
    """End on a signal as on Ctrl-C, so that the stack is taken down."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run what changes the stack after everything else, and never on a stack of somebody else."""

    def turn(item: pytest.Item) -> int:
        smoke = item.get_closest_marker("smoke")
        if smoke is not None and "turn" in smoke.kwargs:
            return int(smoke.kwargs["turn"])
        marker = item.get_closest_marker("changes_stack")
        return 0 if marker is None else 2 if marker.kwargs.get("closes_api") else 1

    items.sort(key=turn)
    if "STACK_ENV" in os.environ:
        skip = pytest.mark.skip(reason="changes the stack, and that of STACK_ENV is left alone")
        for item in items:
            if item.get_closest_marker("changes_stack"):
                item.add_marker(skip)


@pytest.fixture(scope="session")
def deployment() -> Iterator[Deployment]:
    """A stack of its own for the whole run, or the running one that STACK_ENV names."""
    assert SMOKE not in os.environ, "a test that is marked smoke needs the API alone"
    running = os.environ.get("STACK_ENV")
    if running is None:
        with own_stack():
            yield Deployment(OWN_STACK / "stack.env")
    elif Path(running).is_file():
        yield Deployment(Path(running))
    else:
        pytest.exit(f"STACK_ENV names {running}: there is no such file; make up writes one", 3)


@contextlib.contextmanager
def own_stack() -> Iterator[None]:
    """A fresh stack, taken down at the end of the block whatever happens."""
    OWN_STACK.mkdir(parents=True, exist_ok=True)
    with (OWN_STACK / "tests.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pytest.exit("another run of these tests in this checkout is not over yet", 3)
        try:
            stack_command("down", OWN_STACK)  # what a killed run may have left
            done = stack_command("up", OWN_STACK, "--build", os.environ.get("BUILD", "quick"))
            if done.returncode != 0:
                pytest.exit(f"the stack did not come up:\n{done.stdout}", 3)
            print(done.stdout)
            yield
        finally:
            stack_command("down", OWN_STACK)


@pytest.fixture(scope="session")
def proxy(deployment: Deployment) -> Iterator[Proxy]:
    """All calls of the functions go through it."""
    proxy = Proxy(deployment.endpoint)
    with deployment.functions_use(proxy.variables):
        yield proxy
    proxy.stop()


@pytest.fixture(scope="session")
def service(request: pytest.FixtureRequest) -> Iterator[Service]:
    """The stack that is smoke-tested, or the deployment of these tests."""
    if SMOKE in os.environ:
        told = request.config.stash.setdefault(TOLD, [])
        with deployed_stack(os.environ[SMOKE], told) as service:
            yield service
    else:
        request.getfixturevalue("proxy")
        yield request.getfixturevalue("deployment")


@pytest.fixture(scope="session")
def api(service: Service) -> Api:
    """The API."""
    return service.api


@pytest.fixture
def tell(pytestconfig: pytest.Config) -> Tell:
    """Adds a line to the report at the end, and whether it is as this project assumes."""
    told = pytestconfig.stash.setdefault(TOLD, [])

    def add(line: str, as_assumed: bool | None = None) -> None:
        mark = {None: "", True: "as assumed: ", False: "SURPRISE: "}[as_assumed]
        told.append(f"- {mark}{line}")

    return add


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """The report, without the account, which an error of AWS names."""
    if told := config.stash.get(TOLD, None):
        terminalreporter.section("what this stack does, to paste into an issue")
        for line in told:
            terminalreporter.write_line(re.sub(r"\b\d{12}\b", "ACCOUNT", line))
        terminalreporter.write_line("A SURPRISE, or a failure: docs/deploying.md says what to do")


@pytest.fixture(scope="session")
def history(deployment: Deployment) -> History:
    """Every write from now on."""
    return History(deployment)


@pytest.fixture
def queue(deployment: Deployment, proxy: Proxy) -> Iterator[Queue]:
    """The queue of updates, empty before the test; at its end all must have been carried out."""
    deployment.queue.purge()
    yield deployment.queue
    try:
        deployment.queue.is_empty_after("the test")
    finally:
        deployment.queue.purge()


@pytest.fixture
def settled(request: pytest.FixtureRequest) -> None:
    """At the end of the test all that was accepted must have been carried out. The queue of a
    stack that is smoke-tested is left alone.
    """
    if SMOKE not in os.environ:
        request.getfixturevalue("queue")


@pytest.fixture
def parked(deployment: Deployment, queue: Queue) -> Iterator[Queue]:
    """The queue of parked messages, empty before and after the test.

    A dead letter whose parking failed comes back after 5 s instead of the template's 180.
    """
    queues = deployment.dead_letters, deployment.parked
    for each in queues:
        each.purge()
    with deployment.dead_letters.visibility_timeout(5):
        yield deployment.parked
    for each in queues:
        each.purge()


@pytest.fixture(scope="session")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample events, written just now: those in the repository may be too old to be carried
    out.
    """
    directory = tmp_path_factory.mktemp("events")
    subprocess.run(
        ["cargo", "run", "--quiet", "--package", "events", directory], cwd=ROOT, check=True
    )
    return directory


@pytest.fixture
def clean(deployment: Deployment, samples: Path) -> Iterator[None]:
    """No resource and no outcome of the samples, before and after; and nothing is delivered."""
    records = (record for name in BATCHES for record in batch(samples, name))
    operations = tuple(operation_of(each) for each in records if each["messageAttributes"])

    def clear() -> None:
        deployment.forget(resources=tuple(SAMPLES), operations=operations)
        deployment.queue.purge()
        deployment.parked.purge()

    with deployment.mapping.off():
        clear()
        yield
        clear()


@pytest.fixture
def resource() -> str:
    """The id of a resource that nobody else uses."""
    return new_resource()


@pytest.fixture
def key() -> str:
    """An idempotency key that nobody else uses."""
    return str(uuid.uuid4())
