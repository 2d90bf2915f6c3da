"""What the author of a Python client does with the package from openapi-python-client.

For tests/deployed/test_clients.py, which generates `users_client` first.
"""

import json
import os
import time
import uuid
from typing import Any

from users_client import Client
from users_client.api.operations import cancel_operation, get_operation, head_operation
from users_client.api.users import delete_user, get_user, head_user, put_user
from users_client.models import Operation, Problem, User
from users_client.models.put_user_if_none_match import PutUserIfNoneMatch

client = Client(base_url=os.environ["API_URL"])
name = f"test-{uuid.uuid4()}"


def body(number: int) -> Any:
    """A body that differs from those with another number."""
    return json.loads(os.environ["BODY"].replace("VALUE", str(number)))


def put(content: Any, **fields: Any) -> Any:
    """PUT the user, with header fields."""
    return put_user.sync_detailed(name, client=client, body=User.from_dict(content), **fields)


def end_of(accepted: Operation) -> Any:
    """The status of a deferred operation once it is final."""
    while True:
        answer = get_operation.sync_detailed(name, accepted.receipt, client=client)
        if "retry-after" not in answer.headers:
            return answer.parsed
        time.sleep(int(answer.headers["retry-after"]))


created = put(body(1), if_none_match=PutUserIfNoneMatch.VALUE_0)
assert created.status_code == 201 and isinstance(created.parsed, User), created
assert created.parsed.to_dict() == body(1), created
first = created.headers["etag"]

replaced = put(body(2), if_match=first, idempotency_key=f'"{uuid.uuid4()}"')
assert replaced.status_code == 200 and replaced.parsed.to_dict() == body(2), replaced

accepted = put(body(3), prefer="respond-async")
assert accepted.status_code == 202 and isinstance(accepted.parsed, Operation), accepted
assert accepted.parsed.status == "pending", accepted
assert accepted.parsed.self_ == accepted.headers["location"], accepted
done = end_of(accepted.parsed)
assert done.status == "succeeded" and done.completed_at >= done.accepted_at, done

refused = put(body(4), if_match=first)
assert refused.status_code == 412 and isinstance(refused.parsed, Problem), refused
assert (refused.parsed.field, refused.parsed.etag) == ("If-Match", done.etag), refused

failed = end_of(put(body(4), if_match=first, prefer="respond-async").parsed)
assert failed.status == "failed" and failed.error.status == 412, failed

known = get_user.sync_detailed(name, client=client, if_none_match=done.etag)
assert known.status_code == 304 and known.parsed is None, known
read = get_user.sync_detailed(name, client=client)
assert isinstance(read.parsed, User) and read.parsed.to_dict() == body(3), read

absent = get_user.sync_detailed(f"{name}-absent", client=client)
assert absent.status_code == 404 and isinstance(absent.parsed, Problem), absent
assert str(absent.parsed.type_).endswith(":not-found"), absent
assert isinstance(absent.parsed.request_id, str), absent
# API Gateway's own answer has no type.
unrouted = get_user.sync_detailed("a/b", client=client)
assert unrouted.status_code == 404 and not unrouted.parsed.type_, unrouted
assert unrouted.parsed["message"], unrouted

head = head_user.sync_detailed(name, client=client)
assert head.status_code == 200 and head.headers["etag"] == done.etag, head
receipt = accepted.parsed.receipt
assert head_operation.sync_detailed(name, receipt, client=client).status_code == 200
assert head_user.sync_detailed(f"{name}-absent", client=client).status_code == 404

too_late = cancel_operation.sync_detailed(name, receipt, client=client)
assert too_late.status_code == 409 and isinstance(too_late.parsed, Problem), too_late
assert too_late.parsed.self_ == accepted.headers["location"], too_late
# At the same time as apply: it is cancelled, or already carried out.
taken_back = put(body(5), prefer="respond-async").parsed
cancelled = cancel_operation.sync_detailed(name, taken_back.receipt, client=client)
assert cancelled.status_code in (200, 409), cancelled
assert end_of(taken_back).status == ("cancelled" if cancelled.status_code == 200 else "succeeded")

later = delete_user.sync_detailed(name, client=client, prefer="respond-async")
assert later.status_code == 202 and isinstance(later.parsed, Operation), later
gone = end_of(later.parsed)
assert gone.status == "succeeded" and not gone.etag, gone
assert get_user.sync_detailed(name, client=client).status_code == 404
deleted = delete_user.sync_detailed(name, client=client)
assert deleted.status_code == 204 and deleted.parsed is None, deleted
print("ok")
