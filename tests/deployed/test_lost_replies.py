"""Writes that landed, and whose reply was lost or came too late."""

from __future__ import annotations

import time

import pytest

from .answers import answer_of, id_of, meanwhile, refused
from .bodies import sample, sample_text
from .client import DEFERRED, Api
from .deployment import Deployment
from .history import History
from .polling import until
from .proxy import BROKEN, LOSES_REPLY, Fails, Held, LosesReply, Proxy, Rule
from .queues import Queue
from .resources import LOOK, without_update


def test_an_inline_put_finds_its_own_write(
    deployment: Deployment, api: Api, resource: str, proxy: Proxy, history: History
) -> None:
    """When it creates, when it replaces, and when its own write made its precondition false."""
    written: list[str] = []
    for status in (201, 200, 200):
        condition = {"If-Match": f'"{written[-1]}"'} if len(written) == 2 else {}
        with proxy.failing("DynamoDB.UpdateItem", LOSES_REPLY, 1), proxy.recorded() as calls:
            answer = api.put(resource, sample(len(written)), condition)
        assert answer.status == status, answer
        assert calls == [*LOOK, *["DynamoDB.UpdateItem"] * 2]
        written.append(id_of(answer))
        assert history.of_resource(resource) == written


@pytest.mark.parametrize("treatment", [LOSES_REPLY, BROKEN], ids=["lost replies", "500"])
def test_no_reply_at_all_is_no_guess(
    deployment: Deployment, api: Api, resource: str, proxy: Proxy, treatment: LosesReply | Fails
) -> None:
    with proxy.failing("DynamoDB.UpdateItem", treatment):
        refused(api.put(resource, sample()), "outcome-unknown")
    assert (deployment.resource(resource) is not None) == (treatment is LOSES_REPLY)


def test_an_inline_put_that_was_overtaken_is_no_guess(
    deployment: Deployment, api: Api, resource: str, proxy: Proxy, history: History
) -> None:
    """Its first call lands without a reply; before its second, another PUT lands."""
    before = api.put(resource, sample("before"))
    held = Held()
    lost = Rule("DynamoDB.UpdateItem", LOSES_REPLY, 1)
    with meanwhile() as others, proxy.rules(lost, Rule("DynamoDB.UpdateItem", held, 1)):
        overtaken = others.submit(api.put, resource, sample("overtaken"))
        held.until_reached()
        newer = api.put(resource, sample("newer"))
        held.land()
        refused(answer_of(overtaken), "outcome-unknown")
    first, second, third = history.of_resource(resource)
    assert (first, third) == (id_of(before), id_of(newer)) and first < second < third
    assert deployment.body_of(resource) == sample_text("newer")


@without_update
def test_a_false_precondition_that_may_come_true_is_no_certain_refusal(
    deployment: Deployment, api: Api, resource: str, queue: Queue, proxy: Proxy
) -> None:
    """If-Match names an update that is still queued. The first call is under way for longer than
    the function waits for it; the second finds the precondition false; the update is applied; the
    first lands.
    """
    assert api.put(resource, sample(0)).status == 201
    held = Held()
    with proxy.failing("DynamoDB.UpdateItem", held, 1):
        with deployment.mapping.off():
            queued = api.put_later(resource, sample(1))
            answer = api.put(resource, sample(2), {"If-Match": f'"{id_of(queued)}"'})
        assert deployment.end_of(queued) == "succeeded"
        held.land()
    assert deployment.body_of(resource) == sample_text(2)
    refused(answer, "outcome-unknown")


def test_overtaken_during_a_slow_call_is_superseded(
    deployment: Deployment, api: Api, resource: str, queue: Queue, proxy: Proxy, history: History
) -> None:
    """What is stored by then is newer than the call's beginning by over a second: no sign of a
    wrong clock.
    """
    held = Held()
    with proxy.failing("DynamoDB.TransactWriteItems", held, 1, resource):
        accepted = api.put_later(resource, sample("slow"))
        held.until_reached()
        begun = time.monotonic()
        until("a second later", lambda: time.monotonic() - begun > 1.2)
        newer = api.put(resource, sample("newer"))
        held.land()
        assert deployment.end_of(accepted) == "superseded"
    assert history.of_resource(resource) == [id_of(newer)]


@pytest.mark.parametrize("times", [1, 3], ids=["once", "until it is handed back"])
def test_an_update_is_applied_once(
    deployment: Deployment,
    api: Api,
    resource: str,
    queue: Queue,
    proxy: Proxy,
    history: History,
    times: int,
) -> None:
    with proxy.failing("DynamoDB.TransactWriteItems", LOSES_REPLY, times) as fired:
        accepted = api.put_later(resource, sample(1))
        until("the lost replies", lambda: len(fired), lambda count: count == times)
        queue.is_empty_after("the update")
    assert deployment.end_of(accepted) == "succeeded"
    operation = id_of(accepted)
    assert history.of_resource(resource) == [operation]
    assert history.of_operation(operation) == ["succeeded"]


def test_a_message_that_was_sent_twice_is_applied_once(
    deployment: Deployment, api: Api, resource: str, queue: Queue, proxy: Proxy, history: History
) -> None:
    with deployment.mapping.off():
        with proxy.failing("SQS.SendMessage", LOSES_REPLY, 1):
            accepted = api.put_later(resource, sample(1))
        assert queue.size() == 2
    assert deployment.end_of(accepted) == "succeeded"
    queue.is_empty_after("both messages")
    operation = id_of(accepted)
    assert history.of_resource(resource) == [operation]
    assert history.of_operation(operation) == ["succeeded"]


def test_a_message_without_any_reply_is_no_guess(
    deployment: Deployment, api: Api, resource: str, queue: Queue, proxy: Proxy, history: History
) -> None:
    with deployment.mapping.off():
        with proxy.failing("SQS.SendMessage", LOSES_REPLY):
            refused(api.put(resource, sample(1), DEFERRED), "outcome-unknown")
        assert queue.size() > 1
    queue.is_empty_after("the messages")
    assert len(history.of_resource(resource)) == 1
