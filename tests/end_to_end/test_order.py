"""Inline and deferred PUTs of one user in every order: the newest accepted wins, and each has one effect."""

from __future__ import annotations

from typing import Any

from client import Answer, Api
from deployment import Deployment, Queue, attributes


def body_of(deployment: Deployment, user: str) -> str:
    """The stored body, which must be what the API gives back."""
    stored = deployment.user(user)
    assert stored is not None
    got = deployment.api.get(user)
    assert (got.body.decode(), got.headers["etag"]) == (stored["body"], f'"{stored["op"]}"'), (got, stored)
    return stored["body"]


def outcome_of(deployment: Deployment, accepted: Answer) -> str:
    """How an operation ended; the status document and the item must agree."""
    document: dict[str, Any] = deployment.completed(accepted)
    item = deployment.outcome(accepted.json()["id"])
    assert item is not None and item["outcome"] == document["status"], (item, document)
    assert ("etag" in document) == (document["status"] == "succeeded"), document
    return str(document["status"])


def test_a_deferred_put_does_not_replace_a_newer_inline_one(deployment: Deployment, api: Api, user: str) -> None:
    with deployment.mapping.off():
        late = api.put_later(user, b'{"v":"older"}')
        inline = api.put(user, b'{"v":"newer"}')
        assert inline.status == 201, inline
    assert outcome_of(deployment, late) == "superseded"
    assert body_of(deployment, user) == '{"v":"newer"}'


def test_an_inline_put_replaces_an_applied_deferred_one(deployment: Deployment, api: Api, user: str) -> None:
    deferred = api.put_later(user, b'{"v":"older"}')
    assert outcome_of(deployment, deferred) == "succeeded"
    inline = api.put(user, b'{"v":"newer"}')
    assert inline.status == 200, inline
    assert body_of(deployment, user) == '{"v":"newer"}'
    assert outcome_of(deployment, deferred) == "succeeded"


def test_of_two_deferred_puts_in_one_batch_the_newer_wins(deployment: Deployment, api: Api, user: str) -> None:
    with deployment.mapping.off():
        api.put(user, b'{"v":0}')
        first = api.put_later(user, b'{"v":1}')
        second = api.put_later(user, b'{"v":2}')
    assert outcome_of(deployment, second) == "succeeded"
    # In one batch the older may be skipped, in two it is written first.
    assert outcome_of(deployment, first) in ("succeeded", "superseded")
    assert body_of(deployment, user) == '{"v":2}'


def test_messages_in_reverse_order(deployment: Deployment, api: Api, user: str, queue: Queue) -> None:
    with deployment.mapping.off():
        older = api.put_later(user, b'{"v":"older"}')
        message = queue.message_of(user)
        queue.delete(message)
        newer = api.put_later(user, b'{"v":"newer"}')
    assert outcome_of(deployment, newer) == "succeeded"
    assert api.status(older).json()["status"] == "pending"
    queue.send_copy(message)
    assert outcome_of(deployment, older) == "superseded"
    assert body_of(deployment, user) == '{"v":"newer"}'


def test_a_message_delivered_twice_has_one_effect(
    deployment: Deployment, api: Api, user: str, queue: Queue
) -> None:
    with deployment.mapping.off():
        accepted = api.put_later(user, b'{"v":1}')
        message = queue.message_of(user)
        queue.send_copy(message)
        assert queue.size() == 2
    assert outcome_of(deployment, accepted) == "succeeded"
    queue.is_empty_after("both deliveries")
    stored, outcome = deployment.user(user), deployment.outcome(accepted.json()["id"])
    assert stored is not None and stored["op"] == stored["created_by"] == accepted.json()["id"]

    # Again, in an invocation of its own.
    queue.send_copy(message)
    queue.is_empty_after("a third delivery")
    assert (deployment.user(user), deployment.outcome(accepted.json()["id"])) == (stored, outcome)

    # And again, when something newer is stored.
    assert api.put(user, b'{"v":2}').status == 200
    queue.send_copy(message)
    queue.is_empty_after("a late delivery")
    assert body_of(deployment, user) == '{"v":2}'
    assert deployment.outcome(accepted.json()["id"]) == outcome


def test_a_redelivery_restores_an_outcome_that_was_not_written(
    deployment: Deployment, api: Api, user: str, queue: Queue
) -> None:
    """A user at the operation's own id says that an earlier attempt landed."""
    with deployment.mapping.off():
        accepted = api.put_later(user, b'{"v":1}')
        message = queue.message_of(user)
    assert outcome_of(deployment, accepted) == "succeeded"
    stored = deployment.user(user)
    deployment.forget(operations=(accepted.json()["id"],))
    queue.send_copy(message)
    assert outcome_of(deployment, accepted) == "succeeded"
    assert deployment.user(user) == stored


def test_a_stale_condition_loses_to_what_came_between(deployment: Deployment, api: Api, user: str) -> None:
    etag = api.put(user, b'{"v":1}').headers["etag"]
    with deployment.mapping.off():
        conditional = api.put_later(user, b'{"v":"conditional"}', {"If-Match": etag})
        api.put(user, b'{"v":"between"}')
    assert outcome_of(deployment, conditional) == "failed"
    assert body_of(deployment, user) == '{"v":"between"}'


def test_a_chain_of_conditional_deferred_puts(deployment: Deployment, api: Api, user: str, queue: Queue) -> None:
    """Each names the one before, which is still queued: the operation id of a 202 is its ETag to come."""
    with deployment.mapping.off():
        chain = [api.put_later(user, b'{"v":0}', {"If-None-Match": "*"})]
        for step in range(1, 4):
            previous = chain[-1].json()["id"]
            chain.append(api.put_later(user, f'{{"v":{step}}}'.encode(), {"If-Match": f'"{previous}"'}))
        ids = [attributes(message)["operation"] for message in queue.look()]
        assert sorted(ids) == [accepted.json()["id"] for accepted in chain]
    assert [outcome_of(deployment, accepted) for accepted in chain] == ["succeeded"] * 4
    assert body_of(deployment, user) == '{"v":3}'


def test_a_burst_of_both_modes_ends_with_the_newest(deployment: Deployment, api: Api, user: str, queue: Queue) -> None:
    answers = []
    for step in range(12):
        body = f'{{"v":{step}}}'.encode()
        answers.append(api.put(user, body) if step % 3 == 2 else api.put_later(user, body))
    deferred = [answer for answer in answers if answer.status == 202]
    assert len(deferred) == 8
    for accepted in deferred:
        assert outcome_of(deployment, accepted) in ("succeeded", "superseded")
    assert body_of(deployment, user) == '{"v":11}'
    queue.is_empty_after("the burst")
