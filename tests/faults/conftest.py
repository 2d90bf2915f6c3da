"""What the tests share: the stack as it is deployed, with microburst before each service."""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from client import Api
from deployment import ROOT, Deployment, Queue, stack_command
from history import History
from microburst import Microburst, Services, between

sys.dont_write_bytecode = True

OWN_STACK = ROOT / ".local" / "faults"


@pytest.fixture(scope="session")
def deployment() -> Iterator[Deployment]:
    """A stack of its own for the whole run, or the running one that STACK_ENV names."""
    running = os.environ.get("STACK_ENV")
    if running:
        yield Deployment(Path(running))
        return
    try:
        stack_command("down", OWN_STACK)
        done = stack_command("up", OWN_STACK, "--build", os.environ.get("BUILD", "release"))
        if done.returncode != 0:
            pytest.exit(f"the stack did not come up:\n{done.stdout}", returncode=3)
        yield Deployment(OWN_STACK / "stack.env")
    finally:
        stack_command("down", OWN_STACK)


@pytest.fixture(scope="session")
def services(deployment: Deployment) -> Iterator[Services]:
    """The proxies."""
    with between(deployment) as services:
        yield services


@pytest.fixture
def dynamodb(services: Services) -> Microburst:
    """The proxy before DynamoDB."""
    return services.dynamodb


@pytest.fixture
def sqs(services: Services) -> Microburst:
    """The proxy before SQS."""
    return services.sqs


@pytest.fixture(scope="session")
def history(deployment: Deployment) -> History:
    """Every write from now on."""
    return History(deployment)


@pytest.fixture(scope="session")
def api(deployment: Deployment, history: History) -> Api:
    """The API."""
    return deployment.api


@pytest.fixture(autouse=True)
def queue(deployment: Deployment) -> Iterator[Queue]:
    """The queue of updates, empty before and after the test."""
    deployment.queue.purge()
    yield deployment.queue
    deployment.queue.purge()


@pytest.fixture
def parked(deployment: Deployment) -> Iterator[Queue]:
    """The queue of parked messages, empty before and after the test."""
    queue = Queue(deployment.sqs, deployment.environment["PARKED_QUEUE_URL"])
    queue.purge()
    yield queue
    queue.purge()


@pytest.fixture
def dead_letters(deployment: Deployment) -> Queue:
    """The queue of dead letters."""
    return Queue(deployment.sqs, deployment.environment["DEAD_LETTERS_QUEUE_URL"])


@pytest.fixture
def new_user() -> Callable[[], str]:
    """Makes ids of users that nobody else uses."""
    return lambda: f"test-{uuid.uuid4()}"


@pytest.fixture
def user(new_user: Callable[[], str]) -> str:
    """The id of a user that nobody else uses."""
    return new_user()
