"""How many calls each request makes when all is well."""

from __future__ import annotations

from .bodies import sample
from .client import DEFERRED, Api
from .deployment import Deployment
from .proxy import Proxy
from .queues import Queue
from .resources import LOOK, LOOKS, operation_path, spelled


def test_an_inline_put_and_a_get(api: Api, resource: str, queue: Queue, proxy: Proxy) -> None:
    for status in (201, 200):
        with proxy.recorded() as calls:
            assert api.put(resource, sample()).status == status
        assert calls == [*LOOK, "DynamoDB.UpdateItem"]
        with proxy.recorded() as calls:
            assert api.get(resource).status == 200
        assert calls == ["DynamoDB.GetItem"]


def test_a_delete_and_a_cancellation(
    deployment: Deployment, api: Api, resource: str, queue: Queue, proxy: Proxy
) -> None:
    with deployment.mapping.off(), proxy.recorded() as calls:
        assert api.delete(resource).status == 204
        accepted = api.delete(resource, DEFERRED)
        assert api.cancel(accepted).status == 200
        queue.take(resource)
    assert calls == [*LOOK, "DynamoDB.UpdateItem", "SQS.SendMessage", "DynamoDB.PutItem"]


def test_a_keyed_put(api: Api, resource: str, key: str, queue: Queue, proxy: Proxy) -> None:
    with proxy.recorded() as calls:
        assert api.put(resource, sample(), {"Idempotency-Key": f'"{key}"'}).status == 201
    # The last one reads who created the resource, which a transaction does not tell.
    written = ["DynamoDB.TransactWriteItems", "DynamoDB.GetItem"]
    assert calls == ["DynamoDB.PutItem", *LOOK, *written]


def test_a_deferred_put_its_status_and_its_redelivery(
    deployment: Deployment, api: Api, resource: str, queue: Queue, proxy: Proxy
) -> None:
    with proxy.recorded() as calls:
        with deployment.mapping.off():
            accepted = api.put_later(resource, sample())
            assert calls == ["SQS.SendMessage"]
            assert api.status(accepted).json()["status"] == "pending"
            assert calls.pop() == "DynamoDB.GetItem"
            message = queue.message_of(resource)
        queue.is_empty_after("the update")
    assert calls == ["SQS.SendMessage", *LOOKS, "DynamoDB.TransactWriteItems"]
    with proxy.recorded() as calls:
        assert api.status(accepted).json()["status"] == "succeeded"
    assert calls == ["DynamoDB.GetItem"]
    with proxy.recorded() as calls:
        queue.send_copy(message)
        queue.is_empty_after("the redelivery")
    assert calls == (LOOKS or ["DynamoDB.TransactWriteItems"])


def test_a_forged_receipt_and_bad_input_make_no_call(
    api: Api, resource: str, queue: Queue, proxy: Proxy
) -> None:
    with proxy.recorded() as calls:
        assert api.request("GET", operation_path(resource)).status == 404
        assert api.get(spelled(resource, "a%20b")).status == 400
        assert api.put(resource, b"[]").status == 422
        assert api.put(resource, b"[]", DEFERRED).status == 422
    assert calls == []
