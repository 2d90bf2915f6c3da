"""Operation ids, receipts and claims as the functions make them, made anew here."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
import uuid

from deployment import Deployment

DAY = 24 * 60 * 60


def operation_id(age: float = 0) -> str:
    """A UUIDv7 of so many seconds ago."""
    ms = int((time.time() - age) * 1000)
    return str(uuid.UUID(int=ms << 80 | 7 << 76 | secrets.randbits(12) << 64 | 2 << 62 | secrets.randbits(62)))


def receipt(deployment: Deployment, user: str, operation: str) -> str:
    """The operation id, signed for the user with the deployment's own key."""
    key = deployment.variables("READ")["RECEIPT_KEY"].encode()
    id_bytes = uuid.UUID(operation).bytes
    mac = hmac.digest(key, user.encode() + id_bytes, "sha256")[:12]
    return base64.urlsafe_b64encode(id_bytes + mac).decode().rstrip("=")


def store_outcome(deployment: Deployment, user: str, operation: str, outcome: str, problem: object = None) -> None:
    """Store an outcome; one with a problem is provisional, as bury writes it."""
    now = time.time()
    item: dict[str, object] = {
        "id": {"S": operation},
        "user": {"S": user},
        "outcome": {"S": outcome},
        "completed_at": {"N": str(int(now * 1000))},
        "expires_at": {"N": str(int(now) + 45 * DAY)},
    }
    if problem is not None:
        item |= {"problem": {"S": json.dumps(problem)}, "provisional": {"BOOL": True}}
    deployment.dynamodb.put_item(TableName=deployment.environment["OPERATIONS_TABLE"], Item=item)


def store_claim(deployment: Deployment, user: str, key: str, body: bytes, operation: str, valid_for: int = DAY) -> str:
    """Claim a key for an unconditional PUT by nobody in particular; returns the claim's id."""
    claim = f"key#{_hash('', user, key)}"
    item = {
        "id": {"S": claim},
        "fingerprint": {"S": _hash("PUT", user, "", body.decode())},
        "op": {"S": operation},
        "expires_at": {"N": str(int(time.time()) + valid_for)},
    }
    deployment.dynamodb.put_item(TableName=deployment.environment["OPERATIONS_TABLE"], Item=item)
    return claim


def _hash(*parts: str) -> str:
    """SHA-256 of the parts, each behind its length."""
    encoded = (part.encode() for part in parts)
    return hashlib.sha256(b"".join(len(part).to_bytes(8) + part for part in encoded)).hexdigest()
