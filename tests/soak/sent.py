"""What was sent, and what was answered."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from client import DEFERRED, Answer, Api
from plan import DEFERRED as LATER
from plan import WAIT, Request

PREFER = {LATER: DEFERRED, WAIT: {"Prefer": "respond-async, wait=1"}}


@dataclasses.dataclass
class Sent:
    """A request with its answer; none where the function or the connection died."""

    request: Request
    precondition: str  # the header field, as text
    started: float
    ended: float
    answer: Answer | None

    @property
    def operation(self) -> str | None:
        """The operation that the answer names."""
        if self.answer is None:
            return None
        if self.answer.status == 202:
            return str(self.answer.json()["id"])
        if self.answer.status in (200, 201):
            return self.answer.headers["etag"].strip('"')
        return None

    @property
    def problem(self) -> str | None:
        """The problem type of a refusal; None where no function answered."""
        if self.answer is None or self.answer.headers.get("content-type") != "application/problem+json":
            return None
        return str(self.answer.json()["type"]).rpartition(":")[2]

    @property
    def is_accepted(self) -> bool:
        """Whether it was answered 202."""
        return self.answer is not None and self.answer.status == 202

    @property
    def is_written(self) -> bool:
        """Whether it was answered 200 or 201."""
        return self.answer is not None and self.answer.status in (200, 201)

    @property
    def is_unknown(self) -> bool:
        """Whether the answer leaves open what became of it."""
        return not (self.is_accepted or self.is_written) and self.problem in (None, "outcome-unknown")


def send(api: Api, request: Request, newest_tag: str | None, clock: Callable[[], float]) -> Sent:
    """Send a request. An error of the connection is no answer."""
    headers = dict(PREFER.get(request.mode, {}))
    precondition = {
        "tag": {"If-Match": f'"{newest_tag}"'} if newest_tag else {},
        "exists": {"If-Match": "*"},
        "absent": {"If-None-Match": "*"},
        "": {},
    }[request.precondition]
    started = clock()
    answer: Answer | None = None
    try:
        answer = api.put(request.user, request.body, headers | precondition)
    except OSError:
        pass
    text = "".join(f"{name}: {value}" for name, value in precondition.items())
    return Sent(request, text, started, clock(), answer)
