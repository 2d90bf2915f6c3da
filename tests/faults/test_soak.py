"""The short form of tests/soak."""

from __future__ import annotations

import os

from deployment import Deployment
from microburst import Services
from soak import soak


def test_a_few_hundred_puts_under_random_faults(deployment: Deployment, services: Services) -> None:
    seed = int(os.environ.get("SEED") or 1)
    found = soak(deployment, services, seed, deferred=240, users=12)
    assert not any(found.named().values()), found
