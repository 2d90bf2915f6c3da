"""A stack that is not open to everyone lets nobody in without credentials."""

from __future__ import annotations

import pytest

from .access import to_every_route
from .client import nobody
from .service import Service
from .smoke import Stack

pytestmark = pytest.mark.smoke


def test_nobody_gets_in(service: Service, resource: str) -> None:
    """That of the other tests is open; see test_access_iam.py."""
    if not isinstance(service, Stack) or service.mode == "none":
        pytest.skip("AuthMode none is open to everyone")
    for answer in to_every_route(service.api.seen_by(nobody), resource):
        assert answer.status in (401, 403), answer
    assert service.api.get(resource).status == 404
