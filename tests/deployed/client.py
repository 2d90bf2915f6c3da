"""The API, as one caller sees it. Paths, header fields and bodies are sent unchanged."""

import dataclasses
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Self
from urllib.parse import urljoin, urlsplit

import urllib3

from .resources import path_of

JSON = {"Content-Type": "application/json"}
DEFERRED = {"Prefer": "respond-async"}
POOL = urllib3.PoolManager()
# The header fields that identify the sender of a request with this method, URL and body.
Credentials = Callable[[str, str, bytes | None], Mapping[str, str]]


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
        return f"Answer({self.status} of {self.url}, {dict(self.headers)}, {self.body[:1000]!r})"


def unsigned(_method: str, _url: str, _body: bytes | None) -> Mapping[str, str]:
    """No credentials."""
    return {}


@dataclasses.dataclass(frozen=True)
class Api:
    """The API at one base URL, as one caller sees it."""

    base: str
    credentials: Credentials = unsigned
    # The preference of a PUT or DELETE without one.
    prefer: str | None = None

    def seen_by(self, credentials: Credentials) -> Self:
        """The API with these credentials in each request."""
        return dataclasses.replace(self, credentials=credentials)

    def request(
        self,
        method: str,
        reference: str,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        body: bytes | None = None,
    ) -> Answer:
        """Send one request to a URL or path, unchanged."""
        url = self.base + reference.removeprefix(self.base)
        fields = urllib3.HTTPHeaderDict(headers)
        if self.prefer and method in ("PUT", "DELETE") and "Prefer" not in fields:
            fields["Prefer"] = self.prefer
        fields.update(self.credentials(method, url, body))
        path = url.removeprefix(f"{urlsplit(url).scheme}://{urlsplit(url).netloc}")
        reply = POOL.connection_from_url(url).urlopen(
            method, path, body, fields, retries=False, timeout=60
        )
        received = {name.lower(): value for name, value in reply.headers.items()}
        return Answer(reply.status, received, reply.data, url)

    def put(self, resource: str, body: bytes, headers: Mapping[str, str] | None = None) -> Answer:
        """PUT a resource as JSON, with further header fields."""
        return self.request("PUT", path_of(resource), JSON | dict(headers or {}), body)

    def put_later(
        self, resource: str, body: bytes, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """PUT a resource as JSON, to be carried out later; the service must accept it."""
        answer = self.put(resource, body, DEFERRED | dict(headers or {}))
        assert answer.status == 202, answer
        return answer

    def delete(self, resource: str, headers: Mapping[str, str] | None = None) -> Answer:
        """DELETE a resource, with header fields."""
        return self.request("DELETE", path_of(resource), headers or {})

    def get(self, resource: str) -> Answer:
        """GET a resource."""
        return self.request("GET", path_of(resource))

    def status(self, accepted: Answer, method: str = "GET") -> Answer:
        """GET the status document of an operation; `accepted` is the 202 that announced it."""
        return self.request(method, urljoin(accepted.url, accepted.headers["location"]))

    def cancel(self, accepted: Answer) -> Answer:
        """DELETE the status URL of an operation."""
        return self.status(accepted, "DELETE")
