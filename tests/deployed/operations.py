"""Operation ids, receipts and claims as the functions make them, made anew here."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
import uuid

from .bodies import sample_text
from .deployment import Deployment

DAY = 24 * 60 * 60
NOT_APPLIED = {
    "type": "tag:async-put.example,2026:not-applied",
    "title": "The operation could not be carried out",
    "status": 503,
    "detail": "Made by the test.",
}


def operation_id(age: float = 0) -> str:
    """A UUIDv7 of so many seconds ago."""
    ms = int((time.time() - age) * 1000)
    return str(uuid.UUID(int=ms << 80 | 7 << 76 | 2 << 62 | secrets.randbits(62)))


def receipt(deployment: Deployment, resource: str, operation: str) -> str:
    """The operation id, signed for the resource with the deployment's own key."""
    key = deployment.variables("READ")["RECEIPT_KEY"].encode()
    id_bytes = uuid.UUID(operation).bytes
    mac = hmac.digest(key, resource.encode() + id_bytes, "sha256")[:12]
    return base64.urlsafe_b64encode(id_bytes + mac).decode().rstrip("=")


def store_stalled(deployment: Deployment, resource: str, operation: str) -> None:
    """Record what `park` does of an operation that could not be carried out so far."""
    now = time.time()
    item = {
        "id": {"S": operation},
        "resource": {"S": resource},
        "outcome": {"S": "stalled"},
        "problem": {"S": json.dumps(NOT_APPLIED)},
        "completed_at": {"N": str(int(now * 1000))},
        "expires_at": {"N": str(int(now) + 60 * DAY)},
    }
    deployment.put_item("OPERATIONS_TABLE", item)


def store_version(deployment: Deployment, resource: str, ahead: float) -> dict[str, str]:
    """Store a version that arrived so many seconds after now; returns its item."""
    operation = operation_id(-ahead)
    body = sample_text("ahead")
    item = {"id": resource, "op": operation, "created_by": operation, "body": body}
    deployment.put_item("RESOURCES_TABLE", {name: {"S": value} for name, value in item.items()})
    return item


def store_claim(
    deployment: Deployment,
    resource: str,
    key: str,
    body: bytes,
    operation: str,
    valid_for: int = DAY,
) -> str:
    """Claim a key for an unconditional PUT by nobody in particular; returns the claim's id."""
    claim = f"key#{_hash('', resource, key)}"
    item = {
        "id": {"S": claim},
        "fingerprint": {"S": _hash("PUT", resource, "", body.decode())},
        "op": {"S": operation},
        "expires_at": {"N": str(int(time.time()) + valid_for)},
    }
    deployment.put_item("OPERATIONS_TABLE", item)
    return claim


def _hash(*parts: str) -> str:
    """SHA-256 of the parts, each behind its length."""
    encoded = (part.encode() for part in parts)
    return hashlib.sha256(b"".join(len(part).to_bytes(8) + part for part in encoded)).hexdigest()
