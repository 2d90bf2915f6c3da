"""Waiting for what happens later, with a deadline and never for a fixed time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Seen = TypeVar("Seen")

POLL = 0.025


def until(
    what: str,
    look: Callable[[], Seen],
    is_enough: Callable[[Seen], object] = bool,
    seconds: float = 30,
) -> Seen:
    """Look until it is enough; returns what was seen. At the deadline, fail with the last seen."""
    end = time.monotonic() + seconds
    while True:
        seen = look()
        if is_enough(seen):
            return seen
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {seconds} s; the last seen was {seen!r}")
        time.sleep(POLL)
