"""A proxy between the functions and AWS, which treats some of their calls as a test requires.

It forwards requests unchanged, with the header `Host`, which names the proxy. The
function signed just that, so that MiniStack finds the signature good.
"""

import contextlib
import logging
import threading
from collections.abc import Callable, Iterable, Iterator

import urllib3
from werkzeug import Request, Response
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

Application = Callable[[Request], Response]
# What happens to a call instead of forwarding; a ConnectionError closes its connection.
Treatment = Callable[[Callable[[], Response]], Response]


def lost(forward: Callable[[], Response]) -> Response:
    """The call takes effect, but its reply is lost."""
    forward()
    raise ConnectionError


def throttled(_forward: Callable[[], Response]) -> Response:
    """The service refuses the call."""
    return Response('{"__type": "com.amazonaws#ThrottlingException", "message": "a test"}', 400)


class OneRequest(WSGIRequestHandler):
    """Handles one request on each connection, then closes it."""

    protocol_version = "HTTP/1.0"


def serve(handle: Application) -> BaseWSGIServer:
    """A server with this handler until it is shut down; a ConnectionError closes the connection."""
    logging.getLogger("werkzeug").setLevel("ERROR")
    application = Request.application(handle)
    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=OneRequest)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


class Proxy:
    """The proxy in front of one endpoint."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint, self._pool, self._lock = endpoint, urllib3.PoolManager(), threading.Lock()
        self._calls, self._treatments = "", iter(list[Treatment]())
        self._met: list[str] = []
        self._server = serve(self._handle)
        # At this name MiniStack is AWS and not the API; `Host` goes with the call.
        url = f"http://localhost:{self._server.server_port}"
        # These direct a function's calls here. MiniStack sets AWS_ENDPOINT_URL itself, not these.
        self.variables = dict.fromkeys(("AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL_SQS"), url)

    @contextlib.contextmanager
    def treats(self, calls: str, treatments: Iterable[Treatment]) -> Iterator[list[str]]:
        """Inside the block, give calls of a service or operation ("SQS", "SQS.SendMessage") one of
        these treatments each; later calls pass. Yields the calls that were treated.
        """
        self._calls, self._treatments, self._met = calls, iter(treatments), []
        try:
            yield self._met
        finally:
            self._treatments = iter([])

    def _handle(self, request: Request) -> Response:
        body, fields = request.get_data(), dict(request.headers)

        def forward() -> Response:
            url = self._endpoint + request.path
            reply = self._pool.urlopen(request.method, url, body=body, headers=fields)
            return Response(reply.data, reply.status, content_type="application/x-amz-json-1.0")

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
