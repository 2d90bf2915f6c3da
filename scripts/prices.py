"""What a million accepted PUTs cost, here and in the ways the README compares.

    python3 -m scripts.prices

List prices of us-east-1 in US dollars, as of November 2026, without free tiers. Counted are
requests, messages, writes and transitions of bodies up to 1 KB; not the functions' running
time, reads of the status, logs and data transfer, which depend on what you do.
"""

from __future__ import annotations

import math

# For a million each.
HTTP_API = 1.00
REST_API = 3.50
INVOCATION = 0.20
SQS_CALL = 0.40
WRITE = 0.625
TRANSACTIONAL_WRITE = 2 * WRITE
STATE_TRANSITION = 25.00
DURABLE_OPERATION = 8.00

BATCH = 10  # messages for one invocation of apply
# A message is sent alone, received and deleted with others, whose function is invoked once.
QUEUED = SQS_CALL + (2 * SQS_CALL + INVOCATION) / BATCH

PRICES = {
    "here, now": HTTP_API + INVOCATION + WRITE,
    "here, later": HTTP_API + INVOCATION + QUEUED + 2 * TRANSACTIONAL_WRITE,
    "HTTP API to SQS": HTTP_API + QUEUED + WRITE,
    "two functions and a queue": HTTP_API + INVOCATION + QUEUED + WRITE,
    # An HTTP API does not invoke asynchronously; a REST API does.
    "asynchronous invocation": REST_API + INVOCATION + WRITE,
    # A workflow of one task: its start, and the task.
    "Step Functions, Standard": HTTP_API + 2 * STATE_TRANSITION + WRITE,
    # One that accepts, one that is durable: its start, and one step.
    "durable function": HTTP_API + 2 * INVOCATION + 2 * DURABLE_OPERATION + WRITE,
}

# docs/performance.md: batches of so many messages, k of them of one user, and KB of a body.
LARGE_BATCH = 100
TOGETHER = (1, 10, 100)
SIZES = (1, 10, 100)
# What one transaction decides: MAX_DECIDED_AT_ONCE in crates/rules/src/work/batch.rs.
DECIDED_AT_ONCE = 99


def applied(together: int, size: int, batch: int = LARGE_BATCH) -> float:
    """A million updates from the queue into the tables, `together` of one user in a batch.

    Lambda receives and deletes ten messages with one call, also for larger batches.
    """
    writes_of_users = math.ceil(together / DECIDED_AT_ONCE) / together
    writes = TRANSACTIONAL_WRITE * (size * writes_of_users + 1)
    return 2 * SQS_CALL / 10 + INVOCATION / batch + writes


def batches() -> str:
    """The table of docs/performance.md."""
    head = "| body |" + "".join(f" *k* = {together} |" for together in TOGETHER) + "\n"
    lines = [head, "|--:|" + "--:|" * len(TOGETHER) + "\n"]
    for size in SIZES:
        cells = "".join(f" ${applied(together, size):.2f} |" for together in TOGETHER)
        lines.append(f"| {size} KB |{cells}\n")
    return "".join(lines)


def main() -> None:
    """Print them."""
    for way, price in PRICES.items():
        print(f"{price:6.2f}  {way}")
    print(f"\nA million updates in batches of {LARGE_BATCH}, k of one user in each:\n")
    print(batches(), end="")


if __name__ == "__main__":
    main()
