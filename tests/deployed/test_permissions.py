"""The functions' roles are enforced, through the proxy too: what one loses fails, and only that.

And nothing is granted that no test here takes away, but for what Lambda itself needs.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from .answers import id_of, refused
from .bodies import sample
from .client import DEFERRED, Api
from .deployment import Deployment
from .history import History
from .names import FUNCTIONS
from .operations import operation_id
from .polling import until
from .proxy import THROTTLED, Proxy
from .queues import Queue, record
from .resources import KNOWN, LOOK, new_resource, without_update

QUEUES = {"updates": "UpdatesQueue", "dead-letters": "DeadLettersQueue", "parked": "ParkedQueue"}
HANDED_BACK = "SQS.ChangeMessageVisibility"


@dataclasses.dataclass(frozen=True)
class Grant:
    """One action of a function on a resource of the template."""

    function: str
    action: str
    resource: str

    def __str__(self) -> str:
        return f"{self.function} {self.action} {self.resource}"


# Lambda polls the queues, writes the logs and sends the traces in the functions' name; MiniStack
# needs no permission for any of it.
BY_LAMBDA = {
    *(
        Grant("APPLY", f"sqs:{call}", "UpdatesQueue")
        for call in ("ReceiveMessage", "GetQueueAttributes")
    ),
    *(
        Grant("PARK", f"sqs:{call}", "DeadLettersQueue")
        for call in ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes")
    ),
    *(
        Grant(binary.upper(), f"logs:{call}", f"{binary.capitalize()}Logs")
        for binary in FUNCTIONS.values()
        for call in ("CreateLogStream", "PutLogEvents")
    ),
    *(
        Grant(binary.upper(), f"xray:{call}", "*")
        for binary in FUNCTIONS.values()
        for call in ("PutTraceSegments", "PutTelemetryRecords")
    ),
}
# What the tests below take away.
TAKEN: set[Grant] = set()


def without(function: str, action: str, *resources: str) -> pytest.MarkDecorator:
    """Runs a test once for each resource, on which its block `lost` takes the action away."""
    grants = [Grant(function, action, resource) for resource in resources]
    TAKEN.update(grants)
    return pytest.mark.parametrize("grant", grants, ids=str)


Lost = contextlib.AbstractContextManager[None]


@pytest.fixture
def lost(deployment: Deployment, grant: Grant) -> Lost:
    """Inside the block the function's role lacks the grant."""

    @contextlib.contextmanager
    def taken() -> Iterator[None]:
        policies = Policies(deployment, grant.function)
        found = [name for name, policy in policies.documents() if grant in policies.grants(policy)]
        assert len(found) == 1, (grant, found)
        (name,) = found
        before = policies.document(name)
        policies.put(name, policies.less(before, grant))
        try:
            yield
        finally:
            policies.put(name, before)

    return taken()


class Policies:
    """The inline policies of a function's role."""

    def __init__(self, deployment: Deployment, function: str) -> None:
        self._iam = deployment.client("iam")
        self._function = function
        configuration = deployment.functions.get_function_configuration(
            FunctionName=deployment.environment[f"{function}_FUNCTION"]
        )
        self._role = configuration["Role"].rpartition("/")[2]

    def documents(self) -> list[tuple[str, Any]]:
        """All of them by name."""
        attached = self._iam.list_attached_role_policies(RoleName=self._role)["AttachedPolicies"]
        assert attached == []
        names = self._iam.list_role_policies(RoleName=self._role)["PolicyNames"]
        return [(name, self.document(name)) for name in names]

    def document(self, name: str) -> Any:
        """One of them."""
        reply = self._iam.get_role_policy(RoleName=self._role, PolicyName=name)
        return reply["PolicyDocument"]

    def put(self, name: str, document: object) -> None:
        """Replace one."""
        self._iam.put_role_policy(
            RoleName=self._role, PolicyName=name, PolicyDocument=json.dumps(document)
        )

    def grants(self, document: Any) -> set[Grant]:
        """What a policy allows."""
        return {
            Grant(self._function, action, _logical_id(resource))
            for statement in document["Statement"]
            for action in _list(statement["Action"])
            for resource in _list(statement["Resource"])
        }

    def less(self, document: Any, grant: Grant) -> Any:
        """The policy without the grant: each other one in a statement of its own."""
        statements = [
            {"Effect": "Allow", "Action": action, "Resource": resource}
            for statement in document["Statement"]
            for action in _list(statement["Action"])
            for resource in _list(statement["Resource"])
            if (action, _logical_id(resource)) != (grant.action, grant.resource)
        ]
        return document | {"Statement": statements}


def _list(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def _logical_id(arn: str) -> str:
    """The resource's name in the template, which stands in the name it was given."""
    for name, resource in QUEUES.items():
        if arn.endswith(f"-{name}"):
            return resource
    found = re.search(r"[-/]([A-Za-z]+)(-[0-9A-Z]+)?(:\*)?$", arn)
    return found[1] if found else arn


def test_nothing_else_is_granted(deployment: Deployment) -> None:
    granted: set[Grant] = set()
    for binary in FUNCTIONS.values():
        policies = Policies(deployment, binary.upper())
        for _, document in policies.documents():
            assert {statement["Effect"] for statement in document["Statement"]} == {"Allow"}
            granted |= policies.grants(document)
    known = TAKEN | BY_LAMBDA
    # What a resource's update needs of other services is its own.
    ours = {grant for grant in granted if grant.resource in {each.resource for each in known}}
    assert ours == known, "see 'A permission of its own' in docs/make-it-yours.md"


# put


@without("PUT", "dynamodb:UpdateItem", "ResourcesTable")
def test_put_may_not_write_resources(
    deployment: Deployment, api: Api, resource: str, queue: Queue, proxy: Proxy, lost: Lost
) -> None:
    """And what is permanent is not tried again."""
    with lost:
        with proxy.recorded() as calls:
            refused(api.put(resource, sample(1)), "not-written")
            refused(api.delete(resource), "not-written")
        assert calls == [*LOOK, "DynamoDB.UpdateItem"] * 2
        assert deployment.resource(resource) is None
        assert deployment.end_of(api.put_later(resource, sample(2))) == "succeeded"
    assert api.put(resource, sample(3)).status == 200


@without_update
@without("PUT", "dynamodb:GetItem", "ResourcesTable")
def test_put_may_not_read_resources(
    deployment: Deployment, api: Api, resource: str, key: str, queue: Queue, lost: Lost
) -> None:
    """It cannot tell whether the resource is new."""
    keyed = {"Idempotency-Key": f'"{key}"'}
    with lost:
        answer = api.put(resource, sample(), keyed)
        assert (answer.status, answer.json()["status"]) == (202, "succeeded"), answer
        assert api.put(resource, sample(2)).status == 200
    again = api.put(resource, sample(), keyed)
    assert (again.status, id_of(again)) == (201, id_of(answer)), again


@without("PUT", "dynamodb:PutItem", "OperationsTable")
def test_put_may_not_claim_and_not_cancel(
    deployment: Deployment, api: Api, resource: str, key: str, queue: Queue, lost: Lost
) -> None:
    with deployment.mapping.off(), lost:
        accepted = api.put_later(resource, sample())
        refused(api.cancel(accepted), "not-written")
        assert queue.take(resource) and api.status(accepted).json()["status"] == "pending"
        refused(api.put(resource, sample(), {"Idempotency-Key": f'"{key}"'}), "outcome-unknown")
        assert deployment.resource(resource) is None
        assert api.put(resource, sample()).status == 201


@without("PUT", "dynamodb:GetItem", "OperationsTable")
def test_put_may_not_read_outcomes(
    deployment: Deployment, api: Api, resource: str, key: str, lost: Lost
) -> None:
    """Only another sending needs them."""
    keyed = {"Idempotency-Key": f'"{key}"'}
    with lost:
        first = api.put(resource, sample(), keyed)
        assert first.status == 201, first
        refused(api.put(resource, sample(), keyed), "outcome-unknown")
        assert api.put(resource, sample(2)).status == 200
    again = api.put(resource, sample(), keyed)
    assert (again.status, id_of(again)) == (201, id_of(first)), again


@without("PUT", "sqs:SendMessage", "UpdatesQueue")
def test_put_may_not_send(
    deployment: Deployment, api: Api, resource: str, queue: Queue, lost: Lost
) -> None:
    with lost:
        refused(api.put(resource, sample(1), DEFERRED), "not-written")
        assert queue.size() == 0
        assert api.put(resource, sample(2)).status == 201


# read


@without("READ", "dynamodb:GetItem", "ResourcesTable", "OperationsTable")
def test_read_may_not_read(
    deployment: Deployment, api: Api, resource: str, queue: Queue, grant: Grant, lost: Lost
) -> None:
    accepted = api.put_later(resource, sample())
    assert deployment.end_of(accepted) == "succeeded"
    with lost:
        answers = {"ResourcesTable": api.get(resource), "OperationsTable": api.status(accepted)}
        refused(answers.pop(grant.resource), "not-read")
        assert [answer.status for answer in answers.values()] == [200]


# apply


def is_left_open(
    deployment: Deployment,
    api: Api,
    resource: str,
    proxy: Proxy,
    history: History,
    lost: Lost,
) -> None:
    """The update waits, and is carried out once the permission is back."""
    with lost:
        with proxy.recorded() as calls:
            accepted = api.put_later(resource, sample())
            until("it handed back", lambda: HANDED_BACK in calls)
        assert api.status(accepted).json()["status"] == "pending"
        assert deployment.resource(resource) is None
    assert deployment.end_of(accepted) == "succeeded"
    assert len(history.of_resource(resource)) == 1


@without("APPLY", "dynamodb:UpdateItem", "ResourcesTable")
def test_apply_may_not_write_resources(
    deployment: Deployment,
    api: Api,
    resource: str,
    queue: Queue,
    proxy: Proxy,
    history: History,
    lost: Lost,
) -> None:
    is_left_open(deployment, api, resource, proxy, history, lost)


@without("APPLY", "dynamodb:PutItem", "OperationsTable")
def test_apply_may_not_record(
    deployment: Deployment,
    api: Api,
    resource: str,
    queue: Queue,
    proxy: Proxy,
    history: History,
    lost: Lost,
) -> None:
    is_left_open(deployment, api, resource, proxy, history, lost)


if KNOWN["hasUpdate"]:

    @without("APPLY", "dynamodb:BatchGetItem", "ResourcesTable", "OperationsTable")
    def test_apply_may_not_look_before_an_update(
        deployment: Deployment,
        api: Api,
        resource: str,
        queue: Queue,
        proxy: Proxy,
        history: History,
        lost: Lost,
    ) -> None:
        is_left_open(deployment, api, resource, proxy, history, lost)


@without("APPLY", "sqs:ChangeMessageVisibility", "UpdatesQueue")
def test_apply_may_not_hide(
    deployment: Deployment, api: Api, resource: str, queue: Queue, proxy: Proxy, lost: Lost
) -> None:
    """What it hands back comes again after the queue's own time."""
    with queue.visibility_timeout(3), lost:
        with proxy.recorded() as calls, proxy.failing("DynamoDB", THROTTLED):
            accepted = api.put_later(resource, sample())
            until("it tried to hide", lambda: HANDED_BACK in calls)
        assert deployment.end_of(accepted) == "succeeded"


@without("APPLY", "sqs:DeleteMessage", "UpdatesQueue")
def test_apply_may_not_delete(deployment: Deployment, api: Api, queue: Queue, lost: Lost) -> None:
    """It deletes what is done before it goes on to a suspect; Lambda does so at the end."""
    others = [new_resource(), new_resource()]
    with deployment.mapping.off():

        def is_left(name: str) -> bool:
            """Whether the message of a resource outlives a batch in which a suspect follows it."""
            both = name, new_resource()
            accepted = [api.put_later(each, sample()) for each in both]
            records = [record(queue.receive(each)) for each in both]
            records[1]["attributes"]["ApproximateReceiveCount"] = "4"
            assert deployment.invoke("APPLY", {"Records": records}) == {"batchItemFailures": []}
            assert [deployment.end_of(answer) for answer in accepted] == ["succeeded"] * 2
            left = queue.size() == 2
            queue.purge()
            return left

        with lost:
            assert is_left(others[0])
        assert not is_left(others[1])


@without("APPLY", "sqs:SendMessage", "DeadLettersQueue")
def test_apply_may_not_send_to_the_dead_letters(
    deployment: Deployment, api: Api, resource: str, parked: Queue, proxy: Proxy, lost: Lost
) -> None:
    """What it cannot read stays in the queue."""
    with lost:
        with proxy.recorded() as calls:
            deployment.queue.send("{}", {}, resource)
            until("it handed back", lambda: HANDED_BACK in calls)
        assert (deployment.queue.size(), parked.size()) == (1, 0)
        assert deployment.end_of(api.put_later(resource, sample())) == "succeeded"
    until("the parked message", parked.size)


# park


@without("PARK", "sqs:SendMessage", "ParkedQueue")
def test_park_may_not_send(
    deployment: Deployment, resource: str, parked: Queue, proxy: Proxy, lost: Lost
) -> None:
    stays(deployment, resource, parked, proxy, lost, "SQS.SendMessage")


@without("PARK", "dynamodb:PutItem", "OperationsTable")
def test_park_may_not_record(
    deployment: Deployment, resource: str, parked: Queue, proxy: Proxy, lost: Lost
) -> None:
    stays(deployment, resource, parked, proxy, lost, "DynamoDB.PutItem")


def stays(
    deployment: Deployment, resource: str, parked: Queue, proxy: Proxy, lost: Lost, call: str
) -> None:
    """The dead letter stays and is tried again; nothing is lost."""
    values = {"version": "1", "operation": operation_id(), "resource": resource}
    with lost:
        with deployment.dead_letters.visibility_timeout(1), proxy.recorded() as calls:
            deployment.dead_letters.send("{}", values, resource)
            until("attempts", lambda: calls.count(call), lambda count: count >= 2)
        assert (deployment.dead_letters.size(), parked.size()) == (1, 0)
    until("the parked message", parked.size)
    deployment.dead_letters.is_empty_after("parking")
