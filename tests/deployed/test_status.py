"""Status URLs: the states of operations of any age, and receipts that nobody issued."""

from __future__ import annotations

import pytest

from .answers import problem_in
from .bodies import sample
from .client import Answer, Api
from .deployment import Deployment
from .operations import DAY, NOT_APPLIED, operation_id, receipt, store_stalled
from .queues import Queue
from .resources import new_resource, operation_path
from .service import Service

HOUR = 60 * 60


def status(deployment: Deployment, resource: str, operation: str) -> Answer:
    """What the status URL of an operation answers."""
    made = receipt(deployment, resource, operation)
    return deployment.api.request("GET", operation_path(resource, made))


@pytest.mark.parametrize(
    ("age", "state"),
    [
        (0, "pending"),
        (32 * DAY + HOUR - 60, "pending"),
        (32 * DAY + HOUR + 60, "expired"),
        (44 * DAY - 60, "expired"),
    ],
)
def test_without_an_outcome(
    deployment: Deployment, api: Api, resource: str, age: int, state: str
) -> None:
    operation = operation_id(age)
    answer = status(deployment, resource, operation)
    assert answer.status == 200, answer
    document = answer.json()
    members = {"id", "self", "receipt", "status", "acceptedAt", "resource"}
    assert document.keys() == members, document
    assert (document["id"], document["status"]) == (operation, state), document
    assert answer.headers["cache-control"] == "no-store", answer
    assert ("retry-after" in answer.headers) == (state == "pending"), answer
    assert 1 <= int(answer.headers.get("retry-after", 1)) <= 60, answer


def test_too_old(deployment: Deployment, api: Api, resource: str) -> None:
    problem_in(status(deployment, resource, operation_id(44 * DAY + 60)), 410, "operation-gone")


@pytest.mark.parametrize(("age", "state"), [(60, "stalled"), (33 * DAY, "expired")])
def test_what_is_parked_may_still_be_carried_out_until_it_is_expired(
    deployment: Deployment, api: Api, resource: str, age: int, state: str
) -> None:
    operation = operation_id(age)
    store_stalled(deployment, resource, operation)
    answer = status(deployment, resource, operation)
    document = answer.json()
    assert document["status"] == state, document
    if state == "stalled":
        assert (document["error"], answer.headers["retry-after"]) == (NOT_APPLIED, "60"), answer
        assert not {"etag", "completedAt"} & document.keys(), document
    else:
        assert "retry-after" not in answer.headers, answer


def test_a_receipt_is_what_the_service_makes(
    deployment: Deployment, api: Api, resource: str, queue: Queue
) -> None:
    accepted = api.put_later(resource, sample())
    made = receipt(deployment, resource, accepted.json()["id"])
    assert accepted.headers["location"] == operation_path(resource, made)


@pytest.mark.smoke
def test_the_state_follows_what_happens(
    service: Service, api: Api, resource: str, settled: None
) -> None:
    accepted = api.put_later(resource, sample(1))
    assert accepted.json()["status"] == "pending", accepted
    document = service.completed(accepted)
    assert document["status"] == "succeeded", document
    got = api.get(resource)
    assert (got.body, got.headers["etag"]) == (sample(1), document["etag"]), got
    refused = service.completed(api.put_later(resource, sample(), {"If-None-Match": "*"}))
    assert (refused["status"], refused["error"]["status"]) == ("failed", 412), refused


@pytest.mark.smoke
def test_receipts_of_others(service: Service, api: Api, settled: None) -> None:
    one, other = new_resource(), new_resource()
    accepted = api.put_later(one, sample())
    genuine = accepted.headers["location"].rpartition("/")[2]
    assert api.status(accepted).status == 200
    forged = genuine[:-1] + ("A" if genuine[-1] != "A" else "Q")
    answer = api.request("GET", operation_path(other, genuine))
    problem_in(answer, 404, "operation-not-found")
    for shown in (forged, genuine[:-1], f"{genuine}A", f"{genuine}=", "%20", operation_id()):
        answer = api.request("GET", operation_path(one, shown))
        problem_in(answer, 404, "operation-not-found")
