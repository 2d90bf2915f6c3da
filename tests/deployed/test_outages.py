"""DynamoDB or SQS throttles, fails or is gone for a while."""

from __future__ import annotations

import contextlib

import pytest

from .answers import id_of, problem_in, refused
from .bodies import sample, sample_text
from .client import DEFERRED, Answer, Api
from .deployment import Deployment
from .history import History
from .polling import until
from .proxy import BROKEN, LOSES_REPLY, THROTTLED, Fails, Proxy, Rule
from .queues import Queue
from .resources import KNOWN, new_resource

WAIT = {"Prefer": "respond-async, wait=1"}
UPDATE, READ, APPLY = "DynamoDB.UpdateItem", "DynamoDB.GetItem", "DynamoDB.TransactWriteItems"


def test_throttling_is_retried(api: Api, resource: str, proxy: Proxy, history: History) -> None:
    with proxy.rules(Rule(UPDATE, THROTTLED, 2), Rule(READ, THROTTLED, 2)) as fired:
        answer = api.put(resource, sample(1))
        assert (answer.status, api.get(resource).status) == (201, 200), answer
    assert sorted(fired) == [READ, READ, UPDATE, UPDATE]
    assert history.of_resource(resource) == [id_of(answer)]


def test_throttling_past_the_retries_refuses_inline_puts_and_reads_alone(
    deployment: Deployment, api: Api, resource: str, queue: Queue, proxy: Proxy
) -> None:
    with deployment.mapping.off():
        with proxy.failing("DynamoDB", THROTTLED) as fired:
            refused(api.put(resource, sample()), "not-written")
            assert len(set(fired)) == 1 and len(fired) > 1
            accepted = api.put_later(resource, sample(1))
            refused(api.status(accepted), "not-read")
            refused(api.get(resource), "not-read")
        assert deployment.resource(resource) is None
    assert deployment.end_of(accepted) == "succeeded"
    assert deployment.body_of(resource) == sample_text(1)


@pytest.mark.parametrize("outage", ["refused connections", "500", "throttled"])
def test_deferred_puts_outlive_an_outage(
    deployment: Deployment,
    api: Api,
    queue: Queue,
    proxy: Proxy,
    history: History,
    outage: str,
) -> None:
    """Accepted all the while, applied after, and the newest of each resource last."""
    blocks: dict[str, contextlib.AbstractContextManager[object]] = {
        "refused connections": proxy.gone("DynamoDB"),
        "500": proxy.failing("DynamoDB", BROKEN),
        "throttled": proxy.failing("DynamoDB", THROTTLED),
    }
    resources = [new_resource() for _ in range(3)]
    accepted: list[Answer] = []
    with proxy.recorded() as calls, blocks[outage]:
        for step in range(9):
            body = sample(step)
            accepted.append(api.put_later(resources[step % 3], body))
        # An update is not even begun, since the read before it fails.
        is_sent = outage == "500" and not KNOWN["hasUpdate"]
        kind = "outcome-unknown" if is_sent else "not-written"
        refused(api.put(resources[0], sample()), kind)
        # All were tried, and handed back at least once.
        handed_back = "SQS.ChangeMessageVisibility"
        until("updates handed back", lambda: calls.count(handed_back), lambda count: count >= 9)
        assert all(deployment.resource(resource) is None for resource in resources)
    for answer in accepted:
        end = deployment.end_of(answer)
        assert end == "succeeded" or (end == "superseded" and answer not in accepted[-3:]), answer
    for resource, newest in zip(resources, accepted[-3:], strict=True):
        operations = history.of_resource(resource)
        assert operations == sorted(set(operations)) and operations[-1] == id_of(newest)
    assert deployment.body_of(resources[2]) == sample_text(8)


def test_an_outcome_that_is_not_written_leaves_the_message(
    deployment: Deployment, api: Api, resource: str, queue: Queue, proxy: Proxy
) -> None:
    """A superseded update deletes no message before its outcome is stored."""
    with proxy.failing("DynamoDB.PutItem", THROTTLED) as fired:
        with deployment.mapping.off():
            late = api.put_later(resource, sample("older"))
            assert api.put(resource, sample("newer")).status == 201
        until("attempts at the outcome", lambda: len(fired), lambda count: count >= 3)
        assert queue.size() == 1
        assert api.status(late).json()["status"] == "pending"
    assert deployment.end_of(late) == "superseded"


def test_sqs_is_gone(
    deployment: Deployment, api: Api, resource: str, queue: Queue, proxy: Proxy, history: History
) -> None:
    with proxy.gone("SQS"):
        refused(api.put(resource, sample("deferred"), DEFERRED), "not-written")
        inline = api.put(resource, sample("inline"))
        waited = api.put(resource, sample("waited"), WAIT)
        assert (inline.status, waited.status) == (201, 200), (inline, waited)
        assert queue.size() == 0
    assert history.of_resource(resource) == [id_of(inline), id_of(waited)]
    assert deployment.end_of(api.put_later(resource, sample("later"))) == "succeeded"


@pytest.mark.parametrize(
    ("fault", "kind"),
    [(Fails(400, "RequestThrottled"), "not-written"), (BROKEN, "outcome-unknown")],
    ids=["throttled", "500"],
)
def test_sqs_refuses(
    api: Api, resource: str, queue: Queue, proxy: Proxy, fault: Fails, kind: str
) -> None:
    with proxy.failing("SQS", fault) as fired:
        refused(api.put(resource, sample(), DEFERRED), kind)
        assert set(fired) == {"SQS.SendMessage"} and len(fired) > 1
        assert api.put(resource, sample(1)).status == 201
    assert queue.size() == 0


def test_both_are_gone(deployment: Deployment, api: Api, resource: str, proxy: Proxy) -> None:
    """Neither the attempt nor the queue: nothing is written, and that is what is said."""
    with proxy.rules(Rule("SQS", THROTTLED), Rule("DynamoDB", THROTTLED)):
        refused(api.put(resource, sample(), WAIT), "not-written")
    assert deployment.resource(resource) is None


def test_the_attempt_landed_without_reply_and_the_queue_is_gone(
    deployment: Deployment, api: Api, resource: str, proxy: Proxy
) -> None:
    rules = Rule("SQS", THROTTLED), Rule(APPLY, LOSES_REPLY, 1), Rule(APPLY, THROTTLED)
    with proxy.rules(*rules):
        problem_in(api.put(resource, sample(1), WAIT), 503, "outcome-unknown")
    assert deployment.body_of(resource) == sample_text(1)
