"""What answers must say."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from .client import Answer

TITLES_SEEN: dict[str, str] = {}


def problem_in(answer: Answer, status: int, kind: str) -> dict[str, Any]:
    """The problem document (RFC 9457) that an answer must be."""
    assert answer.status == status, answer
    assert answer.headers["content-type"] == "application/problem+json", answer
    document: dict[str, Any] = told(answer)
    check_problem(document, status, kind)
    return document


def told(answer: Answer) -> Any:
    """What the body says, apart from the id of the request, which a problem must name."""
    if answer.headers.get("content-type") != "application/problem+json" or not answer.body:
        return answer.body
    document: dict[str, Any] = answer.json()
    # MiniStack, unlike API Gateway, has another one in the header field apigw-requestid.
    assert document.pop("requestId"), answer
    return document


def check_problem(document: dict[str, Any], status: int, kind: str) -> None:
    """Check a problem document, in an answer or in a status document."""
    assert document["type"] == f"tag:async-put.example,2026:{kind}", document
    assert document["status"] == status, document
    # One type has one title; what differs from case to case is the detail.
    title = TITLES_SEEN.setdefault(kind, document["title"])
    assert document["title"] == title != "", document
    assert document["detail"] not in ("", document["title"]), document


def refused(answer: Answer, kind: str) -> None:
    """A 503 that tells what is left behind and when to come again, without a receipt."""
    problem_in(answer, 503, kind)
    assert int(answer.headers["retry-after"]) >= 1, answer
    assert not {"location", "etag", "preference-applied"} & set(answer.headers), answer


def id_of(answer: Answer) -> str:
    """The operation of a 200, 201 or 202."""
    if answer.status == 202:
        return str(answer.json()["id"])
    assert answer.status in (200, 201), answer
    return answer.headers["etag"].strip('"')


@contextlib.contextmanager
def meanwhile() -> Iterator[ThreadPoolExecutor]:
    """Requests that are under way while the block goes on."""
    with ThreadPoolExecutor(max_workers=8) as executor:
        yield executor


def answer_of(request: Future[Answer]) -> Answer:
    """The answer to a request under way."""
    return request.result(timeout=60)
