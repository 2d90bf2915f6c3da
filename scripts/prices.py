"""What a million accepted PUTs cost, here and in the ways the README compares.

    python3 -m scripts.prices

List prices of us-east-1 in US dollars, as of November 2026, without free tiers. Counted are
requests, messages, writes and transitions of bodies up to 1 KB; not the functions' running
time, reads of the status, logs and data transfer, which depend on what you do.
"""

from __future__ import annotations

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


def main() -> None:
    """Print them."""
    for way, price in PRICES.items():
        print(f"{price:6.2f}  {way}")


if __name__ == "__main__":
    main()
