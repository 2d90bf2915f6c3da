"""The service as its clients see it, through the API alone: its answers and their effects."""

import dataclasses
import time
from collections.abc import Callable
from typing import Any, TypeVar

from .client import Answer, Api

# The template's CorsAllowOrigin, unless another value is given.
ORIGIN = "https://origin.invalid"
Seen = TypeVar("Seen")


def problem_in(answer: Answer, status: int, kind: str) -> dict[str, Any]:
    """The answer must be a problem document (RFC 9457); returns it without the request's id."""
    assert answer.headers["content-type"] == "application/problem+json", answer
    document: dict[str, Any] = answer.json()
    # MiniStack, unlike API Gateway, has a different id in the header field apigw-requestid.
    assert document.pop("requestId"), answer
    assert document["type"].endswith(f":{kind}"), answer
    assert answer.status == document["status"] == status, answer
    return document


def id_of(answer: Answer) -> str:
    """The operation of a 200, 201 or 202."""
    if answer.status == 202:
        return str(answer.json()["id"])
    assert answer.status in (200, 201), answer
    return answer.headers["etag"].strip('"')


def until(
    what: str,
    look: Callable[[], Seen],
    is_enough: Callable[[Seen], object] = bool,
    seconds: float = 30,
) -> Seen:
    """Look until it is enough; returns the result. At the deadline, fail with the last one."""
    end = time.monotonic() + seconds
    while not is_enough(seen := look()):
        assert time.monotonic() < end, f"{what}: not within {seconds} s; the last was {seen!r}"
        time.sleep(0.025)
    return seen


class Service:
    """A deployed service, behind its API."""

    def __init__(self, api: Api, origin: str = ORIGIN, default_mode: str = "inline") -> None:
        # Waits for a write unless a test asks otherwise, whatever the stack's DefaultMode.
        self.api = api if default_mode == "inline" else dataclasses.replace(api, prefer="wait=15")
        # The origin of the web pages that may call it.
        self.origin = origin

    def completed(self, accepted: Answer) -> Any:
        """The status document of an operation once its outcome is final."""
        answer = until(
            f"the end of {id_of(accepted)}",
            lambda: self.api.status(accepted),
            lambda answer: answer.status != 200 or "retry-after" not in answer.headers,
            60,
        )
        assert answer.status == 200, answer
        return answer.json()

    def end_of(self, accepted: Answer) -> str:
        """How an operation ended."""
        return str(self.completed(accepted)["status"])
