"""The common part of the tests: the stack, the proxy in front of it, and unique names."""

import contextlib
import os
import re
import signal
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from .client import Api
from .deployment import Deployment
from .proxy import Proxy
from .queues import Queue
from .resources import ROOT, new_resource
from .service import Service, until
from .smoke import SMOKE, Tell, deployed_stack

OWN_STACK = ROOT / ".local" / "tests"
TOLD = pytest.StashKey[list[str]]()


def pytest_configure() -> None:
    """End on a signal as on Ctrl-C, so that the stack is stopped."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run tests that change the stack after all others, and only on a stack of these tests."""
    theirs = pytest.mark.skip(reason="changes the stack, and that of STACK_ENV is left alone")
    turns: dict[pytest.Item, int] = {}
    for item in items:
        marker = item.get_closest_marker("changes_stack")
        turns[item] = 0 if marker is None else marker.kwargs["turn"]
        if marker and "STACK_ENV" in os.environ:
            item.add_marker(theirs)
    items.sort(key=turns.__getitem__)


@pytest.fixture(scope="session")
def printed() -> Iterator[str]:
    """The output of `make run`, which serves a fresh stack for these tests until Ctrl-C."""
    # The settings of make for these tests are not for that make.
    environment = {key: text for key, text in os.environ.items() if "MAKE" not in key}
    line = ["make", "run", "PORT=0", f"LOCAL_DIR={OWN_STACK.relative_to(ROOT)}"]
    line += [f"{name}={os.environ[name]}" for name in ("PARAMETERS", "BUILD") if name in os.environ]
    OWN_STACK.mkdir(parents=True, exist_ok=True)
    log = OWN_STACK / "run.log"
    with log.open("w") as output:
        make = subprocess.Popen(
            line, cwd=ROOT, env=environment, stdout=output, stderr=output, start_new_session=True
        )

    def is_up() -> bool:
        return "Ctrl-C stops everything." in log.read_text() or make.poll() is not None

    try:
        until("make run", is_up, bool, 900)
        if make.poll() is not None:
            pytest.exit(f"the stack did not come up:\n{log.read_text()}", 3)
        yield log.read_text()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(make.pid, signal.SIGINT)
        make.wait(60)
    assert log.read_text().rstrip().endswith("stopped (SIGINT)"), log.read_text()


@pytest.fixture(scope="session")
def deployment(request: pytest.FixtureRequest) -> Deployment:
    """A new stack for the whole run, or the running one that STACK_ENV names."""
    assert SMOKE not in os.environ, "a test that is marked smoke needs the API alone"
    running = os.environ.get("STACK_ENV")
    if running is None:
        request.getfixturevalue("printed")
        return Deployment(OWN_STACK / "stack.env")
    if not Path(running).is_file():
        pytest.exit(f"STACK_ENV names {running}: there is no such file; make up writes one", 3)
    return Deployment(Path(running))


@pytest.fixture(scope="session")
def proxy(deployment: Deployment) -> Iterator[Proxy]:
    """The proxy for all calls of the functions."""
    proxy = Proxy(deployment.endpoint)
    with deployment.functions_use(proxy.variables):
        yield proxy
    proxy.stop()


@pytest.fixture(scope="session")
def service(request: pytest.FixtureRequest) -> Iterator[Service]:
    """The stack under the smoke test, or the deployment of these tests."""
    with contextlib.ExitStack() as stack:
        if SMOKE in os.environ:
            tell = request.getfixturevalue("tell")
            yield stack.enter_context(deployed_stack(os.environ[SMOKE], tell))
        else:
            yield request.getfixturevalue("deployment")


@pytest.fixture(scope="session")
def api(service: Service) -> Api:
    """The API."""
    return service.api


@pytest.fixture(scope="session")
def tell(pytestconfig: pytest.Config) -> Tell:
    """Adds a line to the report at the end."""
    told = pytestconfig.stash.setdefault(TOLD, [])

    def add(line: str, as_assumed: bool | None = None) -> None:
        mark = {None: "", True: "as assumed: ", False: "SURPRISE: "}[as_assumed]
        told.append(f"- {mark}{line}")

    return add


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print the report, without the account number, which AWS's errors contain."""
    if told := config.stash.get(TOLD, None):
        terminalreporter.section("what this stack does, to paste into an issue")
        for line in told:
            terminalreporter.write_line(re.sub(r"\b\d{12}\b", "ACCOUNT", line))
        terminalreporter.write_line("A SURPRISE, or a failure: docs/deploying.md says what to do")


@pytest.fixture
def queue(deployment: Deployment) -> Iterator[Queue]:
    """The queue of updates. It is empty before the test, and must be empty at the end."""
    deployment.queue.purge()
    yield deployment.queue
    try:
        deployment.queue.is_empty_after("the test")
    finally:
        deployment.queue.purge()


@pytest.fixture
def resource() -> str:
    """The id of a resource that no other test uses."""
    return new_resource()


@pytest.fixture
def key() -> str:
    """An idempotency key that no other test uses."""
    return str(uuid.uuid4())
