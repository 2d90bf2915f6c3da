"""`apply` is killed while it works."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from .answers import id_of
from .bodies import sample
from .client import Api
from .deployment import Deployment
from .function_processes import kill
from .history import History
from .proxy import Held, Proxy
from .queues import Queue

WRITE = "DynamoDB.TransactWriteItems"


@pytest.fixture(autouse=True)
def short_visibility(deployment: Deployment) -> Iterator[None]:
    """A message of a killed process comes back after 1 s instead of the template's 180."""
    with deployment.queue.visibility_timeout(1):
        yield


@pytest.mark.parametrize("window", ["before the write", "after it landed", "it never lands"])
def test_in_mid_batch(
    deployment: Deployment,
    api: Api,
    new_user: Callable[[], str],
    queue: Queue,
    proxy: Proxy,
    history: History,
    window: str,
) -> None:
    """Some users of the batch are written, the write of one is under way: each ends once."""
    users = [new_user() for _ in range(4)]
    held = Held(landed=window == "after it landed")
    with proxy.failing(WRITE, held, 1, users[1]):
        with deployment.mapping.off():
            steps = [(user, step) for step in (1, 2) for user in users]
            accepted = [api.put_later(user, sample(step)) for user, step in steps]
        held.until_reached()
        assert kill(deployment, "APPLY") >= 1
        if window == "before the write":
            held.land()
        for answer in accepted:
            end = deployment.end_of(answer)
            # In one batch the older is skipped, in two it is written first.
            assert end == "succeeded" or (end, answer in accepted[:4]) == ("superseded", True)
        queue.is_empty_after("the redelivery")
    for user, answer in zip(users, accepted[4:], strict=True):
        operations = history.of_user(user)
        assert operations == sorted(set(operations)) and operations[-1] == id_of(answer)
    for answer in accepted:
        assert len(history.of_operation(id_of(answer))) == 1


def test_overtaken_before_the_redelivery(
    deployment: Deployment, api: Api, user: str, queue: Queue, proxy: Proxy, history: History
) -> None:
    """It was written, then killed, then a newer PUT came: it must not be taken for superseded."""
    held = Held(landed=True)
    with proxy.failing(WRITE, held, 1, user):
        accepted = api.put_later(user, sample(1))
        held.until_reached()
        assert kill(deployment, "APPLY") >= 1
        newer = api.put(user, sample(2))
        queue.is_empty_after("the redelivery")
    assert deployment.end_of(accepted) == "succeeded"
    assert history.of_user(user) == [id_of(accepted), id_of(newer)]


def test_again_and_again(
    deployment: Deployment,
    api: Api,
    new_user: Callable[[], str],
    queue: Queue,
    proxy: Proxy,
    history: History,
) -> None:
    """From the fourth delivery on it runs alone, so that the others of its batch end meanwhile."""
    culprit, others = new_user(), [new_user() for _ in range(3)]
    held = Held()
    with proxy.failing(WRITE, held, 4, culprit):
        with deployment.mapping.off():
            first = api.put_later(culprit, sample(1))
            accepted = [api.put_later(user, sample(1)) for user in others]
        for deaths in range(1, 5):
            held.until_reached(deaths)
            kill(deployment, "APPLY")
        for answer in [first, *accepted]:
            assert deployment.end_of(answer) == "succeeded"
        queue.is_empty_after("the kills")
    for user in [culprit, *others]:
        assert len(history.of_user(user)) == 1
