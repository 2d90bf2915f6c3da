"""PUTs that are carried out later: what is promised, what is queued, what comes of it."""

from __future__ import annotations

import datetime
import time
from urllib.parse import urljoin

import pytest

from .answers import check_problem, id_of
from .bodies import padded, sample, sample_text
from .client import Api
from .deployment import Deployment
from .operations import DAY
from .queues import Queue, attributes
from .resources import path_of
from .service import Service


def instant(text: str) -> float:
    """Seconds since the Unix epoch of an RFC 3339 time in UTC with milliseconds."""
    assert len(text) == len("2026-01-02T03:04:05.678Z") and text.endswith("Z"), text
    return datetime.datetime.fromisoformat(text).timestamp()


def test_from_the_answer_to_the_table(
    deployment: Deployment, api: Api, resource: str, queue: Queue
) -> None:
    inline = api.put(resource, sample("before"))
    before = deployment.resource(resource)
    body = b" " + sample("later") + b"\n"
    with deployment.mapping.off():
        accepted = api.put_later(resource, body)
        assert accepted.headers["location"] == accepted.headers["content-location"], accepted
        status_url = urljoin(accepted.url, accepted.headers["location"])
        assert status_url.startswith(f"{api.base}{path_of(resource)}/operations/"), status_url
        assert int(accepted.headers["retry-after"]) >= 1, accepted
        assert accepted.headers["preference-applied"] == "respond-async", accepted
        assert accepted.headers["content-type"] == "application/json", accepted
        assert "etag" not in accepted.headers, accepted
        promise = accepted.json()
        operation = promise["id"]
        assert promise == {
            "id": operation,
            "self": accepted.headers["location"],
            "receipt": accepted.headers["location"].rpartition("/")[2],
            "status": "pending",
            "acceptedAt": promise["acceptedAt"],
            "resource": path_of(resource),
        }
        assert id_of(inline) < operation
        assert abs(instant(promise["acceptedAt"]) - time.time()) < 30

        # Nothing has happened yet, but for the message.
        assert deployment.resource(resource) == before
        assert deployment.outcome(operation) is None
        pending = api.status(accepted)
        assert (pending.status, pending.json()) == (200, promise), pending
        assert int(pending.headers["retry-after"]) >= 1, pending
        assert pending.headers["cache-control"] == "no-store", pending

        message = queue.message_of(resource)
        assert message["Body"].encode() == body
        values = attributes(message)
        assert values == {"version": "1", "operation": operation, "resource": resource}

    document = deployment.completed(accepted)
    ended = {"status": "succeeded", "completedAt": document["completedAt"]}
    assert document == promise | ended | {"etag": f'"{operation}"'}
    assert instant(promise["acceptedAt"]) <= instant(document["completedAt"]) <= time.time() + 1
    completed = api.status(accepted)
    assert completed.headers["cache-control"] == "no-store", completed
    assert "retry-after" not in completed.headers, completed
    item = {"id": resource, "body": body.decode(), "op": operation, "created_by": id_of(inline)}
    assert deployment.resource(resource) == item
    outcome = deployment.outcome(operation)
    assert outcome is not None
    times = {name: outcome.pop(name) for name in ("completed_at", "expires_at")}
    named = {"id": operation, "resource": resource, "outcome": "succeeded", "problem": ""}
    assert outcome == named
    kept = int(times["expires_at"]) - int(times["completed_at"]) / 1000
    assert abs(kept - 60 * DAY) <= 1, times
    assert deployment.body_of(resource) == body.decode()


@pytest.mark.smoke
def test_a_body_passes_the_queue_byte_for_byte(
    service: Service, api: Api, resource: str, settled: None
) -> None:
    body = padded()
    assert service.end_of(api.put_later(resource, body)) == "succeeded"
    assert service.body_of(resource).encode() == body


def test_a_precondition_is_decided_when_applied(
    deployment: Deployment, api: Api, resource: str, queue: Queue
) -> None:
    with deployment.mapping.off():
        absent = api.put_later(resource, sample(1), {"If-None-Match": "*"})
        exists = api.put_later(resource, sample(2), {"If-Match": "*"})
        tag = api.put_later(resource, sample(3), {"If-Match": f'"{id_of(exists)}"'})
        stated = {
            attributes(message)["operation"]: attributes(message)["precondition"]
            for message in queue.look()
        }
        expected = {id_of(absent): "absent", id_of(exists): "exists", id_of(tag): id_of(exists)}
        assert stated == expected
    assert [deployment.end_of(each) for each in (absent, exists, tag)] == ["succeeded"] * 3
    assert deployment.body_of(resource) == sample_text(3)


def test_a_false_precondition_is_told_by_the_status(
    deployment: Deployment, api: Api, resource: str, queue: Queue
) -> None:
    """True when accepted, and false when something came between."""
    old = api.put(resource, sample(1)).headers["etag"]
    with deployment.mapping.off():
        accepted = [
            api.put_later(resource, sample("conditional"), precondition)
            for precondition in ({"If-Match": old}, {"If-None-Match": "*"})
        ]
        api.put(resource, sample("between"))
    for answer in accepted:
        document = deployment.completed(answer)
        assert document["status"] == "failed" and "completedAt" in document, document
        check_problem(document["error"], 412, "precondition-failed")
    assert deployment.body_of(resource) == sample_text("between")
    queue.is_empty_after("refusals for good")
