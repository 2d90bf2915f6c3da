"""A proxy between the functions and AWS: it counts calls, and treats them as a test says.

What it forwards it forwards as it came, the header `Host` included, which names the proxy.
The function signed just that, so that MiniStack finds the signature good, and the role that
made it is the one whose permissions count.

Each connection carries one call, so that a refused connection never meets an old one that
is still open.
"""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import json
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from .polling import until

SERVICES = ("DynamoDB", "SQS")
ERROR_PREFIXES = {"DynamoDB": "com.amazonaws.dynamodb.v20120810", "SQS": "com.amazonaws.sqs"}


@dataclasses.dataclass(frozen=True)
class Reply:
    """What a call was answered with."""

    status: int
    body: bytes


@dataclasses.dataclass(frozen=True)
class Fails:
    """The call is answered with an error and not forwarded."""

    status: int
    code: str

    def reply(self, service: str) -> Reply:
        """The error as the service writes it."""
        error = {"__type": f"{ERROR_PREFIXES[service]}#{self.code}", "message": "made by the test"}
        return Reply(self.status, json.dumps(error).encode())


class LosesReply:
    """The call is forwarded, and its connection then closed without a reply."""


class Held:
    """The call waits in the proxy, before it is forwarded or, if it `landed`, with its reply.

    Its caller gives up meanwhile. `land` lets it go on; a call that is still held at the end
    of its rules is never forwarded.
    """

    def __init__(self, *, landed: bool = False) -> None:
        self.landed = landed
        self._holds = threading.Event()
        self._is_dropped = False
        self._changed = threading.Condition()
        self._arrived = self._gone = 0

    def until_reached(self, count: int = 1) -> None:
        """Wait until so many calls are held or were."""
        until("calls that are held", lambda: self._arrived, lambda arrived: arrived >= count)

    def land(self) -> None:
        """Let the held calls go on, and wait until AWS has answered them."""
        self._holds.set()
        until("the held calls landed", lambda: self._gone, lambda gone: gone == self._arrived)

    def drop(self) -> None:
        """Forget the calls that are still held."""
        self._is_dropped = not self._holds.is_set()
        self._holds.set()

    def wait(self) -> bool:
        """The call's way through the hold; whether it goes on."""
        with self._changed:
            self._arrived += 1
        self._holds.wait()
        return not self._is_dropped

    def end(self) -> None:
        """The call has been answered, or dropped."""
        with self._changed:
            self._gone += 1


LOSES_REPLY = LosesReply()
THROTTLED = Fails(400, "ThrottlingException")
BROKEN = Fails(500, "InternalServerError")

Treatment = Fails | LosesReply | Held


@dataclasses.dataclass
class Rule:
    """Treat calls so: those of a service or of one operation ("SQS", "SQS.SendMessage"), those
    that name a resource, and at most so many.
    """

    calls: str
    treatment: Treatment
    times: int | None = None
    resource: str = ""
    fired: list[str] = dataclasses.field(default_factory=list)

    def is_for(self, call: str, body: bytes) -> bool:
        """Whether it decides this call."""
        is_named = call == self.calls or call.startswith(f"{self.calls}.")
        is_about = f'"{self.resource}"'.encode() in body if self.resource else True
        return is_named and is_about and self.times != 0


class Proxy:
    """The proxy in front of one endpoint, with a port for each service."""

    def __init__(self, endpoint: str) -> None:
        self._upstream = urlsplit(endpoint)
        self._calls: list[str] = []
        self._rules: Sequence[Rule] = ()
        self._lock = threading.Lock()
        self._servers = {service: self._listen(0) for service in SERVICES}
        self._ports = {name: int(each.server_address[1]) for name, each in self._servers.items()}

    @property
    def variables(self) -> dict[str, str]:
        """What leads a function's calls here. MiniStack sets AWS_ENDPOINT_URL itself, not these.

        By the name under which MiniStack is AWS and not the API: `Host` goes with the call.
        """
        return {
            f"AWS_ENDPOINT_URL_{name.upper()}": f"http://{self._upstream.hostname}:{port}"
            for name, port in self._ports.items()
        }

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
    def rules(self, *rules: Rule) -> Iterator[list[str]]:
        """The first rule that is for a call and not used up decides it, inside the block. Gives
        the calls that were decided so.
        """
        fired: list[str] = []
        for rule in rules:
            rule.fired = fired
        with self._lock:
            before = self._rules
            self._rules = (*rules, *before)
        try:
            yield fired
        finally:
            with self._lock:
                self._rules = before
            for rule in rules:
                if isinstance(rule.treatment, Held):
                    rule.treatment.drop()

    def failing(
        self, calls: str, treatment: Treatment, times: int | None = None, resource: str = ""
    ) -> contextlib.AbstractContextManager[list[str]]:
        """One rule alone."""
        return self.rules(Rule(calls, treatment, times, resource))

    @contextlib.contextmanager
    def gone(self, service: str) -> Iterator[None]:
        """Nobody listens for this service inside the block."""
        self._close(self._servers[service])
        try:
            yield
        finally:
            self._servers[service] = self._listen(self._ports[service])

    def stop(self) -> None:
        """Stop listening."""
        for server in self._servers.values():
            self._close(server)

    def _listen(self, port: int) -> ThreadingHTTPServer:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            """Every call of these services is a POST."""

            def do_POST(self) -> None:
                proxy.handle(self)

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        server.daemon_threads = True
        serve = {"poll_interval": 0.02}
        threading.Thread(target=server.serve_forever, kwargs=serve, daemon=True).start()
        return server

    def _close(self, server: ThreadingHTTPServer) -> None:
        server.shutdown()
        server.server_close()

    def handle(self, request: BaseHTTPRequestHandler) -> None:
        """Treat one call."""
        request.close_connection = True
        body = request.rfile.read(int(request.headers["Content-Length"]))
        target, _, operation = request.headers["X-Amz-Target"].partition(".")
        service = target.removeprefix("Amazon").split("_")[0]
        treatment = self._treatment(f"{service}.{operation}", body)
        reply = self._carry_out(treatment, service, request, body)
        if reply is not None:
            # Its caller may have given up.
            with contextlib.suppress(OSError):
                request.send_response(reply.status)
                request.send_header("Content-Type", "application/x-amz-json-1.0")
                request.send_header("Content-Length", str(len(reply.body)))
                request.send_header("Connection", "close")
                request.end_headers()
                request.wfile.write(reply.body)

    def _treatment(self, call: str, body: bytes) -> Treatment | None:
        with self._lock:
            self._calls.append(call)
            rule = next((rule for rule in self._rules if rule.is_for(call, body)), None)
            if rule is None:
                return None
            if rule.times is not None:
                rule.times -= 1
            rule.fired.append(call)
            return rule.treatment

    def _carry_out(
        self, treatment: Treatment | None, service: str, call: BaseHTTPRequestHandler, body: bytes
    ) -> Reply | None:
        if isinstance(treatment, Fails):
            return treatment.reply(service)
        if isinstance(treatment, Held):
            try:
                reply = self._forward(call, body) if treatment.landed else None
                return (reply or self._forward(call, body)) if treatment.wait() else None
            finally:
                treatment.end()
        reply = self._forward(call, body)
        return None if isinstance(treatment, LosesReply) else reply

    def _forward(self, call: BaseHTTPRequestHandler, body: bytes) -> Reply:
        host, port = str(self._upstream.hostname), self._upstream.port
        connection = http.client.HTTPConnection(host, port, timeout=30)
        try:
            connection.putrequest("POST", call.path, skip_host=True, skip_accept_encoding=True)
            for name, value in call.headers.items():
                connection.putheader(name, value)
            connection.endheaders(body)
            response = connection.getresponse()
            return Reply(response.status, response.read())
        finally:
            connection.close()
