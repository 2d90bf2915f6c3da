"""A plain HTTP client: it sends exactly the path, header fields and bytes that a test gives it.

A library would mend paths, add header fields or ask a proxy; the standard library's
`http.client` does not.
"""

from __future__ import annotations

import dataclasses
import http.client
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import urljoin, urlsplit

from .resources import path_of

JSON = {"Content-Type": "application/json"}
DEFERRED = {"Prefer": "respond-async"}
WRITES = ("PUT", "DELETE")


@dataclasses.dataclass(frozen=True)
class Answer:
    """A response."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    def __repr__(self) -> str:
        body = self.body if len(self.body) < 1000 else self.body[:1000] + b"..."
        return f"Answer({self.status} of {self.url}, {dict(self.headers)}, {body!r})"


# Header fields that say who sends a request of this method, to this URL, with this body.
Credentials = Callable[[str, str, bytes | None], Mapping[str, str]]


def nobody(_method: str, _url: str, _body: bytes | None) -> Mapping[str, str]:
    """No credentials."""
    return {}


def unnoticed(_method: str, _answer: Answer) -> None:
    """Nobody looks."""


def says_when(fields: Iterable[tuple[str, str]]) -> bool:
    """Whether a request with these header fields says when it is to be done."""
    preferences = (value.lower() for name, value in fields if name.lower() == "prefer")
    return any("respond-async" in value or "wait" in value for value in preferences)


@dataclasses.dataclass(frozen=True)
class Api:
    """The API at one base URL, as somebody sees it."""

    base: str
    credentials: Credentials = nobody
    # Is told of each answer, with the method that was asked for.
    notice: Callable[[str, Answer], None] = unnoticed
    # The preference of a PUT or DELETE that does not say when it is to be done.
    prefer: str | None = None

    def seen_by(self, credentials: Credentials) -> Api:
        """The API with these credentials in each request."""
        return dataclasses.replace(self, credentials=credentials)

    def request(
        self,
        method: str,
        reference: str,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        body: bytes | None = None,
    ) -> Answer:
        """Send one request to a URL or path, as it stands."""
        path = reference.removeprefix(self.base)
        url = urlsplit(self.base)
        scheme = (
            http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
        )
        connection = scheme(url.netloc, timeout=60)
        try:
            connection.putrequest(method, path, skip_accept_encoding=True)
            fields = [*(headers.items() if isinstance(headers, Mapping) else headers)]
            if self.prefer is not None and method in WRITES and not says_when(fields):
                fields.append(("Prefer", self.prefer))
            fields += self.credentials(method, self.base + path, body).items()
            for name, value in fields:
                connection.putheader(name, value)
            if body is not None:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            response = connection.getresponse()
            received = {name.lower(): value for name, value in response.getheaders()}
            answer = Answer(response.status, received, response.read(), self.base + path)
            self.notice(method, answer)
            return answer
        finally:
            connection.close()

    def put(self, resource: str, body: bytes, headers: Mapping[str, str] | None = None) -> Answer:
        """PUT a resource as JSON, with further header fields."""
        return self.request("PUT", path_of(resource), JSON | dict(headers or {}), body)

    def put_later(
        self, resource: str, body: bytes, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """PUT a resource as JSON, to be carried out later; it must be accepted."""
        answer = self.put(resource, body, DEFERRED | dict(headers or {}))
        assert answer.status == 202, answer
        return answer

    def delete(self, resource: str, headers: Mapping[str, str] | None = None) -> Answer:
        """DELETE a resource, with header fields."""
        return self.request("DELETE", path_of(resource), headers or {})

    def get(self, resource: str) -> Answer:
        """GET a resource."""
        return self.request("GET", path_of(resource))

    def status(self, accepted: Answer) -> Answer:
        """GET the status document of an operation; `accepted` is the 202 that announced it."""
        return self.request("GET", urljoin(accepted.url, accepted.headers["location"]))

    def cancel(self, accepted: Answer, headers: Mapping[str, str] | None = None) -> Answer:
        """DELETE the status URL of an operation, likewise."""
        url = urljoin(accepted.url, accepted.headers["location"])
        return self.request("DELETE", url, headers or {})
