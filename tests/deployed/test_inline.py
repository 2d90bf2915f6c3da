"""PUTs that are awaited, and what they stored."""

from __future__ import annotations

import re

import pytest

from .bodies import padded, sample, sample_text
from .client import Api
from .deployment import Deployment
from .service import Service

OPERATION_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


@pytest.mark.smoke
def test_a_body_is_answered_stored_and_given_back_byte_for_byte(
    service: Service, api: Api, resource: str
) -> None:
    body = padded()
    put = api.put(resource, body)
    assert (put.status, put.body) == (201, body), put
    assert service.body_of(resource).encode() == body
    got = api.get(resource)
    assert put.headers["etag"] == got.headers["etag"], got
    assert put.headers["content-type"] == got.headers["content-type"] == "application/json"


def test_the_first_put_creates_and_the_next_replaces(
    deployment: Deployment, api: Api, resource: str
) -> None:
    created, replaced = api.put(resource, sample(1)), api.put(resource, sample(2))
    assert (created.status, replaced.status) == (201, 200), (created, replaced)
    assert replaced.body == sample(2)
    first, second = created.headers["etag"].strip('"'), replaced.headers["etag"].strip('"')
    assert OPERATION_ID.fullmatch(first) and OPERATION_ID.fullmatch(second)
    assert first < second
    item = {"id": resource, "body": sample_text(2), "op": second, "created_by": first}
    assert deployment.resource(resource) == item
    # An inline PUT leaves no other trace.
    assert deployment.outcome(first) is None and deployment.outcome(second) is None
    for answer in (created, replaced):
        assert not {"location", "preference-applied"} & answer.headers.keys(), answer
