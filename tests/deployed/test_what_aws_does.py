"""What depends on AWS itself, told at the end of `make smoke` in place of being assumed."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import botocore.exceptions
import pytest

from .answers import problem_in
from .bodies import sample
from .client import DEFERRED, JSON, nobody
from .deployment import ROOT, Deployment
from .function_log import Run, runs, summary
from .polling import until
from .resources import any_id, new_resource, path_of, resource_in
from .service import Service
from .smoke import Stack, Tell

smoke = pytest.mark.smoke

# As Lambda writes them with LogFormat JSON, and those of the function between them.
LINES = """
{"time":"2026-11-25T10:00:00.150Z","type":"platform.start","record":{"requestId":"r-1"}}
{"timestamp":"2026-11-25T10:00:00.155Z","requestId":"r-1","resource":"a","message":"a call failed"}
{"timestamp":"2026-11-25T10:00:00.160Z","requestId":"r-1","resource":"a",\
"operation":"01a21225-d900-7000-8000-000000000001","WrittenInline":1}
{"type":"platform.report","record":{"requestId":"r-1","metrics":{"initDurationMs":40.2}}}
{"time":"2026-11-25T10:00:01.004Z","type":"platform.start","record":{"requestId":"r-2"}}
{"timestamp":"2026-11-25T10:00:01.030Z","requestId":"r-2","resource":"a",\
"operation":"01a21225-dce8-7000-8000-000000000002","Accepted":1}
{"type":"platform.report","record":{"requestId":"r-2","metrics":{"durationMs":5.0}}}
{"timestamp":"2026-11-25T10:00:01.100Z","requestId":"r-3","resource":"b",\
"operation":"01a21225-dce8-7000-8000-000000000003","WrittenInline":1}
no JSON
"""


def test_the_reading_of_a_log() -> None:
    found = runs(LINES.splitlines(), ["a"])
    assert found == [Run(160, 150, True), Run(30, 4, False)]
    assert summary(found) == (
        "to its start: warm 4 to 4 ms, p50 4, p99 4, of 1; "
        "cold 150 to 150 ms, p50 150, p99 150, of 1; "
        "to its decision: 30 to 160 ms, p50 160, p99 160, of 2"
    )
    own = [line for line in LINES.splitlines() if "platform" not in line]
    assert runs(own, ["b"]) == [Run(100)]
    assert summary(runs(own, ["b"])).startswith("to its start: Lambda did not log it; ")


@pytest.mark.smoke(turn=-1)
def test_the_template_is_valid(service: Service, tell: Tell) -> None:
    """Before anything is sent, as `sam validate` costs nothing."""
    if isinstance(service, Stack):
        line: list[str | Path] = [
            ROOT / ".tools" / "sam" / "bin" / "python",
            "-m",
            "scripts.stack",
            "validate",
        ]
        done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)
        tell(f"sam validate --lint: exit status {done.returncode}", done.returncode == 0)
        assert done.returncode == 0, done.stdout + done.stderr


@any_id
@smoke
@pytest.mark.parametrize("part", ["%3F", "%23", "%25", "%252F", "+", "%2B", "/"])
def test_what_becomes_of_a_path(service: Service, resource: str, tell: Tell, part: str) -> None:
    """The function sees the id that the client meant, or the PUT is refused: no gateway may make
    another id of it. The slash stands at the end.
    """
    sent = f"{resource}{part}" if part == "/" else f"{resource}{part}v2"
    answer = service.api.put(sent, sample(), DEFERRED)
    seen = None
    if answer.status == 202:
        seen = resource_in(answer.headers["location"].partition("/operations/")[0])
        service.end_of(answer)
    problem = answer.headers.get("content-type") == "application/problem+json"
    refused = f"refused by the {'function' if problem else 'gateway'}"
    what = f"the function saw the id {seen.replace(resource, 'ID')!r}" if seen else refused
    as_assumed = seen in (None, unquote(sent)) and answer.status < 500
    tell(f"{sent.replace(resource, 'ID')} in a path: {answer.status}, {what}", as_assumed)


@smoke
def test_a_quotation_mark_in_a_query(service: Service, resource: str, tell: Tell) -> None:
    """Signed as a client signs it that escapes it only there."""
    sign = service.api.credentials
    api = service.api.seen_by(lambda method, url, body: sign(method, url.replace('"', "%22"), body))
    answer = api.request("GET", f'{path_of(resource)}?"')
    tell(f'a raw " in a query: {answer.status}', answer.status < 500)


@smoke
def test_a_body_that_is_not_utf_8(service: Service, resource: str, tell: Tell) -> None:
    """It is refused, or kept as it is; never is another one stored."""
    body = b'{"name":"Ren\xe9"}'
    answer = service.api.put(resource, body)
    told = answer.json().get("detail") if answer.status >= 400 else "stored as it is"
    tell(f"a body that is not UTF-8: {answer.status}, {told}", answer.status in (200, 201, 400))
    if answer.status < 400:
        assert service.api.get(resource).body == body
    else:
        problem_in(answer, 400, "malformed-json")
        assert service.api.get(resource).status == 404


@smoke
def test_the_length_that_head_tells(service: Service, resource: str, tell: Tell) -> None:
    service.api.put(resource, sample(1))
    path = path_of(resource)
    lengths = [
        service.api.request(method, path).headers.get("content-length", "none")
        for method in ("GET", "HEAD")
    ]
    told = f"Content-Length of GET: {lengths[0]}; of HEAD: {lengths[1]}"
    tell(told, lengths[1] in ("none", lengths[0]))
    assert lengths[0] == str(len(sample()))


@smoke
def test_options(service: Service, resource: str, tell: Tell) -> None:
    preflight = {"Origin": service.origin, "Access-Control-Request-Method": "PUT"}
    for what, headers in (("a preflight", preflight), ("OPTIONS without Origin", JSON)):
        answer = service.api.seen_by(nobody).request("OPTIONS", path_of(resource), headers)
        fields = sorted(name for name in answer.headers if name.startswith("access-control-"))
        as_assumed = bool(fields) == ("Origin" in headers)
        told = f"{what}, unsigned: {answer.status}, {', '.join(fields) or 'no CORS fields'}"
        tell(told, as_assumed)
        assert answer.status < 500, answer


@contextlib.contextmanager
def queues(sqs: Any) -> Iterator[tuple[str, str]]:
    """A queue and its dead letters, which are deleted after the block."""
    name = f"test-{uuid.uuid4()}"
    soon = {"VisibilityTimeout": "1"}
    dead = sqs.create_queue(QueueName=f"{name}-dead", Attributes=soon)["QueueUrl"]
    try:
        reply = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])
        arn = reply["Attributes"]["QueueArn"]
        policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 2})
        attributes = {"RedrivePolicy": policy} | soon
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
        count = int(letter["Attributes"]["ApproximateReceiveCount"])
        told = "a message that was received twice has, as a dead letter, the receive count"
        tell(f"{told} {count}", count > 2)
        assert count >= 1
        arns = [
            sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]
            for queue in (dead, source)
        ]
        old, new = (arn["QueueArn"] for arn in arns)
        try:
            sqs.start_message_move_task(SourceArn=old, DestinationArn=new)
        except botocore.exceptions.ClientError as error:
            tell(f"moved back by StartMessageMoveTask: it cannot be tried here ({error})")
            return
        # Were the count kept, the message would not come but be dead at once.
        (back,) = until("the message that was moved", lambda: receive(source), bool, 120)
        count = int(back["Attributes"]["ApproximateReceiveCount"])
        tell(f"moved back by StartMessageMoveTask it has the receive count {count}", count == 1)


@smoke
def test_when_the_function_runs(service: Service, tell: Tell) -> None:
    """Several PUTs at a time, so that some meet a function that has to be started."""
    at_once, rounds = [new_resource() for _ in range(8)], 5
    with ThreadPoolExecutor(len(at_once)) as pool:
        for step in range(rounds):
            for answer in pool.map(service.api.put, at_once, [sample(step)] * len(at_once)):
                assert answer.status == (200 if step else 201), answer
    if not isinstance(service, Stack):
        return
    what = "from a PUT's arrival at the gateway to its function"
    found: list[Run] = []

    def is_complete() -> bool:
        found[:] = runs(service.log_of_put(), at_once)
        is_told_by_lambda = any(run.started is not None for run in found)
        return len(found) == rounds * len(at_once) and not (
            is_told_by_lambda and any(run.is_cold is None for run in found)
        )

    # The log of AWS takes some seconds.
    give_up = time.monotonic() + 60
    try:
        while not is_complete() and time.monotonic() < give_up:
            time.sleep(1)
    except botocore.exceptions.ClientError as error:
        tell(f"{what}: these credentials do not read the log of put ({error})")
        return
    # The clock of the gateway against that of the function: it cannot start before it is called.
    begun = [run.started if run.started is not None else run.decided for run in found]
    as_assumed = min(begun) > -1000 if begun else None
    tell(f"{what}: {summary(found) if found else 'the log of put does not tell'}", as_assumed)


@pytest.mark.smoke(turn=3)
def test_the_first_answer_after_a_while(service: Service, resource: str, tell: Tell) -> None:
    """A function thaws with connections that died meanwhile. IDLE=0 leaves it out."""
    idle = int(os.environ.get("IDLE") or 0)
    if not isinstance(service, Stack) or idle == 0:
        return
    service.api.put(resource, sample())
    time.sleep(idle)
    started = time.monotonic()
    first = service.api.put(resource, sample(2))
    between = time.monotonic()
    again = service.api.put(resource, sample(3))
    took = [f"{(between - started) * 1000:.0f} ms", f"{(time.monotonic() - between) * 1000:.0f} ms"]
    told = f"the first PUT after {idle} s without any: {first.status} in {took[0]}"
    tell(f"{told}; the next: {again.status} in {took[1]}", first.status == 200)
