"""What answers must say, and how operations end."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from client import Answer
from deployment import Deployment
from problems import problem_in


def refused(answer: Answer, kind: str) -> None:
    """The answer must be a 503 that tells what is left behind and when to come again, without a receipt."""
    problem_in(answer, 503, kind)
    assert int(answer.headers["retry-after"]) >= 1, answer
    assert not {"location", "etag", "preference-applied"} & set(answer.headers), answer


def status_of(deployment: Deployment, accepted: Answer, seconds: float = 30) -> str:
    """How an operation ended; the status document and the item must agree."""
    document = deployment.completed(accepted, seconds)
    item = deployment.outcome(accepted.json()["id"])
    assert item is not None and item["outcome"] == document["status"], (item, document)
    return str(document["status"])


def body_of(deployment: Deployment, user: str) -> str | None:
    """The stored body."""
    item = deployment.user(user)
    return item["body"] if item else None


def id_of(written: Answer) -> str:
    """The operation of a 200 or 201."""
    assert written.status in (200, 201), written
    return written.headers["etag"].strip('"')


@contextlib.contextmanager
def meanwhile() -> Iterator[ThreadPoolExecutor]:
    """Requests that are under way while the block goes on."""
    with ThreadPoolExecutor(max_workers=8) as executor:
        yield executor


def answer_of(request: Future[Answer]) -> Answer:
    """The answer to a request under way."""
    return request.result(timeout=60)
