"""Writes that landed, and whose reply was lost."""

from __future__ import annotations

from answers import answer_of, body_of, id_of, meanwhile, refused, status_of
from client import Api
from deployment import Deployment, Queue
from history import History
from microburst import LOST_REPLY, Microburst, late, rule


def test_an_inline_put_finds_its_own_write(
    deployment: Deployment, api: Api, user: str, dynamodb: Microburst, history: History
) -> None:
    written = []
    for status in (201, 200):
        with dynamodb.rules(rule(LOST_REPLY, "UpdateItem", times=1)):
            answer = api.put(user, b'{"v":%d}' % status)
            assert dynamodb.fired() == ["UpdateItem"]
        assert answer.status == status, answer
        written.append(id_of(answer))
        assert history.operations(user) == written


def test_an_inline_put_that_was_overtaken_is_no_guess(
    deployment: Deployment, api: Api, user: str, dynamodb: Microburst, history: History
) -> None:
    """Its first call lands without a reply; before its second, somebody else writes the user."""
    before = api.put(user, b'{"v":"before"}')
    with meanwhile() as others:
        lost, second = rule(LOST_REPLY, "UpdateItem", 1, user), rule(late(1.5), "UpdateItem", 1, user)
        with dynamodb.rules(lost, second):
            overtaken = others.submit(api.put, user, b'{"v":"overtaken"}')
            dynamodb.until_fired(2)
            newer = api.put(user, b'{"v":"newer"}')
            refused(answer_of(overtaken), "outcome-unknown")
    assert newer.status == 200, newer
    first, second_operation, third = history.operations(user)
    assert (first, third) == (id_of(before), id_of(newer)) and first < second_operation < third
    assert api.get(user).body == b'{"v":"newer"}'


def test_a_false_precondition_that_may_come_true_is_no_certain_refusal(
    deployment: Deployment, api: Api, user: str, dynamodb: Microburst, history: History
) -> None:
    """If-Match names an update that is still queued. The first call is under way for longer than the
    function waits for it; the second finds the precondition false; the update is applied; the first lands."""
    assert api.put(user, b'{"v":0}').status == 201
    with dynamodb.rules(rule(late(6), "UpdateItem", 1, user)):
        with deployment.mapping.off():
            queued = api.put_later(user, b'{"v":1}')
            answer = api.put(user, b'{"v":2}', {"If-Match": f'"{queued.json()["id"]}"'})
        assert status_of(deployment, queued, 2) == "succeeded"
        dynamodb.until_landed()
    assert body_of(deployment, user) == '{"v":2}'
    refused(answer, "outcome-unknown")


def test_an_update_is_applied_once(
    deployment: Deployment, api: Api, user: str, queue: Queue, dynamodb: Microburst, history: History
) -> None:
    with dynamodb.rules(rule(LOST_REPLY, "TransactWriteItems", times=1)):
        accepted = api.put_later(user, b'{"v":1}')
        assert status_of(deployment, accepted) == "succeeded"
        queue.is_empty_after("the update")
        assert dynamodb.fired() == ["TransactWriteItems"]
    operation = accepted.json()["id"]
    assert (history.operations(user), history.outcomes(operation)) == ([operation], ["succeeded"])


def test_an_update_that_lost_every_reply_is_applied_once(
    deployment: Deployment, api: Api, user: str, queue: Queue, dynamodb: Microburst, history: History
) -> None:
    """It is handed back, although it landed."""
    with dynamodb.rules(rule(LOST_REPLY, "TransactWriteItems", times=3)):
        accepted = api.put_later(user, b'{"v":1}')
        assert status_of(deployment, accepted) == "succeeded"
        dynamodb.until_fired(3)
        queue.is_empty_after("the redelivery")
    operation = accepted.json()["id"]
    assert (history.operations(user), history.outcomes(operation)) == ([operation], ["succeeded"])


def test_a_message_that_was_sent_twice_is_applied_once(
    deployment: Deployment, api: Api, user: str, queue: Queue, sqs: Microburst, history: History
) -> None:
    with deployment.mapping.off(), sqs.rules(rule(LOST_REPLY, "SendMessage", times=1)):
        accepted = api.put_later(user, b'{"v":1}')
        assert queue.size() == 2
    assert status_of(deployment, accepted) == "succeeded"
    queue.is_empty_after("both messages")
    operation = accepted.json()["id"]
    assert (history.operations(user), history.outcomes(operation)) == ([operation], ["succeeded"])


def test_a_message_without_any_reply_is_no_guess(
    deployment: Deployment, api: Api, user: str, queue: Queue, sqs: Microburst, history: History
) -> None:
    with deployment.mapping.off(), sqs.rules(rule(LOST_REPLY, "SendMessage", times=3)):
        refused(api.put(user, b'{"v":1}', {"Prefer": "respond-async"}), "outcome-unknown")
        assert queue.size() == 3
    queue.is_empty_after("the three messages")
    assert len(history.operations(user)) == 1
