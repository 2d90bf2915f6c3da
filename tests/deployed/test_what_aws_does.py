"""What depends on AWS itself, told at the end of `make smoke` in place of being assumed."""

from __future__ import annotations

import contextlib
import json
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import botocore.exceptions
import pytest

from .answers import problem_in
from .bodies import sample
from .client import JSON, nobody
from .deployment import Deployment
from .function_log import Start, starts, summary
from .polling import until
from .service import Service
from .smoke import Stack

Tell = Callable[[str], None]
smoke = pytest.mark.smoke

# As Lambda writes them with LogFormat JSON, and those of the function between them.
LINES = """
{"time":"2026-11-25T10:00:00.150Z","type":"platform.start","record":{"requestId":"r-1"}}
{"requestId":"r-1","operation":"01a21225-d900-7000-8000-000000000001"}
{"type":"platform.report","record":{"requestId":"r-1","metrics":{"initDurationMs":40.2}}}
{"time":"2026-11-25T10:00:01.004Z","type":"platform.start","record":{"requestId":"r-2"}}
{"requestId":"r-2","operation":"01a21225-dce8-7000-8000-000000000002"}
{"type":"platform.report","record":{"requestId":"r-2","metrics":{"durationMs":5.0}}}
{"requestId":"r-3","operation":"01a21225-dce8-7000-8000-000000000003"}
no JSON
"""


def test_the_reading_of_a_log() -> None:
    found = starts(LINES.splitlines())
    assert found == [Start(150, True), Start(4, False)]
    assert summary(found) == "1 warm, p50 4 ms, p99 4 ms, 1 cold, at most 150 ms"


@smoke
def test_a_body_that_is_not_utf_8(service: Service, user: str, tell: Tell) -> None:
    """It is refused, or kept as it is; never is another one stored."""
    body = b'{"name":"Ren\xe9"}'
    answer = service.api.put(user, body)
    told = answer.json().get("detail") if answer.status >= 400 else "stored as it is"
    tell(f"a body that is not UTF-8: {answer.status}, {told}")
    if answer.status < 400:
        assert service.api.get(user).body == body
    else:
        problem_in(answer, 400, "malformed-json")
        assert service.api.get(user).status == 404


@smoke
def test_the_length_that_head_tells(service: Service, user: str, tell: Tell) -> None:
    service.api.put(user, sample(1))
    path = f"/users/{user}"
    lengths = [
        service.api.request(method, path).headers.get("content-length", "none")
        for method in ("GET", "HEAD")
    ]
    tell(f"Content-Length of GET: {lengths[0]}; of HEAD: {lengths[1]}")
    assert lengths[0] == str(len(sample()))


@smoke
def test_options(service: Service, user: str, tell: Tell) -> None:
    preflight = {"Origin": service.origin, "Access-Control-Request-Method": "PUT"}
    for what, headers in (("a preflight", preflight), ("OPTIONS without Origin", JSON)):
        answer = service.api.seen_by(nobody).request("OPTIONS", f"/users/{user}", headers)
        fields = sorted(name for name in answer.headers if name.startswith("access-control-"))
        tell(f"{what}, unsigned: {answer.status}, {', '.join(fields) or 'no CORS fields'}")
        assert answer.status < 500, answer


@contextlib.contextmanager
def queues(sqs: Any) -> Iterator[tuple[str, str]]:
    """A queue and its dead letters, which are deleted after the block."""
    name = f"test-{uuid.uuid4()}"
    dead = sqs.create_queue(QueueName=f"{name}-dead")["QueueUrl"]
    try:
        reply = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])
        arn = reply["Attributes"]["QueueArn"]
        policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 2})
        attributes = {"RedrivePolicy": policy, "VisibilityTimeout": "1"}
        source = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        try:
            yield source, dead
        finally:
            sqs.delete_queue(QueueUrl=source)
    finally:
        sqs.delete_queue(QueueUrl=dead)


@smoke
def test_the_receive_count_of_a_dead_letter(service: Service, tell: Tell) -> None:
    """By two queues of its own, since the template's moves a message after 350 receives."""
    assert isinstance(service, Deployment | Stack)
    sqs = service.client("sqs")

    def receive(queue: str) -> list[Any]:
        reply = sqs.receive_message(
            QueueUrl=queue, AttributeNames=["ApproximateReceiveCount"], WaitTimeSeconds=1
        )
        return list(reply.get("Messages", []))

    with contextlib.ExitStack() as stack:
        try:
            source, dead = stack.enter_context(queues(sqs))
        except botocore.exceptions.ClientError as error:
            tell(f"the receive count of a dead letter: these credentials make no queue ({error})")
            return
        sqs.send_message(QueueUrl=source, MessageBody="x")

        def letters() -> list[Any]:
            receive(source)
            return receive(dead)

        (letter,) = until("the dead letter", letters, bool, 60)
        count = letter["Attributes"]["ApproximateReceiveCount"]
        tell(f"a message that was received twice has, as a dead letter, the receive count {count}")
        assert int(count) >= 1


@smoke
def test_when_the_function_runs(service: Service, user: str, tell: Tell) -> None:
    """The time of an operation's id is when the gateway took its request."""
    for step in range(20):
        assert service.api.put(user, sample(step)).status in (200, 201)
    if not isinstance(service, Stack):
        return
    what = "from a PUT's arrival at the gateway to its function"
    try:
        logs = service.client("logs")
        put = service.client("lambda").get_function_configuration(
            FunctionName=service.outputs["PutFunction"]
        )
        pages = logs.get_paginator("filter_log_events")
        # The log of AWS takes some seconds.
        give_up = time.monotonic() + (60 if ".amazonaws.com" in logs.meta.endpoint_url else 2)
        found: list[Start] = []
        while len(found) < 20 and time.monotonic() < give_up:
            time.sleep(1)
            events = pages.paginate(
                logGroupName=put["LoggingConfig"]["LogGroup"], startTime=int(service.started * 1000)
            )
            found = starts(event["message"] for page in events for event in page["events"])
    except (botocore.exceptions.ClientError, KeyError) as error:
        tell(f"{what}: these credentials do not read the log of put ({error})")
        return
    tell(f"{what}: {summary(found) if found else 'the log of put does not tell'}")
