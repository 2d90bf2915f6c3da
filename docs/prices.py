"""What a million requests cost, here and in the ways the README compares.

    python3 -m docs.prices

Requests, messages and capacity units, as tests/bench/calls.json has them counted at the wire
(`make -C tests/bench short` counts again); logs, traces, and what a month costs whatever the load
is. Not the running time, storage, backups and data transfer, which depend on what you do.
"""

import json
import math
import re
from pathlib import Path
from typing import Any

# For a million each: list prices of us-east-1 in US dollars, November 2026, without free tiers.
PRICE = {
    # https://aws.amazon.com/api-gateway/pricing/ (of up to 512 KB)
    "HTTP API request": 1.00,
    "REST API request": 3.50,
    # https://aws.amazon.com/lambda/pricing/
    "invocation": 0.20,
    "durable operation": 8.00,
    # https://aws.amazon.com/sqs/pricing/ (of up to 64 KB; fair: about messages with a group)
    "queue call": 0.40,
    "fair queue call": 0.50,
    # https://aws.amazon.com/dynamodb/pricing/on-demand/
    "write unit": 0.625,
    "read unit": 0.125,
    "stream read": 0.20,
    # https://aws.amazon.com/eventbridge/pricing/ (what passes the filter)
    "pipe event": 0.40,
    # https://aws.amazon.com/sns/pricing/ (one at a time)
    "notification": 0.50,
    # https://aws.amazon.com/step-functions/pricing/
    "state transition": 25.00,
    # https://aws.amazon.com/cloudwatch/pricing/ (taken in; kept for LogRetentionDays it is little)
    "KB of log": 0.50,
    # https://aws.amazon.com/xray/pricing/ (recorded)
    "trace": 5.00,
}

# For a month each: https://aws.amazon.com/cloudwatch/pricing/ (an alarm on an expression: each
# metric in it), https://aws.amazon.com/secrets-manager/pricing/
METRIC, METRIC_OF_AN_ALARM, DASHBOARD, SECRET = 0.30, 0.10, 3.00, 0.40
# Of 20 s by five pollers, of two queues; that it is five of them is not confirmed.
POLLS = 2 * 5 * 3 * 60 * 24 * 30
# Of the stream, four times a second; that a new table has four shards is not confirmed.
STREAM_READS = 4 * 4 * 60 * 60 * 24 * 30

# Bytes of a line, with the 26 that CloudWatch adds to each. Those of Lambda are at most that long,
# with a trace (https://docs.aws.amazon.com/lambda/latest/dg/telemetry-schema-reference.html).
LINE = {"of the API": 220, "start": 284, "report": 383}
LINE |= {"wrote": 460, "queued": 446, "applied": 512, "batch": 410}

BILLED_KIB = 64  # of a call of SQS
RECEIVED = 10  # messages that Lambda receives, and deletes, with one call

ROOT = Path(__file__).resolve().parents[1]
TEMPLATE = (ROOT / "template.yaml").read_text()
CALLS = json.loads((ROOT / "tests" / "bench" / "calls.json").read_text())
COUNTED: dict[tuple[str, int], dict[str, Any]] = {
    (line["kind"], line["body"]): line for line in CALLS
}
SIZES = sorted({body for _, body in COUNTED})
SMALL = SIZES[0]
TOGETHER = (1, 10, 100)


# How many there are of each item of PRICE.
Bill = dict[str, float]


def total(*bills: Bill) -> Bill:
    """What all of them ask for."""
    items = [item for item in PRICE if any(item in bill for bill in bills)]
    return {item: sum(bill.get(item, 0) for bill in bills) for item in items}


def price(bill: Bill) -> float:
    """Of a million such bills."""
    return sum(PRICE[item] * count for item, count in bill.items())


def calls_for(messages: int, body: int) -> int:
    """As how many calls one counts that carries so many messages."""
    kib: int = COUNTED["deferred", body]["message_kib"]
    return math.ceil(messages * kib / BILLED_KIB)


def consumed(kind: str, body: int) -> Bill:
    """The capacity units of the tables."""
    counted = COUNTED[kind, body]
    return {"write unit": counted["write_units"], "read unit": counted["read_units"]}


def request(kind: str) -> Bill:
    """A request with a small body, its function, and what that calls."""
    sent = COUNTED[kind, SMALL]["calls"].get("SendMessage", 0) * calls_for(1, SMALL)
    bill: Bill = {"HTTP API request": 1, "invocation": 1, "fair queue call": sent}
    return bill | consumed(kind, SMALL)


def applied(body: int = SMALL, batch: int = 10, together: int = 1) -> Bill:
    """A message from the queue into the tables, with `together` of one user in a batch."""
    units = consumed(f"batch of {batch}, {together} together", body)
    received_and_deleted = calls_for(RECEIVED, body) + 1
    bill = {"invocation": 1 / batch, "fair queue call": received_and_deleted / RECEIVED}
    return bill | {unit: count / batch for unit, count in units.items()}


HERE = {
    "PUT, now": request("inline"),
    "PUT, now, with a key": request("keyed"),
    "PUT, `wait=5`, written in time": request("wait"),
    "PUT, later": total(request("deferred"), applied()),
    "PUT, later, with a key": total(request("keyed, deferred"), applied()),
    "GET of a user": request("get"),
    "GET of a status": request("status"),
}


def log_of(way: str) -> float:
    """What the log of a million requests costs that come in a way of HERE."""
    lines = ["of the API", "start", "report"]
    if "PUT" in way:
        lines += ["queued", "applied"] if "later" in way else ["wrote"]
    size: float = sum(LINE[line] for line in lines)
    if "later" in way:
        size += (LINE["start"] + LINE["report"] + LINE["batch"]) / RECEIVED
    return price({"KB of log": size / 1000})


def traces_of(way: str, rate: float) -> float:
    """What the traces of a million cost with Tracing=Active, at so many requests a second: Lambda
    records one a second and 5 % of the rest, of each function.

    https://docs.aws.amazon.com/lambda/latest/dg/services-xray.html
    """
    share = min(1, (1 + 0.05 * (rate - 1)) / rate)
    return price({"trace": HERE[way]["invocation"] * share})


def fixed() -> float:
    """What a month costs without a request, and without a topic."""
    ours = set(re.findall(r'\["async-put", "(\w+)"', TEMPLATE))
    alarms = METRIC_OF_AN_ALARM * watched(with_topic=False)
    polls = price({"queue call": POLLS / 1_000_000})
    return METRIC * len(ours) + alarms + DASHBOARD + SECRET + polls


def publishing() -> float:
    """What a month costs more with a topic."""
    reads = price({"stream read": STREAM_READS / 1_000_000})
    return METRIC_OF_AN_ALARM * watched(with_topic=True) + reads


def watched(*, with_topic: bool) -> int:
    """How many metrics the alarms watch that are always there, or only with a topic."""
    resources = re.split(r"^  (?=\w+:$)", TEMPLATE, flags=re.MULTILINE)
    chosen = [each for each in resources if ("    Condition: " in each) == with_topic]
    return sum(len(re.findall(r"^ +Namespace: ", each, re.MULTILINE)) for each in chosen)


# A message is sent alone, received and deleted with others, whose function is invoked once.
QUEUE: Bill = {"queue call": 1 + 2 / RECEIVED, "invocation": 1 / RECEIVED}
FUNCTION: Bill = {"invocation": 1}
API: Bill = {"HTTP API request": 1, "write unit": 1}

ELSEWHERE: dict[str, Bill] = {
    "HTTP API to SQS": total(API, QUEUE),
    "two functions and a queue": total(API, FUNCTION, QUEUE),
    # An HTTP API does not invoke asynchronously; a REST API does.
    "asynchronous invocation": {"REST API request": 1, "invocation": 1, "write unit": 1},
    # A workflow of one task: its start, and the task.
    "Step Functions, Standard": API | {"state transition": 2},
    # One that accepts, one that is durable: its start, and one step.
    "durable function": API | {"invocation": 2, "durable operation": 2},
}


def requests() -> str:
    """The table of docs/deploying.md."""
    items = ("invocation", "fair queue call", "write unit", "read unit")
    counted = "| a million of | invocations | calls of SQS | write units | read units | price |"
    lines = [f"{counted} + logs | + traces, at 1/s | at 100/s |", "|---|" + "--:|" * 8]
    for way, bill in HERE.items():
        counts = "".join(f" {bill.get(item, 0):.3g} |" for item in items)
        prices = price(bill), log_of(way), traces_of(way, 1), traces_of(way, 100)
        lines.append(f"| {way} |{counts}" + "".join(f" ${each:.2f} |" for each in prices))
    for what, costs in (
        ("outcome that is published", price({"pipe event": 1, "notification": 1})),
        ("each month, at any load", fixed()),
        ("and with `OutcomeTopicArn`", publishing()),
    ):
        lines.append(f"| {what} | | | | | ${costs:.2f} | | | |")
    return "\n".join(lines) + "\n"


def batches() -> str:
    """The table of docs/performance.md: updates in batches of 100, k of one user in each."""
    heads = "".join(f" *k* = {together} |" for together in TOGETHER)
    lines = [f"| body |{heads}", "|--:|" + "--:|" * len(TOGETHER)]
    for body in SIZES:
        prices = (price(applied(body, 100, together)) for together in TOGETHER)
        lines.append(f"| {body:,} B |" + "".join(f" ${price:.2f} |" for price in prices))
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(requests())
    print(batches())
    for way, bill in ELSEWHERE.items():
        print(f"${price(bill):5.2f}  {way}")
