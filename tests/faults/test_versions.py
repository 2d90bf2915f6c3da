"""Items and messages that another version wrote."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from answers import refused, status_of
from client import Api
from deployment import Deployment, Queue, attributes
from history import History
from microburst import Microburst, late, rule
from polling import until

OPERATION = "01a203ad-500c-7a30-b45e-320af9644cbf"
# Counts the messages that apply hands back, and delays them by nothing to speak of.
HANDED_BACK = rule(late(0.001), "ChangeMessageVisibility")


def test_a_message_of_an_unknown_version_stays_and_is_retried(
    deployment: Deployment,
    api: Api,
    new_user: Callable[[], str],
    queue: Queue,
    parked: Queue,
    sqs: Microburst,
    history: History,
) -> None:
    user, other = new_user(), new_user()
    values = {"version": "2", "operation": OPERATION, "user": user, "more": "things"}
    with sqs.rules(HANDED_BACK):
        with deployment.mapping.off():
            accepted = api.put_later(other, b'{"v":1}')
            message_id = queue.send('{"v":"newer form"}', values, group=user)
        sqs.until_fired(2)
    assert status_of(deployment, accepted) == "succeeded"
    until("the message alone", queue.size, lambda size: size == 1)
    with deployment.mapping.off():
        (left,) = until("the message", queue.look)
    assert (left["MessageId"], left["Body"], attributes(left)) == (message_id, '{"v":"newer form"}', values)
    assert deployment.user(user) is None and parked.size() == 0


FORMS: dict[str, dict[str, Any]] = {
    "no op": {"body": {"S": '{"v":"other form"}'}, "revision": {"N": "7"}},
    "op is a number": {"body": {"S": '{"v":"other form"}'}, "op": {"N": "7"}},
    "op is a map": {"body": {"S": '{"v":"other form"}'}, "op": {"M": {"id": {"S": OPERATION}}}},
    "op is another text": {"body": {"S": '{"v":"other form"}'}, "op": {"S": "v2:7"}},
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_an_item_of_an_unknown_form_is_not_overwritten(
    deployment: Deployment,
    api: Api,
    user: str,
    queue: Queue,
    parked: Queue,
    sqs: Microburst,
    history: History,
    form: dict[str, Any],
) -> None:
    table = deployment.environment["USERS_TABLE"]
    deployment.dynamodb.put_item(TableName=table, Item={"id": {"S": user}} | form)
    before = deployment.user(user)
    refused(api.put(user, b"{}"), "not-written")
    refused(api.put(user, b"{}", {"If-Match": "*"}), "not-written")
    refused(api.put(user, b"{}", {"If-None-Match": "*"}), "not-written")
    refused(api.get(user), "not-read")
    with sqs.rules(HANDED_BACK):
        accepted = api.put_later(user, b'{"v":1}')
        sqs.until_fired(2)
    assert (deployment.user(user), queue.size()) == (before, 1)
    assert api.status(accepted).json()["status"] == "pending"
    # A version that reads it comes, here by making the item one of this version's.
    deployment.forget(users=(user,))
    assert status_of(deployment, accepted) == "succeeded"
    assert parked.size() == 0
