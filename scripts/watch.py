"""`make watch`: build the functions when their source changes, and deploy them to the stack.

If the source does not compile, MiniStack calls a server here instead, which answers with the
compiler's error.
"""

import io
import json
import os
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from scripts import sam
from scripts.environment import HOST, ROOT, target

# A function with this variable is called at its URL.
PROXY_VARIABLE = "MINISTACK_LAMBDA_PROXY_URL"


def source() -> tuple[int, int]:
    """A value that changes whenever the source of the functions does."""
    files = [ROOT / "Cargo.toml", ROOT / "Cargo.lock"]
    for folder in ("crates", "functions"):
        files += (ROOT / folder).rglob("*.rs")
        files += (ROOT / folder).rglob("Cargo.toml")
    return len(files), max(file.stat().st_mtime_ns for file in files if file.exists())


def built() -> dict[str, Path]:
    """The binary of each function."""
    folder = target() / os.environ.get("CARGO_BUILD_TARGET", "") / "debug"
    return {function: folder / name for function, name in sam.binaries().items()}


def zipped(binary: Path) -> bytes:
    """A function's code in the form that Lambda takes."""
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.write(binary, "bootstrap")
    return code.getvalue()


class ErrorServer:
    """Answers each invocation of a function with an error."""

    def __init__(self) -> None:
        self.error = ""
        answer = self._answer

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                status, reply = answer(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(status)
                self.send_header("Content-Length", str(len(reply)))
                self.end_headers()
                self.wfile.write(reply)

            def log_message(self, *_arguments: object) -> None:
                pass

        server = ThreadingHTTPServer((HOST, 0), Handler)
        self.url = f"http://{HOST}:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()

    def _answer(self, event: bytes) -> tuple[int, bytes]:
        """Answer a request with the error. A batch of messages must fail, to come again."""
        if "Records" in json.loads(event):
            return 500, self.error.encode()
        plain = {"Content-Type": "text/plain; charset=utf-8"}
        reply = {"statusCode": 500, "headers": plain, "body": self.error}
        return 200, json.dumps(reply).encode()
