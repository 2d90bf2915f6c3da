"""Problem documents (RFC 9457)."""

from __future__ import annotations

from typing import Any

from client import Answer

TITLES_SEEN: dict[str, str] = {}


def problem_in(answer: Answer, status: int, kind: str) -> dict[str, Any]:
    """The problem document that an answer must be."""
    assert answer.status == status, answer
    assert answer.headers["content-type"] == "application/problem+json", answer
    document: dict[str, Any] = answer.json()
    check_problem(document, status, kind)
    return document


def check_problem(document: dict[str, Any], status: int, kind: str) -> None:
    """Check a problem document, in an answer or in a status document."""
    assert document["type"] == f"urn:problem-type:async-put:{kind}", document
    assert document["status"] == status, document
    # One type has one title; what differs from case to case is the detail.
    assert document["title"] == TITLES_SEEN.setdefault(kind, document["title"]) != "", document
    assert document["detail"] not in ("", document["title"]), document
