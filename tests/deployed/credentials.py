"""The parts of a request that identify the sender."""

import functools
import json
import threading
import time
from collections.abc import Mapping
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
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
    """AWS Signature Version 4, as every program with an SDK makes it."""
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
    """An issuer of tokens. OpenID Connect Discovery finds its keys."""

    def __init__(self, directory: Path) -> None:
        self._key = rsa.generate_private_key(65537, 2048)
        serve = functools.partial(SimpleHTTPRequestHandler, directory=str(directory))
        server = ThreadingHTTPServer(("127.0.0.1", 0), serve)
        self.url = f"http://127.0.0.1:{server.server_port}"
        public = RSAAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        keys = {"keys": [public | {"kid": KEY_ID, "use": "sig", "alg": "RS256"}]}
        (directory / "keys").write_text(json.dumps(keys))
        known = directory / ".well-known" / "openid-configuration"
        known.parent.mkdir()
        known.write_text(json.dumps({"issuer": self.url, "jwks_uri": f"{self.url}/keys"}))
        threading.Thread(target=server.serve_forever, daemon=True).start()

    def token(self, claims: Mapping[str, Any], key: rsa.RSAPrivateKey | None = None) -> str:
        """A token for five minutes, with these claims in place of or beside the usual ones."""
        now = int(time.time())
        usual = {"iss": self.url, "iat": now, "exp": now + 300}
        present = {name: value for name, value in {**usual, **claims}.items() if value is not None}
        return jwt.encode(present, key or self._key, "RS256", {"kid": KEY_ID})
