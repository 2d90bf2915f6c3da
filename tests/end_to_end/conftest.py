"""What the tests share: the stack, and names of their own."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from client import Api
from deployment import ROOT, Deployment, Queue, stack_command
from proxy import Proxy

sys.dont_write_bytecode = True

OWN_STACK = ROOT / ".local" / "end-to-end"


def pytest_configure() -> None:
    """End on a signal as on Ctrl-C, so that the stack is taken down."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run what changes the stack after everything else."""
    items.sort(key=lambda item: item.get_closest_marker("changes_stack") is not None)
    if "STACK_ENV" in os.environ:
        skip = pytest.mark.skip(reason="changes the stack, and that of STACK_ENV is left alone")
        for item in items:
            if item.get_closest_marker("changes_stack"):
                item.add_marker(skip)


@pytest.fixture(scope="session")
def deployment() -> Iterator[Deployment]:
    """A stack of its own for the whole run, or the running one that STACK_ENV names."""
    running = os.environ.get("STACK_ENV")
    if running is None:
        with own_stack():
            yield Deployment(OWN_STACK / "stack.env")
    elif Path(running).is_file():
        yield Deployment(Path(running))
    else:
        pytest.exit(f"STACK_ENV names {running}, and there is no such file: make up writes .local/stack.env", 3)


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
            done = stack_command("up", OWN_STACK)
            if done.returncode != 0:
                pytest.exit(f"the stack did not come up:\n{done.stdout}", 3)
            yield
        finally:
            stack_command("down", OWN_STACK)


@pytest.fixture(scope="session")
def api(deployment: Deployment) -> Api:
    """The API."""
    return deployment.api


@pytest.fixture
def queue(deployment: Deployment) -> Iterator[Queue]:
    """The queue of updates, empty before the test; what the test put there must have been carried out at its end."""
    deployment.queue.purge()
    yield deployment.queue
    try:
        deployment.queue.is_empty_after("the test")
    finally:
        deployment.queue.purge()


@pytest.fixture
def new_user() -> Callable[[], str]:
    """Makes ids of users that nobody else uses."""
    return lambda: f"test-{uuid.uuid4()}"


@pytest.fixture
def user(new_user: Callable[[], str]) -> str:
    """The id of a user that nobody else uses."""
    return new_user()


@pytest.fixture(scope="module")
def proxy(deployment: Deployment) -> Iterator[Proxy]:
    """The functions' calls go through it. MiniStack sets AWS_ENDPOINT_URL itself, but not these two."""
    proxy = Proxy(deployment.endpoint)
    variables = {"AWS_ENDPOINT_URL_DYNAMODB": proxy.url, "AWS_ENDPOINT_URL_SQS": proxy.url}
    with deployment.functions_use(variables):
        yield proxy
    proxy.stop()
