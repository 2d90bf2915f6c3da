"""How many calls each request makes, and what is answered when calls fail.

A proxy between the functions and MiniStack counts the calls, and fails them as the
test says.
"""

from __future__ import annotations


import pytest

from client import DEFERRED, Answer, Api
from deployment import Deployment, Queue
from polling import until
from problems import problem_in
from proxy import LostReply, Proxy, Reply, Rule, dynamodb_error, sqs_error

THROTTLED = dynamodb_error(400, "ThrottlingException")
BROKEN = dynamodb_error(500, "InternalServerError")


def always(service: str, reply: Reply) -> Rule:
    """Every call of the service gets this reply."""
    return lambda call: reply if call.startswith(service) else None


def first(count: int, of: str, treatment: Reply | LostReply) -> Rule:
    """The first calls of one kind are treated so."""
    left = [count]

    def rule(call: str) -> Reply | LostReply | None:
        if call != of or left[0] == 0:
            return None
        left[0] -= 1
        return treatment

    return rule


def refused(answer: Answer, kind: str) -> None:
    """The answer must be a 503 that tells what is left behind and when to come again."""
    problem_in(answer, 503, kind)
    assert int(answer.headers["retry-after"]) >= 1, answer
    assert not {"location", "etag", "preference-applied"} & set(answer.headers), answer


class TestCounts:
    """Calls on the way without failures."""

    def test_an_inline_put(self, api: Api, user: str, proxy: Proxy) -> None:
        for status in (201, 200):
            with proxy.recorded() as calls:
                assert api.put(user, b"{}").status == status
            assert calls == ["DynamoDB.UpdateItem"]

    def test_a_deferred_put_and_its_update(
        self, deployment: Deployment, api: Api, user: str, queue: Queue, proxy: Proxy
    ) -> None:
        with proxy.recorded() as calls:
            with deployment.mapping.off():
                accepted = api.put_later(user, b"{}")
                assert calls == ["SQS.SendMessage"]
            queue.is_empty_after("the update")
        assert calls == ["SQS.SendMessage", "DynamoDB.TransactWriteItems"]
        with proxy.recorded() as calls:
            assert api.status(accepted).json()["status"] == "succeeded"
        assert calls == ["DynamoDB.GetItem"]

    def test_the_status_of_a_pending_operation(
        self, deployment: Deployment, api: Api, user: str, queue: Queue, proxy: Proxy
    ) -> None:
        with deployment.mapping.off():
            accepted = api.put_later(user, b"{}")
            with proxy.recorded() as calls:
                assert api.status(accepted).json()["status"] == "pending"
        assert calls == ["DynamoDB.GetItem"]

    def test_a_redelivery(self, deployment: Deployment, api: Api, user: str, queue: Queue, proxy: Proxy) -> None:
        with deployment.mapping.off():
            accepted = api.put_later(user, b"{}")
            message = queue.message_of(user)
        assert deployment.completed(accepted)["status"] == "succeeded"
        queue.is_empty_after("the update")
        with proxy.recorded() as calls:
            queue.send_copy(message)
            queue.is_empty_after("the redelivery")
        assert calls == ["DynamoDB.TransactWriteItems"]

    def test_a_get(self, api: Api, user: str, proxy: Proxy) -> None:
        for status in (404, 200):
            with proxy.recorded() as calls:
                assert api.get(user).status == status
            assert calls == ["DynamoDB.GetItem"]
            api.put(user, b"{}")

    def test_a_forged_receipt_and_bad_input_make_no_call(self, api: Api, user: str, proxy: Proxy) -> None:
        with proxy.recorded() as calls:
            assert api.request("GET", f"/users/{user}/operations/{'A' * 38}").status == 404
            assert api.get("a%20b").status == 400
            assert api.put(user, b"[]").status == 422
            assert api.put(user, b"[]", DEFERRED).status == 422
        assert calls == []


class TestDynamoDbFails:
    """Calls to DynamoDB fail."""

    @pytest.mark.parametrize("reply", [THROTTLED, dynamodb_error(400, "TransactionConflictException")])
    def test_throttling_refuses_inline_puts_and_not_deferred_ones(
        self, deployment: Deployment, api: Api, user: str, queue: Queue, proxy: Proxy, reply: Reply
    ) -> None:
        with deployment.mapping.off(), proxy.failing(always("DynamoDB", reply)):
            with proxy.recorded() as calls:
                refused(api.put(user, b"{}"), "not-written")
            assert set(calls) == {"DynamoDB.UpdateItem"} and 1 < len(calls) <= 3, calls
            accepted = api.put_later(user, b'{"v":1}')
            refused(api.status(accepted), "not-read")
            refused(api.get(user), "not-read")
        assert deployment.completed(accepted)["status"] == "succeeded"
        stored = deployment.user(user)
        assert stored is not None and stored["body"] == '{"v":1}'

    def test_one_throttled_call_is_made_again(self, deployment: Deployment, api: Api, user: str, proxy: Proxy) -> None:
        with proxy.failing(first(1, "DynamoDB.UpdateItem", THROTTLED)), proxy.recorded() as calls:
            answer = api.put(user, b"{}")
        assert answer.status == 201, answer
        assert calls == ["DynamoDB.UpdateItem"] * 2
        with proxy.failing(first(2, "DynamoDB.GetItem", THROTTLED)):
            assert api.get(user).status == 200

    def test_a_lost_reply_of_a_create(self, deployment: Deployment, api: Api, user: str, proxy: Proxy) -> None:
        with proxy.failing(first(1, "DynamoDB.UpdateItem", LostReply())), proxy.recorded() as calls:
            answer = api.put(user, b'{"v":1}')
        assert answer.status == 201, answer
        assert calls == ["DynamoDB.UpdateItem"] * 2
        operation = answer.headers["etag"].strip('"')
        assert deployment.user(user) == {"id": user, "body": '{"v":1}', "op": operation, "created_by": operation}

    @pytest.mark.parametrize("is_conditional", [False, True])
    def test_a_lost_reply_of_a_replacement(
        self, deployment: Deployment, api: Api, user: str, proxy: Proxy, is_conditional: bool
    ) -> None:
        etag = api.put(user, b'{"v":1}').headers["etag"]
        with proxy.failing(first(1, "DynamoDB.UpdateItem", LostReply())):
            answer = api.put(user, b'{"v":2}', {"If-Match": etag} if is_conditional else {})
        assert answer.status == 200, answer
        stored = deployment.user(user)
        assert stored is not None
        assert (stored["body"], f'"{stored["op"]}"') == ('{"v":2}', answer.headers["etag"])

    @pytest.mark.parametrize("treatment", [LostReply(), BROKEN], ids=["lost replies", "500"])
    def test_no_reply_at_all_is_no_guess(
        self, deployment: Deployment, api: Api, user: str, proxy: Proxy, treatment: Reply | LostReply
    ) -> None:
        with proxy.failing(first(3, "DynamoDB.UpdateItem", treatment)):
            refused(api.put(user, b"{}"), "outcome-unknown")
        assert (deployment.user(user) is not None) == isinstance(treatment, LostReply)

    def test_refused_connections(self, deployment: Deployment, api: Api, user: str, proxy: Proxy) -> None:
        api.get(user)
        with proxy.refusing():
            refused(api.put(user, b"{}"), "not-written")
            refused(api.put(user, b"{}", DEFERRED), "not-written")
            refused(api.get(user), "not-read")
        assert deployment.user(user) is None
        assert api.put(user, b"{}").status == 201

    def test_what_is_permanent_is_not_tried_again(self, api: Api, user: str, proxy: Proxy) -> None:
        denied = dynamodb_error(400, "AccessDeniedException")
        with proxy.failing(always("DynamoDB", denied)), proxy.recorded() as calls:
            problem_in(api.put(user, b"{}"), 503, "not-written")
        assert calls == ["DynamoDB.UpdateItem"]

    @pytest.mark.parametrize("reply", [THROTTLED, BROKEN], ids=["throttled", "500"])
    def test_a_waiting_update_is_carried_out_after_an_outage(
        self, deployment: Deployment, api: Api, user: str, queue: Queue, proxy: Proxy, reply: Reply
    ) -> None:
        with proxy.failing(always("DynamoDB", reply)), proxy.recorded() as calls:
            accepted = api.put_later(user, b'{"v":1}')
            until("an attempt at the update", lambda: calls.count("DynamoDB.TransactWriteItems"), lambda n: n >= 3)
            assert queue.size() == 1
        assert deployment.completed(accepted)["status"] == "succeeded"
        stored = deployment.user(user)
        assert stored is not None and stored["op"] == accepted.json()["id"]
        queue.is_empty_after("the outage")

    def test_a_lost_reply_of_an_update(
        self, deployment: Deployment, api: Api, user: str, queue: Queue, proxy: Proxy
    ) -> None:
        with proxy.failing(first(1, "DynamoDB.TransactWriteItems", LostReply())), proxy.recorded() as calls:
            accepted = api.put_later(user, b'{"v":1}')
            queue.is_empty_after("the update")
        assert calls == ["SQS.SendMessage"] + ["DynamoDB.TransactWriteItems"] * 2
        assert deployment.completed(accepted)["status"] == "succeeded"

    def test_an_outcome_that_is_not_written_leaves_the_message(
        self, deployment: Deployment, api: Api, user: str, queue: Queue, proxy: Proxy
    ) -> None:
        """A superseded update deletes no message before its outcome is stored."""
        with proxy.failing(always("DynamoDB.PutItem", THROTTLED)), proxy.recorded() as calls:
            with deployment.mapping.off():
                late = api.put_later(user, b'{"v":"older"}')
                assert api.put(user, b'{"v":"newer"}').status == 201
            until("attempts at the outcome", lambda: calls.count("DynamoDB.PutItem"), lambda n: n >= 3)
            assert queue.size() == 1
            assert api.status(late).json()["status"] == "pending"
        assert deployment.completed(late)["status"] == "superseded"


class TestSqsFails:
    """Calls to SQS fail."""

    @pytest.mark.parametrize(
        ("reply", "kind"),
        [
            (sqs_error(400, "RequestThrottled"), "not-written"),
            (sqs_error(403, "OverLimit"), "not-written"),
            (sqs_error(400, "QueueDoesNotExist"), "not-written"),
            (sqs_error(500, "InternalFailure"), "outcome-unknown"),
        ],
        ids=["throttled", "over limit", "no queue", "500"],
    )
    def test_deferred_puts_are_refused_and_inline_ones_are_not(
        self, deployment: Deployment, api: Api, user: str, queue: Queue, proxy: Proxy, reply: Reply, kind: str
    ) -> None:
        with proxy.failing(always("SQS", reply)):
            refused(api.put(user, b"{}", DEFERRED), kind)
            assert api.put(user, b'{"v":1}').status == 201
        assert queue.size() == 0

    def test_a_lost_reply_sends_twice_and_has_one_effect(
        self, deployment: Deployment, api: Api, user: str, queue: Queue, proxy: Proxy
    ) -> None:
        with deployment.mapping.off():
            with proxy.failing(first(1, "SQS.SendMessage", LostReply())), proxy.recorded() as calls:
                accepted = api.put_later(user, b'{"v":1}')
            assert calls == ["SQS.SendMessage"] * 2
            assert queue.size() == 2
        assert deployment.completed(accepted)["status"] == "succeeded"
        queue.is_empty_after("both messages")
        stored = deployment.user(user)
        assert stored is not None and stored["op"] == stored["created_by"] == accepted.json()["id"]
