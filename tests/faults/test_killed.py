"""`apply` is killed while it works."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from answers import id_of, status_of
from client import Api
from deployment import Deployment, Queue
from function_processes import kill
from history import History
from microburst import Microburst, Rule, late, rule, slow_reply, visibility
from polling import until


@pytest.fixture(autouse=True)
def short_visibility(deployment: Deployment) -> Iterator[None]:
    """A message of a killed process comes back after 2 s instead of the template's 180."""
    with visibility(deployment, 2):
        yield


@pytest.mark.parametrize(
    "window",
    [late(3), slow_reply(3), late(60)],
    ids=["before the write lands", "after it landed", "and the write never lands"],
)
def test_in_mid_batch(
    deployment: Deployment,
    api: Api,
    new_user: Callable[[], str],
    queue: Queue,
    dynamodb: Microburst,
    history: History,
    window: Rule,
) -> None:
    """Some users of the batch are written, the write of one is under way: all comes to its end once."""
    users = [new_user() for _ in range(4)]
    with dynamodb.rules(rule(window, "TransactWriteItems", 1, users[1])):
        with deployment.mapping.off():
            accepted = [api.put_later(user, f'{{"v":{step}}}'.encode()) for step in (1, 2) for user in users]
        dynamodb.until_fired()
        assert kill(deployment, "APPLY") >= 1
        for answer in accepted:
            status = status_of(deployment, answer, 40)
            # In one batch the older is skipped, in two it is written first.
            assert status == "succeeded" or (status, answer in accepted[:4]) == ("superseded", True)
        queue.is_empty_after("the redelivery")
    for user, answer in zip(users, accepted[4:], strict=True):
        operations = history.operations(user)
        assert operations == sorted(set(operations)) and operations[-1] == answer.json()["id"]
        assert deployment.user(user) is not None
    for answer in accepted:
        assert len(history.outcomes(answer.json()["id"])) == 1


def test_overtaken_before_the_redelivery(
    deployment: Deployment, api: Api, user: str, queue: Queue, dynamodb: Microburst, history: History
) -> None:
    """It was written, then killed, then a newer PUT came: the redelivery must not take it for superseded."""
    with dynamodb.rules(rule(slow_reply(3), "TransactWriteItems", 1, user)):
        accepted = api.put_later(user, b'{"v":1}')
        until("the write", lambda: history.operations(user))
        kill(deployment, "APPLY")
        newer = api.put(user, b'{"v":2}')
        queue.is_empty_after("the redelivery")
    assert status_of(deployment, accepted) == "succeeded"
    assert history.operations(user) == [accepted.json()["id"], id_of(newer)]


def test_again_and_again(
    deployment: Deployment,
    api: Api,
    new_user: Callable[[], str],
    queue: Queue,
    dynamodb: Microburst,
    history: History,
) -> None:
    """From the fourth delivery on it runs alone, so the others of its batch end meanwhile."""
    culprit, others = new_user(), [new_user() for _ in range(3)]
    with dynamodb.rules(rule(late(60), "TransactWriteItems", 4, culprit)):
        with deployment.mapping.off():
            first = api.put_later(culprit, b'{"v":1}')
            accepted = [api.put_later(user, b'{"v":1}') for user in others]
        for deaths in range(1, 5):
            dynamodb.until_fired(deaths)
            kill(deployment, "APPLY")
        for answer in [first, *accepted]:
            assert status_of(deployment, answer, 40) == "succeeded"
    queue.is_empty_after("the kills")
    for user in [culprit, *others]:
        assert len(history.operations(user)) == 1
