"""A message that cannot be carried out, among others that can."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from answers import body_of, status_of
from client import Api
from deployment import Deployment, Queue, attributes
from history import History
from polling import until
from problems import check_problem

OPERATION = "01a203ad-500c-7a30-b45e-320af9644cbf"


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"version": "1", "operation": OPERATION.upper(), "user": "poison"},
        {"version": "1", "operation": OPERATION, "user": "not a user"},
        {"version": "1", "operation": OPERATION, "user": "poison", "precondition": "?"},
    ],
    ids=["no attributes", "no operation", "no user", "no precondition"],
)
def test_an_unreadable_message_alone_is_parked_unchanged(
    deployment: Deployment,
    api: Api,
    new_user: Callable[[], str],
    queue: Queue,
    parked: Queue,
    history: History,
    values: dict[str, str],
) -> None:
    users = [new_user() for _ in range(4)]
    with deployment.mapping.off():
        accepted = [api.put_later(user, b'{"v":1}') for user in users[:2]]
        queue.send('{"v":"poison \u00e9"}', values, group="of-poison")
        accepted += [api.put_later(user, b'{"v":1}') for user in users[2:]]
    for user, answer in zip(users, accepted, strict=True):
        assert status_of(deployment, answer) == "succeeded"
        assert body_of(deployment, user) == '{"v":1}'
    message = only_message(parked)
    assert message["Body"] == '{"v":"poison \u00e9"}'
    assert attributes(message) == values
    assert message["Attributes"]["MessageGroupId"] == "of-poison"
    queue.is_empty_after("the batch")
    assert deployment.user("poison") is None and deployment.outcome(OPERATION) is None


def test_a_dead_letter_is_parked_and_its_status_is_failed(
    deployment: Deployment, api: Api, user: str, queue: Queue, dead_letters: Queue, parked: Queue, history: History
) -> None:
    """Its attempts are used up; here the test moves it where SQS would."""
    accepted = dead_letter(deployment, api, user, dead_letters)
    document = deployment.completed(accepted)
    assert document["status"] == "failed" and "etag" not in document, document
    check_problem(document["error"], 503, "not-applied")
    message = only_message(parked)
    assert (message["Body"], message["Attributes"]["MessageGroupId"]) == ('{"v":"dead"}', user)
    assert attributes(message)["operation"] == accepted.json()["id"]
    assert deployment.user(user) is None


def test_an_alarm_watches_the_parked_messages(deployment: Deployment) -> None:
    alarms = deployment.client("cloudwatch").describe_alarms()["MetricAlarms"]
    name = deployment.environment["PARKED_QUEUE_URL"].rpartition("/")[2]
    (alarm,) = [alarm for alarm in alarms if {"Name": "QueueName", "Value": name} in alarm.get("Dimensions", [])]
    assert (alarm["Namespace"], alarm["MetricName"]) == ("AWS/SQS", "ApproximateNumberOfMessagesVisible")
    assert (alarm["ComparisonOperator"], float(alarm["Threshold"])) == ("GreaterThanThreshold", 0.0)


def dead_letter(deployment: Deployment, api: Api, user: str, dead_letters: Queue) -> Any:
    """A deferred PUT whose message is a dead letter."""
    with deployment.mapping.off():
        accepted = api.put_later(user, b'{"v":"dead"}')
        message = deployment.queue.message_of(user)
        deployment.queue.delete(message)
    dead_letters.send_copy(message)
    return accepted


def only_message(queue: Queue) -> dict[str, Any]:
    """The one message of a queue, once it is there."""
    (message,) = until("a message", queue.look)
    return dict(message)
