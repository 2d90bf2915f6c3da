"""Messages that cannot be carried out: handed back, parked, and moved back by an operator."""

from __future__ import annotations

import json

import pytest

from .answers import check_problem, id_of, refused
from .bodies import sample, sample_text
from .client import Answer, Api
from .deployment import Deployment
from .history import History
from .operations import operation_id
from .polling import until
from .proxy import Proxy
from .queues import Message, Queue, attributes
from .resources import new_resource

BROKEN = sample_text("broken")
OPERATION = "01a203ad-500c-7a30-b45e-320af9644cbf"
HANDED_BACK = "SQS.ChangeMessageVisibility"


def apply_among_good_ones(
    deployment: Deployment,
    api: Api,
    values: dict[str, str],
    group: str,
) -> str:
    """Have a message applied in one batch with good ones, which must succeed; returns its id."""
    resources = [new_resource() for _ in range(4)]
    with deployment.mapping.off():
        accepted = [api.put_later(resource, sample(1)) for resource in resources[:2]]
        message_id = deployment.queue.send(BROKEN, values, group)
        accepted += [api.put_later(resource, sample(1)) for resource in resources[2:]]
        assert deployment.queue.size() == 5
    assert [deployment.end_of(answer) for answer in accepted] == ["succeeded"] * 4
    assert all(deployment.body_of(resource) == sample_text(1) for resource in resources)
    return message_id


def only_message(queue: Queue) -> Message:
    """The one message of a queue, once it is there."""
    (message,) = until("a message", queue.look)
    return message


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"version": "1", "operation": OPERATION.upper(), "resource": "poison"},
        {"version": "1", "operation": OPERATION, "resource": "not a resource"},
        {"version": "1", "operation": OPERATION, "resource": "poison", "precondition": "?"},
    ],
    ids=["no attributes", "no operation id", "no resource id", "no precondition"],
)
def test_an_unreadable_message_alone_is_parked_unchanged(
    deployment: Deployment,
    api: Api,
    queue: Queue,
    parked: Queue,
    values: dict[str, str],
) -> None:
    message_id = apply_among_good_ones(deployment, api, values, "of-poison")
    queue.is_empty_after("a batch with an unreadable message")
    message = only_message(parked)
    assert (message["Body"], attributes(message)) == (BROKEN, values), message
    assert message["Attributes"]["MessageGroupId"] == "of-poison"
    assert message["MessageId"] != message_id
    assert deployment.resource("poison") is None


def test_a_message_of_another_version_waits(
    deployment: Deployment,
    api: Api,
    resource: str,
    queue: Queue,
    parked: Queue,
    proxy: Proxy,
) -> None:
    values = {"version": "999", "operation": operation_id(), "resource": resource, "more": "things"}
    with proxy.recorded() as calls:
        message_id = apply_among_good_ones(deployment, api, values, resource)
        until("it handed back", lambda: calls.count(HANDED_BACK), lambda count: count >= 2)
    assert queue.size() == 1
    with deployment.mapping.off():
        left = queue.take(resource)
    assert (left["MessageId"], left["Body"], attributes(left)) == (message_id, BROKEN, values)
    assert deployment.resource(resource) is None and parked.size() == 0


def stalled(deployment: Deployment, accepted: Answer) -> None:
    """Wait until the status says so."""
    answer = until(
        "a stalled operation",
        lambda: deployment.api.status(accepted),
        lambda answer: answer.json()["status"] == "stalled",
    )
    assert answer.headers["retry-after"] == "60", answer
    document = answer.json()
    assert not {"etag", "completedAt"} & document.keys(), document
    check_problem(document["error"], 503, "not-applied")


def dead_letter(deployment: Deployment, resource: str, version: str | None = None) -> Answer:
    """A deferred PUT whose message is a dead letter: the test moves it where SQS would."""
    with deployment.mapping.off():
        accepted = deployment.api.put_later(resource, sample("dead"))
        message = deployment.queue.take(resource)
    if version is not None:
        message["MessageAttributes"]["version"]["StringValue"] = version
    deployment.dead_letters.send_copy(message)
    stalled(deployment, accepted)
    return accepted


def move(parked: Queue, updates: Queue) -> None:
    """SQS's message move task, which MiniStack has not, for one message: unchanged."""
    message = only_message(parked)
    updates.send_copy(message)
    parked.delete(message)


def test_what_was_cancelled_while_it_stalled_is_dropped(
    deployment: Deployment, api: Api, resource: str, queue: Queue, parked: Queue, history: History
) -> None:
    accepted = dead_letter(deployment, resource)
    assert api.cancel(accepted).json()["status"] == "cancelled"
    move(parked, queue)
    queue.is_empty_after("the redrive")
    assert deployment.end_of(accepted) == "cancelled" and deployment.resource(resource) is None
    assert history.of_operation(id_of(accepted)) == ["stalled", "cancelled"]


@pytest.mark.parametrize("version", ["1", "999"], ids=["of this version", "of another version"])
def test_a_dead_letter_is_parked_and_stalled(
    deployment: Deployment, api: Api, resource: str, parked: Queue, version: str
) -> None:
    accepted = dead_letter(deployment, resource, version)
    message = only_message(parked)
    assert (message["Body"], message["Attributes"]["MessageGroupId"]) == (
        sample_text("dead"),
        resource,
    )
    expected = {"version": version, "operation": id_of(accepted), "resource": resource}
    assert attributes(message) == expected
    assert deployment.resource(resource) is None
    deployment.dead_letters.is_empty_after("parking")


def test_a_redrive_carries_it_out(
    deployment: Deployment, api: Api, resource: str, queue: Queue, parked: Queue, history: History
) -> None:
    accepted = dead_letter(deployment, resource)
    move(parked, queue)
    queue.is_empty_after("the redrive")
    assert deployment.end_of(accepted) == "succeeded"
    assert deployment.body_of(resource) == sample_text("dead")
    assert history.of_operation(id_of(accepted)) == ["stalled", "succeeded"]


def test_a_redrive_loses_to_newer_data(
    deployment: Deployment, api: Api, resource: str, queue: Queue, parked: Queue, history: History
) -> None:
    accepted = dead_letter(deployment, resource)
    newer = api.put(resource, sample("newer"))
    move(parked, queue)
    queue.is_empty_after("the redrive")
    assert deployment.end_of(accepted) == "superseded"
    assert history.of_resource(resource) == [id_of(newer)]
    assert history.of_operation(id_of(accepted)) == ["stalled", "superseded"]


def test_what_is_decided_is_dropped(
    deployment: Deployment, api: Api, resource: str, queue: Queue, parked: Queue, history: History
) -> None:
    """A dead letter of a decided operation is not parked, and a redriven one does nothing."""
    with deployment.mapping.off():
        accepted = api.put_later(resource, sample(1))
        message = queue.message_of(resource)
    assert deployment.end_of(accepted) == "succeeded"
    deployment.dead_letters.send_copy(message)
    deployment.dead_letters.is_empty_after("a late dead letter")
    queue.send_copy(message)
    queue.is_empty_after("the redrive")
    assert parked.size() == 0
    assert history.of_operation(id_of(accepted)) == ["succeeded"]
    assert history.of_resource(resource) == [id_of(accepted)]


def test_an_item_of_another_form_is_not_overwritten(
    deployment: Deployment, api: Api, resource: str, queue: Queue, parked: Queue, proxy: Proxy
) -> None:
    item = {"id": resource, "body": sample_text("other form"), "op": "v2:7"}
    deployment.put_item("RESOURCES_TABLE", {name: {"S": value} for name, value in item.items()})
    for condition in ({}, {"If-Match": "*"}, {"If-None-Match": "*"}):
        refused(api.put(resource, sample(), condition), "not-written")
    refused(api.get(resource), "not-read")
    with proxy.recorded() as calls:
        accepted = api.put_later(resource, sample(1))
        until("it handed back", lambda: calls.count(HANDED_BACK), lambda count: count >= 2)
    assert (deployment.resource(resource), queue.size()) == (item, 1)
    assert api.status(accepted).json()["status"] == "pending"
    # A version that reads it comes, here by making the item one of this version's.
    deployment.forget(resources=(resource,))
    assert deployment.end_of(accepted) == "succeeded"
    assert parked.size() == 0


def test_an_alarm_watches_the_parked_messages(deployment: Deployment) -> None:
    alarms = deployment.client("cloudwatch").describe_alarms()["MetricAlarms"]
    name = {"Name": "QueueName", "Value": deployment.parked.url.rpartition("/")[2]}
    (alarm,) = [each for each in alarms if name in each.get("Dimensions", [])]
    watched = alarm["Namespace"], alarm["MetricName"], alarm["ComparisonOperator"]
    visible = "ApproximateNumberOfMessagesVisible"
    assert watched == ("AWS/SQS", visible, "GreaterThanThreshold"), json.dumps(alarm, default=str)
    assert float(alarm["Threshold"]) == 0
