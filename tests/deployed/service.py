"""The service as its clients see it: nothing but the API.

The tests that need no more are marked `smoke`, and run against any deployed stack as well.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from .answers import id_of
from .client import Answer, Api
from .polling import until

# Not the end of an operation: more may come.
OPEN = ("pending", "stalled")
# The template's CorsAllowOrigin, unless it is given.
ORIGIN = "https://origin.invalid"


class Service:
    """A deployed service, behind its API."""

    def __init__(self, api: Api, origin: str = ORIGIN, default_mode: str = "inline") -> None:
        self.plain_api = api
        # Awaits a write unless it is asked for something else, whatever the stack's DefaultMode.
        self.api = api if default_mode == "inline" else dataclasses.replace(api, prefer="wait=15")
        self.default_mode = default_mode
        # Of the web pages that may call it.
        self.origin = origin

    def body_of(self, resource: str) -> str:
        """The stored body."""
        got = self.api.get(resource)
        assert got.status == 200, got
        return got.body.decode()

    def completed(self, accepted: Answer, seconds: float = 30) -> Any:
        """The status document of an operation once it has ended."""
        answer = until(
            f"the end of {id_of(accepted)}",
            lambda: self.api.status(accepted),
            lambda answer: answer.status != 200 or answer.json()["status"] not in OPEN,
            seconds,
        )
        assert answer.status == 200, answer
        document = answer.json()
        # One that deleted its resource has none.
        assert "etag" not in document or document["status"] == "succeeded", document
        return document

    def end_of(self, accepted: Answer, seconds: float = 30) -> str:
        """How an operation ended."""
        return str(self.completed(accepted, seconds)["status"])
