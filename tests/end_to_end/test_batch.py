"""Messages that cannot be applied, among others that can."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from client import Api
from deployment import Deployment, Queue, attributes
from polling import until

OPERATION = "01a203ad-500c-7a30-b45e-320af9644cbf"


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"version": "999", "operation": OPERATION, "user": "USER"},
        {"version": "1", "operation": OPERATION.upper(), "user": "USER"},
        {"version": "1", "operation": OPERATION, "user": "not a user"},
        {"version": "1", "operation": OPERATION, "user": "USER", "precondition": "?"},
    ],
    ids=["no attributes", "another version", "no operation id", "no user id", "no precondition"],
)
def test_an_unreadable_message_holds_up_only_itself(
    deployment: Deployment, api: Api, new_user: Callable[[], str], queue: Queue, broken: dict[str, str]
) -> None:
    users = [new_user() for _ in range(4)]
    bad_user = new_user()
    values = {name: value.replace("USER", bad_user) for name, value in broken.items()}
    with deployment.mapping.off():
        accepted = [api.put_later(user, b'{"v":1}') for user in users[:2]]
        message_id = queue.send('{"v":"broken"}', values)
        accepted += [api.put_later(user, b'{"v":1}') for user in users[2:]]
        assert queue.size() == 5
    for user, answer in zip(users, accepted, strict=True):
        assert deployment.completed(answer)["status"] == "succeeded"
        stored = deployment.user(user)
        assert stored is not None and stored["body"] == '{"v":1}'
    until("the broken message alone in the queue", queue.size, lambda size: size == 1)
    with deployment.mapping.off():
        (left,) = until("the broken message visible again", queue.look)
        assert (left["MessageId"], left["Body"]) == (message_id, '{"v":"broken"}')
        assert attributes(left) == values
        assert int(left["Attributes"]["ApproximateReceiveCount"]) >= 2, left
        queue.delete(left)
    assert deployment.user(bad_user) is None
    assert deployment.outcome(OPERATION) is None
