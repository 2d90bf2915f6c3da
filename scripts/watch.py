"""The port of `make watch`: it passes requests on once the current source is built, and answers
with the compiler's error where that does not compile.
"""

from __future__ import annotations

import http.client
import json
import os
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from scripts import sam
from scripts.environment import HOST, ROOT

# One connection for each request.
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}
PLAIN = {"Content-Type": "text/plain; charset=utf-8"}


def source() -> tuple[int, int]:
    """Changes whenever the source of the functions does."""
    files = [ROOT / "Cargo.toml", ROOT / "Cargo.lock"]
    for folder in ("crates", "functions"):
        files += (ROOT / folder).rglob("*.rs")
        files += (ROOT / folder).rglob("Cargo.toml")
    return len(files), max(file.stat().st_mtime_ns for file in files if file.exists())


# Four processes for each function, started again when they end.
FUNCTIONS = """
for name; do for _ in 1 2 3 4; do (
    export AWS_LAMBDA_FUNCTION_NAME="$name" AWS_LAMBDA_RUNTIME_API="$RUNTIME_APIS/$name"
    while :; do "$BUILT/$name"; sleep 1; done
) & done; done; wait
"""


def functions(port: int) -> tuple[list[str], dict[str, str]]:
    """What runs the built functions under `cargo lambda watch`: a command, with its environment.

    Not by cargo lambda itself: it looks through all of target/ for each process, for seconds.
    """
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    built = target / os.environ.get("CARGO_BUILD_TARGET", "") / "debug"
    where = {"BUILT": str(built), "RUNTIME_APIS": f"http://{HOST}:{port}/.rt"}
    settings = {"AWS_LAMBDA_FUNCTION_VERSION": "1", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "4096"}
    return ["sh", "-c", FUNCTIONS, "functions", *sam.binaries().values()], where | settings


class Front:
    """A server before that of `cargo lambda watch`."""

    def __init__(self, port: int, behind: int) -> None:
        # What was built last, and the error of that.
        self.built: tuple[int, int] | None = None
        self.error = ""
        front = self

        class Handler(BaseHTTPRequestHandler):
            def do_PUT(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                while front.built != source():
                    time.sleep(0.05)
                if front.error:
                    status, fields, text = refusal(self.path, body, front.error)
                else:
                    passed = http.client.HTTPConnection(HOST, behind)
                    passed.request(self.command, self.path, body, dict(self.headers.items()))
                    reply = passed.getresponse()
                    status, fields, text = reply.status, dict(reply.getheaders()), reply.read()
                self.send_response(status)
                for name, value in fields.items():
                    if name.lower() not in HOP_BY_HOP:
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_HEAD = do_POST = do_DELETE = do_OPTIONS = do_PUT  # noqa: N815

            def log_message(self, *_arguments: object) -> None:
                pass

        server = ThreadingHTTPServer((HOST, port), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()


def refusal(path: str, body: bytes, error: str) -> tuple[int, dict[str, str], bytes]:
    """What a request gets that comes through the gateway, one to `cargo lambda` itself, or a batch
    of messages, which must fail in order to come again.
    """
    if path.endswith("/invocations") and "Records" not in json.loads(body):
        reply = {"statusCode": 500, "headers": PLAIN, "body": error}
        return 200, {"Content-Type": "application/json"}, json.dumps(reply).encode()
    return 500, PLAIN, error.encode()
