"""The functions' roles are enforced, through the proxy too: what one loses fails, and only that."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator

import pytest

from .answers import refused
from .client import DEFERRED, Api
from .deployment import Deployment
from .history import History
from .operations import operation_id
from .polling import until
from .proxy import Proxy
from .queues import Queue


@contextlib.contextmanager
def without(deployment: Deployment, function: str, action: str, resource: str) -> Iterator[None]:
    """The function's role without one action on one table or queue, inside the block."""
    iam = deployment.client("iam")
    configuration = deployment.functions.get_function_configuration(
        FunctionName=deployment.environment[f"{function}_FUNCTION"]
    )
    role = configuration["Role"].rpartition("/")[2]
    (name,) = iam.list_role_policies(RoleName=role)["PolicyNames"]
    before = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
    policy = json.loads(json.dumps(before))
    taken = 0
    for statement in policy["Statement"]:
        actions, resources = _list(statement["Action"]), _list(statement["Resource"])
        left = [each for each in resources if f"-{resource}-" not in each]
        if action in actions and left != resources:
            assert len(resources) == 1 or len(actions) == 1, statement
            statement["Resource"] = left or resources
            others = [each for each in actions if each != action]
            statement["Action"] = actions if left else others or "none:None"
            taken += 1
    assert taken == 1, (action, resource, before)
    _put(iam, role, name, policy)
    try:
        yield
    finally:
        _put(iam, role, name, before)


def _list(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def _put(iam: object, role: str, name: str, policy: object) -> None:
    put = iam.put_role_policy  # type: ignore[attr-defined]
    put(RoleName=role, PolicyName=name, PolicyDocument=json.dumps(policy))


def test_put_may_not_write_users(
    deployment: Deployment, api: Api, user: str, queue: Queue, proxy: Proxy
) -> None:
    """And what is permanent is not tried again."""
    with without(deployment, "PUT", "dynamodb:UpdateItem", "UsersTable"):
        with proxy.recorded() as calls:
            refused(api.put(user, b'{"v":1}'), "not-written")
        assert calls == ["DynamoDB.UpdateItem"]
        assert deployment.user(user) is None
        assert deployment.end_of(api.put_later(user, b'{"v":2}')) == "succeeded"
    assert api.put(user, b'{"v":3}').status == 200


def test_put_may_not_send(
    deployment: Deployment, api: Api, user: str, queue: Queue, proxy: Proxy
) -> None:
    with without(deployment, "PUT", "sqs:SendMessage", "UpdatesQueue"):
        refused(api.put(user, b'{"v":1}', DEFERRED), "not-written")
        assert queue.size() == 0
        assert api.put(user, b'{"v":2}').status == 201


def test_put_may_not_claim(deployment: Deployment, api: Api, user: str, key: str) -> None:
    with without(deployment, "PUT", "dynamodb:PutItem", "OperationsTable"):
        refused(api.put(user, b"{}", {"Idempotency-Key": f'"{key}"'}), "outcome-unknown")
        assert deployment.user(user) is None
        assert api.put(user, b"{}").status == 201


@pytest.mark.parametrize("table", ["UsersTable", "OperationsTable"])
def test_read_may_not_read(
    deployment: Deployment, api: Api, user: str, queue: Queue, table: str
) -> None:
    accepted = api.put_later(user, b"{}")
    assert deployment.end_of(accepted) == "succeeded"
    with without(deployment, "READ", "dynamodb:GetItem", table):
        answers = {"UsersTable": api.get(user), "OperationsTable": api.status(accepted)}
        refused(answers.pop(table), "not-read")
        assert [answer.status for answer in answers.values()] == [200]


@pytest.mark.parametrize(
    ("action", "table"),
    [("dynamodb:UpdateItem", "UsersTable"), ("dynamodb:PutItem", "OperationsTable")],
)
def test_apply_may_not_write(
    deployment: Deployment,
    api: Api,
    user: str,
    queue: Queue,
    proxy: Proxy,
    history: History,
    action: str,
    table: str,
) -> None:
    """The update waits, and is carried out once the permission is back."""
    with without(deployment, "APPLY", action, table):
        with proxy.recorded() as calls:
            accepted = api.put_later(user, b"{}")
            until("it handed back", lambda: "SQS.ChangeMessageVisibility" in calls)
        assert api.status(accepted).json()["status"] == "pending"
        assert deployment.user(user) is None
    assert deployment.end_of(accepted) == "succeeded"
    assert len(history.of_user(user)) == 1


def test_park_may_not_send(
    deployment: Deployment, api: Api, user: str, parked: Queue, proxy: Proxy
) -> None:
    """The dead letter stays; nothing is lost."""
    values = {"version": "1", "operation": operation_id(), "user": user}
    with without(deployment, "PARK", "sqs:SendMessage", "ParkedQueue"):
        with deployment.dead_letters.visibility_timeout(1), proxy.recorded() as calls:
            deployment.dead_letters.send("{}", values, user)
            until("attempts", lambda: calls.count("SQS.SendMessage"), lambda count: count >= 2)
        assert (deployment.dead_letters.size(), parked.size()) == (1, 0)
    until("the parked message", parked.size)
    deployment.dead_letters.is_empty_after("parking")
