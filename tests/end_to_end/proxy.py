"""A proxy between the functions and AWS that records every call and fails those it is told to.

Each connection carries one request, so that a refused connection never meets an old
one that is still open.
"""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import json
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


@dataclasses.dataclass(frozen=True)
class Reply:
    """What a call is answered with instead of being forwarded."""

    status: int
    body: bytes


@dataclasses.dataclass(frozen=True)
class LostReply:
    """The call is forwarded, and its connection then closed without a reply."""


# What becomes of a call such as "DynamoDB.UpdateItem": None forwards it.
Rule = Callable[[str], Reply | LostReply | None]


def error(status: int, code: str, prefix: str) -> Reply:
    """An error as the AWS JSON protocols write it."""
    return Reply(status, json.dumps({"__type": f"{prefix}#{code}", "message": "made by the test"}).encode())


def dynamodb_error(status: int, code: str) -> Reply:
    """An error of DynamoDB."""
    return error(status, code, "com.amazonaws.dynamodb.v20120810")


def sqs_error(status: int, code: str) -> Reply:
    """An error of SQS."""
    return error(status, code, "com.amazonaws.sqs")


class Proxy:
    """The proxy in front of one endpoint."""

    def __init__(self, endpoint: str) -> None:
        self._upstream = urlsplit(endpoint)
        self._calls: list[str] = []
        self._rule: Rule = lambda call: None
        self._server: ThreadingHTTPServer | None = None
        self._start(0)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._port}"

    @contextlib.contextmanager
    def recorded(self) -> Iterator[list[str]]:
        """The calls inside the block, each as service.operation."""
        calls: list[str] = []
        self._calls = calls
        try:
            yield calls
        finally:
            self._calls = []

    @contextlib.contextmanager
    def failing(self, rule: Rule) -> Iterator[None]:
        """Treat the calls inside the block by the rule."""
        self._rule = rule
        try:
            yield
        finally:
            self._rule = lambda call: None

    @contextlib.contextmanager
    def refusing(self) -> Iterator[None]:
        """Nobody listens inside the block."""
        self.stop()
        try:
            yield
        finally:
            self._start(self._port)

    def stop(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def _start(self, port: int) -> None:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            """Forwards requests, or does not."""

            def do_POST(self) -> None:
                proxy.handle(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self._port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def handle(self, request: BaseHTTPRequestHandler) -> None:
        """Treat one call."""
        body = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        service, _, operation = request.headers["X-Amz-Target"].partition(".")
        call = f"{service.removeprefix('Amazon').split('_')[0]}.{operation}"
        self._calls.append(call)
        treatment = self._rule(call)
        request.close_connection = True
        reply = treatment if isinstance(treatment, Reply) else self._forward(request, body)
        if isinstance(treatment, LostReply):
            request.connection.shutdown(socket.SHUT_RDWR)
            return
        request.send_response(reply.status)
        request.send_header("Content-Type", "application/x-amz-json-1.0")
        request.send_header("Content-Length", str(len(reply.body)))
        request.send_header("Connection", "close")
        request.end_headers()
        request.wfile.write(reply.body)

    def _forward(self, request: BaseHTTPRequestHandler, body: bytes) -> Reply:
        """Send the request as it came, its signature included."""
        connection = http.client.HTTPConnection(str(self._upstream.hostname), self._upstream.port, timeout=30)
        try:
            connection.putrequest("POST", request.path, skip_host=True, skip_accept_encoding=True)
            for name, value in request.headers.items():
                connection.putheader(name, value)
            connection.endheaders(body)
            response = connection.getresponse()
            return Reply(response.status, response.read())
        finally:
            connection.close()
