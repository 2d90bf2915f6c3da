"""Messages that cannot be applied, among others that can."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from client import Api
from deployment import Deployment, Queue, attributes
from polling import until

BROKEN = '{"v":"broken"}'
OPERATION = "01a203ad-500c-7a30-b45e-320af9644cbf"


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"version": "1", "operation": OPERATION.upper(), "user": "USER"},
        {"version": "1", "operation": OPERATION, "user": "not a user"},
        {"version": "1", "operation": OPERATION, "user": "USER", "precondition": "?"},
    ],
    ids=["no attributes", "no operation id", "no user id", "no precondition"],
)
def test_an_unreadable_message_alone_is_parked(
    deployment: Deployment, api: Api, new_user: Callable[[], str], queue: Queue, broken: dict[str, str]
) -> None:
    values = with_user(broken, new_user())
    message_id = apply_among_good_ones(deployment, api, new_user, values)
    queue.is_empty_after("a batch with an unreadable message")
    until("the message parked", deployment.parked.size, lambda size: size == 1)
    (parked,) = deployment.parked.look()
    assert (parked["Body"], attributes(parked)) == (BROKEN, values), parked
    assert parked["Attributes"]["MessageGroupId"] == "test"
    assert parked["MessageId"] != message_id
    deployment.parked.delete(parked)
    assert deployment.user(values.get("user", "USER")) is None
    assert deployment.outcome(OPERATION) is None


def test_a_message_of_another_version_waits(
    deployment: Deployment, api: Api, new_user: Callable[[], str], queue: Queue
) -> None:
    values = with_user({"version": "999", "operation": OPERATION, "user": "USER"}, new_user())
    message_id = apply_among_good_ones(deployment, api, new_user, values)
    until("the message alone in the queue", queue.size, lambda size: size == 1)
    with deployment.mapping.off():
        (left,) = until("the message visible again", queue.look)
        assert (left["MessageId"], left["Body"], attributes(left)) == (message_id, BROKEN, values)
        assert int(left["Attributes"]["ApproximateReceiveCount"]) >= 2, left
        queue.delete(left)
    assert deployment.parked.size() == 0
    assert deployment.user(values["user"]) is None


def with_user(values: dict[str, str], user: str) -> dict[str, str]:
    """The attributes with this user where they name one."""
    return {name: value.replace("USER", user) for name, value in values.items()}


def apply_among_good_ones(
    deployment: Deployment, api: Api, new_user: Callable[[], str], values: dict[str, str]
) -> str:
    """Have a message with these attributes applied in one batch with good ones, which must succeed; its id."""
    deployment.parked.purge()
    users = [new_user() for _ in range(4)]
    with deployment.mapping.off():
        accepted = [api.put_later(user, b'{"v":1}') for user in users[:2]]
        message_id = deployment.queue.send(BROKEN, values)
        accepted += [api.put_later(user, b'{"v":1}') for user in users[2:]]
        assert deployment.queue.size() == 5
    for user, answer in zip(users, accepted, strict=True):
        assert deployment.completed(answer)["status"] == "succeeded"
        stored = deployment.user(user)
        assert stored is not None and stored["body"] == '{"v":1}'
    return message_id
