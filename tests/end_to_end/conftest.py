"""What the tests share: the stack, and names of their own."""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from client import Api
from deployment import ROOT, Deployment, Queue, stack_command

sys.dont_write_bytecode = True

OWN_STACK = ROOT / ".local" / "end-to-end"


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
    if running:
        yield Deployment(Path(running))
        return
    try:
        # What an earlier run that was killed may have left would not be fresh.
        stack_command("down", OWN_STACK)
        done = stack_command("up", OWN_STACK)
        if done.returncode != 0:
            pytest.exit(f"the stack did not come up:\n{done.stdout}", returncode=3)
        yield Deployment(OWN_STACK / "stack.env")
    finally:
        stack_command("down", OWN_STACK)


@pytest.fixture(scope="session")
def api(deployment: Deployment) -> Api:
    """The API."""
    return deployment.api


@pytest.fixture
def queue(deployment: Deployment) -> Iterator[Queue]:
    """The queue of updates, empty before and after the test."""
    deployment.queue.purge()
    yield deployment.queue
    deployment.queue.purge()


@pytest.fixture
def new_user() -> Callable[[], str]:
    """Makes ids of users that nobody else uses."""
    return lambda: f"test-{uuid.uuid4()}"


@pytest.fixture
def user(new_user: Callable[[], str]) -> str:
    """The id of a user that nobody else uses."""
    return new_user()
