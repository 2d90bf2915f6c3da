"""The outcomes that are published where OutcomeTopicArn names a topic.

MiniStack's pipe publishes every record of the stream as it is. So what its filter lets through, and
the message that its template makes, is tested here on these records.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from scripts.ministack import Deployed

from .answers import id_of
from .bodies import sample
from .client import Answer, Api
from .deployment import ROOT, Deployment, stack_command
from .polling import until
from .queues import Queue
from .resources import new_resource
from .test_deferred import instant
from .test_parking import dead_letter
from .test_template import RESOURCES

pytestmark = pytest.mark.changes_stack

PIPE = RESOURCES["OutcomesPipe"]["Properties"]
(FILTER,) = PIPE["SourceParameters"]["FilterCriteria"]["Filters"]
TEMPLATE = PIPE["TargetParameters"]["InputTemplate"]
OURS = {name for name, each in RESOURCES.items() if each.get("Condition") == "PublishesOutcomes"}

Record = dict[str, Any]


class Subscriber:
    """A queue that is subscribed to the topic; what it received so far."""

    def __init__(self, deployment: Deployment) -> None:
        self._sqs = deployment.sqs
        self._events = deployment.client("events")
        self._queue = self._sqs.create_queue(QueueName="tests-outcomes")["QueueUrl"]
        self._records: list[Record] = []
        sns = deployment.client("sns")
        self.topic = sns.create_topic(Name="tests-outcomes")["TopicArn"]
        asked = self._sqs.get_queue_attributes(QueueUrl=self._queue, AttributeNames=["QueueArn"])
        arn = asked["Attributes"]["QueueArn"]
        allowed = {"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage"}
        policy = {"Version": "2012-10-17", "Statement": [allowed | {"Resource": arn}]}
        self._sqs.set_queue_attributes(
            QueueUrl=self._queue, Attributes={"Policy": json.dumps(policy)}
        )
        raw = {"RawMessageDelivery": "true"}
        sns.subscribe(TopicArn=self.topic, Protocol="sqs", Endpoint=arn, Attributes=raw)

    def record(self, what: str, is_it: Callable[[Record], object]) -> Record:
        """The one record of this kind, once it is there."""

        def found() -> list[Record]:
            reply = self._sqs.receive_message(QueueUrl=self._queue, MaxNumberOfMessages=10)
            for message in reply.get("Messages", []):
                self._sqs.delete_message(
                    QueueUrl=self._queue, ReceiptHandle=message["ReceiptHandle"]
                )
                self._records.append(json.loads(message["Body"]))
            return [record for record in self._records if is_it(record)]

        (record,) = until(what, found)
        return record

    def outcome(self, operation: str, status: str) -> Record:
        """The record of an item that has this outcome."""
        image = {"id": {"S": operation}, "outcome": {"S": status}}
        return self.record(
            f"the outcome {status} of {operation}",
            lambda record: image.items() <= record["dynamodb"].get("NewImage", {}).items(),
        )

    def passes(self, record: Record) -> bool:
        """Whether the filter lets it through."""
        reply = self._events.test_event_pattern(
            EventPattern=FILTER["Pattern"], Event=json.dumps(record)
        )
        return bool(reply["Result"])


def message(record: Record) -> dict[str, str]:
    """What the template makes of it. A path must be there: what AWS makes of a missing one is
    not documented.
    """

    def value(path: re.Match[str]) -> str:
        found: Any = record
        for name in path[1].split("."):
            found = found[name]
        return json.dumps(found)

    made: dict[str, str] = json.loads(re.sub(r"<\$\.([^>]+)>", value, TEMPLATE))
    return made


@pytest.fixture(scope="module")
def subscriber(deployment: Deployment) -> Subscriber:
    """The stack with a topic."""
    made = Subscriber(deployment)
    words = f"OutcomeTopicArn={made.topic}"
    done = stack_command("up", deployment.local, parameters=words)
    assert done.returncode == 0, done.stdout
    assert deployed(deployment) == OURS
    return made


def deployed(deployment: Deployment) -> set[str]:
    """What of it the stack has."""
    stack = Deployed(deployment.port, deployment.environment["STACK_NAME"])
    return OURS & stack.physical_ids().keys()


def test_nothing_of_it_is_deployed_without_a_topic(deployment: Deployment) -> None:
    """Nor a stream, which other tests turn on."""
    assert OURS and not deployed(deployment)
    stream = RESOURCES["OperationsTable"]["Properties"]["StreamSpecification"]
    assert (stream[0], stream[2]) == ("PublishesOutcomes", "AWS::NoValue")


def succeeded(deployment: Deployment, resource: str) -> Answer:
    """A PUT that is written."""
    return deployment.api.put_later(resource, sample(1))


def failed(deployment: Deployment, resource: str) -> Answer:
    """A PUT with a false precondition."""
    return deployment.api.put_later(resource, sample(1), {"If-Match": "*"})


def superseded(deployment: Deployment, resource: str) -> Answer:
    """A PUT that loses to a newer one."""
    with deployment.mapping.off():
        accepted = deployment.api.put_later(resource, sample(1))
        deployment.api.put(resource, sample(2))
    return accepted


def cancelled(deployment: Deployment, resource: str) -> Answer:
    """A PUT that its client takes back."""
    with deployment.mapping.off():
        accepted = deployment.api.put_later(resource, sample(1))
        assert deployment.api.cancel(accepted).status == 200
    return accepted


# How a deferred operation ends so.
ENDS = {end.__name__: end for end in (succeeded, failed, superseded, cancelled)}


@pytest.mark.parametrize("status", ENDS)
def test_a_final_outcome_is_published(
    deployment: Deployment, subscriber: Subscriber, resource: str, status: str
) -> None:
    document = deployment.completed(ENDS[status](deployment, resource))
    record = subscriber.outcome(document["id"], status)
    assert subscriber.passes(record)
    told = message(record)
    problem, at = told.pop("error"), told.pop("completedAt")
    assert told == {"id": document["id"], "resource": resource, "status": document["status"]}
    assert int(at) / 1000 == instant(document["completedAt"])
    assert (json.loads(problem) if problem else None) == document.get("error")


def test_the_page_shows_what_is_published() -> None:
    page = (ROOT / "docs" / "http.md").read_text()
    section = page.partition("\n## Messages about outcomes\n")[2].partition("\n## ")[0]
    (shown,) = re.findall(r"```json\n(.*)\n```", section)
    members = re.findall(r'"(\w+)":<', TEMPLATE)
    assert (
        list(json.loads(shown)) == re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == members
    )


def test_every_final_outcome_is_tried() -> None:
    (passing,) = re.findall(r"\[(.*)\]", FILTER["Pattern"])
    assert set(json.loads(f"[{passing}]")) == ENDS.keys()


def test_nothing_else_is_published(
    deployment: Deployment, api: Api, subscriber: Subscriber, key: str, parked: Queue
) -> None:
    stalled = id_of(dead_letter(deployment, new_resource()))
    keyed = id_of(api.put(new_resource(), sample(1), {"Idempotency-Key": f'"{key}"'}))
    assert subscriber.passes(subscriber.outcome(keyed, "succeeded"))
    deployment.forget(operations=(keyed,))
    others = [
        subscriber.outcome(stalled, "stalled"),
        subscriber.record(
            "the claim",
            lambda record: record["dynamodb"].get("NewImage", {}).get("op") == {"S": keyed},
        ),
        subscriber.record(
            "the removal",
            lambda record: (
                (record["eventName"], record["dynamodb"]["Keys"]["id"]["S"]) == ("REMOVE", keyed)
            ),
        ),
    ]
    assert not any(map(subscriber.passes, others)), others
