"""What an update of the running stack changes, through the alias that every caller calls, and the
outcomes that are published if OutcomeTopicArn names a topic.

MiniStack's pipe publishes every record of the stream unchanged. The pipe's filter, and
the message from its template, are tested here on these records.
"""

import json
import re
import secrets
from datetime import datetime
from typing import Any

import pytest

from .client import Answer
from .deployment import Deployment
from .resources import ROOT, new_resource, sample
from .service import id_of, until
from .test_template import RESOURCES

pytestmark = pytest.mark.changes_stack(turn=1)

PIPE = RESOURCES["OutcomesPipe"]["Properties"]
(FILTER,) = PIPE["SourceParameters"]["FilterCriteria"]["Filters"]
TEMPLATE = PIPE["TargetParameters"]["InputTemplate"]
OURS = {name for name, each in RESOURCES.items() if each.get("Condition") == "PublishesOutcomes"}
QUEUE = "tests-outcomes"
Record = dict[str, Any]


@pytest.fixture(scope="module")
def earlier(deployment: Deployment) -> Answer:
    """A deferred PUT from before the update, and before the receipt key that the update brings."""
    assert not OURS & deployment.stack.physical_ids().keys()
    accepted = deployment.api.put_later(new_resource(), sample())
    assert deployment.end_of(accepted) == "succeeded"
    return accepted


@pytest.fixture(scope="module")
def updated(deployment: Deployment, earlier: Answer) -> Deployment:
    """The stack with other parameters, another receipt key (as docs/operations.md says), and
    a topic with a subscribed queue.
    """
    store = deployment.client("secretsmanager")
    secret = {"SecretId": deployment.stack.physical_ids()["ReceiptKey"]}
    old = store.get_secret_value(**secret)["VersionId"]
    another = {"SecretString": secrets.token_hex(32), "VersionStages": ["next"]}
    new = store.put_secret_value(**secret, **another)["VersionId"]
    sns, sqs = deployment.client("sns"), deployment.client("sqs")
    topic = sns.create_topic(Name=QUEUE)["TopicArn"]
    arn = topic.replace(":sns:", ":sqs:")
    allowed = {"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": arn}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    sqs.create_queue(QueueName=QUEUE, Attributes={"Policy": policy})
    raw = {"RawMessageDelivery": "true"}
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes=raw)
    return deployment.update(
        DefaultMode="deferred",
        ApplyBatchSize="100",
        ApplyBatchWindow="1",
        OutcomeTopicArn=topic,
        ReceiptKeyVersion=new,
        OtherReceiptKeyVersion=old,
    )


def test_a_plain_put_is_deferred(updated: Deployment, resource: str) -> None:
    accepted = updated.api.put(resource, sample())
    assert accepted.status == 202, accepted
    # The default mode chose it, so no preference was applied.
    assert "preference-applied" not in accepted.headers, accepted
    assert updated.end_of(accepted) == "succeeded"


def test_the_batches_are_as_large_as_asked_for(updated: Deployment) -> None:
    names = "BatchSize", "MaximumBatchingWindowInSeconds"
    # MiniStack stores the values of an update as text.
    assert [str(updated.event_source[name]) for name in names] == ["100", "1"]


def test_receipts_of_either_key_are_known(
    updated: Deployment, earlier: Answer, resource: str
) -> None:
    keys = [updated.variables("PUT")[name] for name in ("RECEIPT_KEY", "OTHER_RECEIPT_KEY")]
    assert keys[0] != keys[1]
    by_new = updated.api.put_later(resource, sample())
    assert [updated.end_of(accepted) for accepted in (earlier, by_new)] == ["succeeded"] * 2


def record_of(deployment: Deployment, **values: str) -> Record:
    """Wait for the record of an item with these values."""
    sqs = deployment.client("sqs")
    queue = {"QueueUrl": sqs.get_queue_url(QueueName=QUEUE)["QueueUrl"]}
    image = {name: {"S": value} for name, value in values.items()}.items()

    def found() -> list[Record]:
        messages = sqs.receive_message(**queue, MaxNumberOfMessages=10).get("Messages", [])
        for message in messages:
            sqs.delete_message(**queue, ReceiptHandle=message["ReceiptHandle"])
        records = [json.loads(message["Body"]) for message in messages]
        return [it for it in records if image <= it["dynamodb"].get("NewImage", {}).items()]

    return until(f"the record of {values}", found)[0]


def passes(deployment: Deployment, record: Record) -> bool:
    """Whether the pipe's filter accepts a record."""
    reply = deployment.client("events").test_event_pattern(
        EventPattern=FILTER["Pattern"], Event=json.dumps(record)
    )
    return bool(reply["Result"])


def published(record: Record) -> dict[str, str]:
    """The message from the template. All paths must exist: what AWS does with a missing one
    is not documented.
    """

    def value(path: re.Match[str]) -> str:
        found: Any = record
        for name in path[1].split("."):
            found = found[name]
        return json.dumps(found)

    made: dict[str, str] = json.loads(re.sub(r"<\$\.([^>]+)>", value, TEMPLATE))
    return made


@pytest.mark.parametrize(
    ("condition", "status"), [({}, "succeeded"), ({"If-Match": "*"}, "failed")], ids=str
)
def test_a_final_outcome_is_published(
    updated: Deployment, resource: str, condition: dict[str, str], status: str
) -> None:
    accepted = updated.api.put_later(resource, sample(), condition)
    document, record = updated.completed(accepted), record_of(updated, id=id_of(accepted))
    told = published(record)
    at, error = (told.pop(name) for name in ("completedAt", "error"))
    assert told == {"id": document["id"], "resource": resource, "status": status}
    assert int(at) / 1000 == datetime.fromisoformat(document["completedAt"]).timestamp()
    assert (json.loads(error) if error else None) == document.get("error")
    for outcome in ("succeeded", "superseded", "failed", "cancelled", "stalled"):
        record["dynamodb"]["NewImage"]["outcome"]["S"] = outcome
        assert passes(updated, record) == (outcome != "stalled"), outcome


def test_a_claim_and_a_removal_are_not_published(
    updated: Deployment, resource: str, key: str
) -> None:
    keyed = {"Idempotency-Key": f'"{key}"', "Prefer": "wait=5"}
    claim = record_of(updated, op=id_of(updated.api.put(resource, sample(), keyed)))
    removal = {"eventName": "REMOVE", "dynamodb": {"Keys": {"id": {"S": "x"}}}}
    assert not passes(updated, claim) and not passes(updated, removal)


def test_the_page_shows_what_is_published() -> None:
    page = (ROOT / "docs" / "http.md").read_text()
    section = page.partition("\n## Messages about outcomes\n")[2].partition("\n## ")[0]
    (shown,) = re.findall(r"```json\n(.*)\n```", section)
    rows = re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
    assert list(json.loads(shown)) == rows == re.findall(r'"(\w+)":<', TEMPLATE)
