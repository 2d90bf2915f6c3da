"""`apply` is killed while it works."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .answers import id_of
from .bodies import sample
from .client import Api
from .deployment import Deployment
from .function_processes import kill
from .history import History
from .proxy import Held, Proxy
from .queues import Queue
from .resources import new_resource

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
    queue: Queue,
    proxy: Proxy,
    history: History,
    window: str,
) -> None:
    """Some resources of the batch are written, the write of one is under way: each ends once."""
    resources = [new_resource() for _ in range(4)]
    held = Held(landed=window == "after it landed")
    with proxy.failing(WRITE, held, 1, resources[1]):
        with deployment.mapping.off():
            steps = [(resource, step) for step in (1, 2) for resource in resources]
            accepted = [api.put_later(resource, sample(step)) for resource, step in steps]
        held.until_reached()
        assert kill(deployment, "APPLY") >= 1
        if window == "before the write":
            held.land()
        for answer in accepted:
            end = deployment.end_of(answer)
            # In one batch the older is skipped, in two it is written first.
            assert end == "succeeded" or (end, answer in accepted[:4]) == ("superseded", True)
        queue.is_empty_after("the redelivery")
    for resource, answer in zip(resources, accepted[4:], strict=True):
        operations = history.of_resource(resource)
        assert operations == sorted(set(operations)) and operations[-1] == id_of(answer)
    for answer in accepted:
        assert len(history.of_operation(id_of(answer))) == 1


def test_overtaken_before_the_redelivery(
    deployment: Deployment, api: Api, resource: str, queue: Queue, proxy: Proxy, history: History
) -> None:
    """It was written, then killed, then a newer PUT came: it must not be taken for superseded."""
    held = Held(landed=True)
    with proxy.failing(WRITE, held, 1, resource):
        accepted = api.put_later(resource, sample(1))
        held.until_reached()
        assert kill(deployment, "APPLY") >= 1
        newer = api.put(resource, sample(2))
        queue.is_empty_after("the redelivery")
    assert deployment.end_of(accepted) == "succeeded"
    assert history.of_resource(resource) == [id_of(accepted), id_of(newer)]


def test_again_and_again(
    deployment: Deployment,
    api: Api,
    queue: Queue,
    proxy: Proxy,
    history: History,
) -> None:
    """From the fourth delivery on it runs alone, so that the others of its batch end meanwhile."""
    culprit, others = new_resource(), [new_resource() for _ in range(3)]
    held = Held()
    with proxy.failing(WRITE, held, 4, culprit):
        with deployment.mapping.off():
            first = api.put_later(culprit, sample(1))
            accepted = [api.put_later(resource, sample(1)) for resource in others]
        for deaths in range(1, 5):
            held.until_reached(deaths)
            kill(deployment, "APPLY")
        for answer in [first, *accepted]:
            assert deployment.end_of(answer) == "succeeded"
        queue.is_empty_after("the kills")
    for resource in [culprit, *others]:
        assert len(history.of_resource(resource)) == 1
