"""A proxy between the functions and AWS, which treats some of their calls as a test says.

What it forwards it forwards as it came, the header `Host` included, which names the proxy. The
function signed just that, so that MiniStack finds the signature good.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import urllib3

Reply = tuple[int, bytes]
# What a call gets instead of being forwarded; None closes its connection without a reply.
Treatment = Callable[[Callable[[], Reply]], Reply | None]


def lost(forward: Callable[[], Reply]) -> None:
    """The call takes effect, and its reply is lost."""
    forward()


def throttled(_forward: Callable[[], Reply]) -> Reply:
    """The service refuses the call."""
    return 400, b'{"__type": "com.amazonaws#ThrottlingException", "message": "made by the test"}'


class Proxy:
    """The proxy in front of one endpoint."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._pool = urllib3.PoolManager()
        self._lock = threading.Lock()
        self._calls, self._treatments = "", iter(list[Treatment]())
        self._met: list[str] = []
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            """Every call of these services is a POST."""

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                fields = urllib3.HTTPHeaderDict(self.headers.items())
                reply = proxy.handle(self.path, fields, body)
                # The caller may have given up.
                with contextlib.suppress(OSError):
                    if reply is not None:
                        self.send_response(reply[0])
                        self.send_header("Content-Type", "application/x-amz-json-1.0")
                        self.send_header("Content-Length", str(len(reply[1])))
                        self.end_headers()
                        self.wfile.write(reply[1])

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        # By the name under which MiniStack is AWS and not the API: `Host` goes with the call.
        url = f"http://localhost:{self._server.server_port}"
        # What leads a function's calls here. MiniStack sets AWS_ENDPOINT_URL itself, not these.
        self.variables = dict.fromkeys(("AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL_SQS"), url)

    @contextlib.contextmanager
    def treats(self, calls: str, treatments: Iterable[Treatment]) -> Iterator[list[str]]:
        """Treat calls of a service or of one operation ("SQS", "SQS.SendMessage") so, one after
        the other, inside the block; later ones pass. Gives the calls that were treated.
        """
        self._calls, self._treatments, self._met = calls, iter(treatments), []
        try:
            yield self._met
        finally:
            self._treatments = iter([])

    def handle(self, path: str, fields: urllib3.HTTPHeaderDict, body: bytes) -> Reply | None:
        """Treat one call."""

        def forward() -> Reply:
            reply = self._pool.urlopen("POST", self._endpoint + path, body=body, headers=fields)
            return reply.status, reply.data

        target, _, operation = fields["X-Amz-Target"].partition(".")
        call = f"{target.removeprefix('Amazon').split('_')[0]}.{operation}"
        with self._lock:
            is_meant = call == self._calls or call.startswith(f"{self._calls}.")
            treatment = next(self._treatments, None) if is_meant else None
            if treatment is not None:
                self._met.append(call)
        return treatment(forward) if treatment else forward()

    def stop(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
