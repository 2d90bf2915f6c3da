"""What a request carries that says who sends it."""

from __future__ import annotations

import contextlib
import json
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from .client import Credentials

KEY_ID = "the-key"


def signed(key: str, secret: str, token: str | None, region: str) -> Credentials:
    """AWS Signature Version 4, as any program makes it that has an SDK."""
    signer = botocore.auth.SigV4Auth(
        botocore.credentials.Credentials(key, secret, token), "execute-api", region
    )

    def fields(method: str, url: str, body: bytes | None) -> Mapping[str, str]:
        request = botocore.awsrequest.AWSRequest(method, url, data=body or b"")
        signer.add_auth(request)
        return dict(request.headers.items())

    return fields


def bearer(token: str) -> Credentials:
    """A token (RFC 6750)."""
    return lambda _method, _url, _body: {"Authorization": f"Bearer {token}"}


class Issuer:
    """An issuer of tokens, whose keys are found as OpenID Connect Discovery says."""

    def __init__(self) -> None:
        self._key = new_key()
        public = RSAAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        keys = {"keys": [public | {"kid": KEY_ID, "use": "sig", "alg": "RS256"}]}

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                documents = {
                    "/.well-known/openid-configuration": {"issuer": url, "jwks_uri": f"{url}/keys"},
                    "/keys": keys,
                }
                document = documents.get(self.path)
                self.send_response(404 if document is None else 200)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(json.dumps(document).encode())

            def log_message(self, *_arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        url = self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """Listen no longer."""
        self._server.shutdown()
        self._server.server_close()

    def token(self, claims: Mapping[str, Any], key: rsa.RSAPrivateKey | None = None) -> str:
        """A token of five minutes with these claims in place of or beside the usual ones."""
        now = int(time.time())
        usual = {"iss": self.url, "iat": now, "exp": now + 300, "jti": str(uuid.uuid4())}
        present = {name: value for name, value in {**usual, **claims}.items() if value is not None}
        return jwt.encode(present, key or self._key, "RS256", {"kid": KEY_ID})


def new_key() -> rsa.RSAPrivateKey:
    """A key that nobody else has."""
    return rsa.generate_private_key(65537, 2048)


@contextlib.contextmanager
def issuer() -> Iterator[Issuer]:
    """An issuer for the time of the block."""
    made = Issuer()
    try:
        yield made
    finally:
        made.stop()
