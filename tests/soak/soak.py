#!/usr/bin/env python3
"""The soak: thousands of PUTs of every kind under random faults, and then the account of each.

    make soak                     10,000 deferred PUTs and those of the other kinds, on a stack of its own
    make soak SEED=7              the plan of another run once more
    make soak SOAK="--deferred 500 --users 20"

The plan (what is sent, and which fault comes when) follows from the seed; how the threads
and processes interleave does not.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import datetime
import itertools
import os
import random
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from check import Evidence, Findings, check, figures
from client import Answer
from deployment import ROOT, Deployment, Queue, stack_command
from function_processes import kill_one, pids_of
from history import History, Item
from microburst import BROKEN, LOST_REPLY, THROTTLED, Services, between, late, rule, visibility
from plan import (
    BREAK,
    DELAY,
    DUPLICATE,
    DYNAMODB_GONE,
    KILL_APPLY,
    KILL_PUT,
    LONGEST_DELAY,
    LOSE_REPLY,
    SQS_GONE,
    THROTTLE,
    Fault,
    Plan,
    plan,
)
from polling import until
from sent import Sent, send

OWN_STACK = ROOT / ".local" / "soak"
THREADS = 8
# Instead of the template's 180: what a killed process had comes back after this.
VISIBILITY_SECONDS = 6


class Soak:
    """One run."""

    def __init__(self, deployment: Deployment, services: Services, what: Plan) -> None:
        self._deployment = deployment
        self._services = services
        self._plan = what
        self._history = History(deployment)
        self._sent: list[Sent] = []
        self._newest: dict[str, str] = {}
        self._lock = threading.Lock()
        self._started = time.monotonic()
        self.faults: collections.Counter[str] = collections.Counter()
        self.seconds: dict[str, float] = {}

    def run(self) -> Evidence:
        """Send, let the queue drain, and read what is left."""
        with self._phase("sending"):
            self._send_all()
        with self._phase("draining"):
            self._drain()
        with self._phase("reading"):
            return self._read()

    @contextlib.contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self.seconds[name] = time.monotonic() - began

    # Sending

    def _send_all(self) -> None:
        requests = iter(self._plan.requests)
        position = 0
        moved = threading.Condition()
        done = threading.Event()

        def sender() -> None:
            nonlocal position
            while True:
                with moved:
                    request = next(requests, None)
                    if request is None:
                        return
                    position = request.number
                    moved.notify_all()
                sent = send(self._deployment.api, request, self._newest.get(request.user), time.monotonic)
                with self._lock:
                    self._sent.append(sent)
                    if sent.operation is not None:
                        self._newest[request.user] = sent.operation
                    if len(self._sent) % 1000 == 0:
                        self._say(f"{len(self._sent)} of {len(self._plan.requests)} answered")

        def saboteur() -> None:
            for fault in self._plan.faults:
                with moved:
                    moved.wait_for(lambda: position >= fault.at or done.is_set())  # noqa: B023
                if done.is_set():
                    return
                self._inject(fault)

        villain = threading.Thread(target=saboteur)
        villain.start()
        try:
            with ThreadPoolExecutor(THREADS) as pool:
                for work in [pool.submit(sender) for _ in range(THREADS)]:
                    work.result()
        finally:
            done.set()
            with moved:
                moved.notify_all()
            villain.join()

    def _inject(self, fault: Fault) -> None:
        self.faults[fault.kind] += 1
        proxy = self._services.dynamodb
        if fault.call in ("SendMessage", "ChangeMessageVisibility"):
            proxy = self._services.sqs
        effects = {THROTTLE: THROTTLED, LOSE_REPLY: LOST_REPLY, BREAK: BROKEN, DELAY: late(fault.seconds)}
        if fault.kind in effects:
            if self.faults.total() % 20 == 0:
                proxy.clear()
            proxy.add(rule(effects[fault.kind], fault.call, fault.times) | {"ttl_s": 10})
        elif fault.kind == DUPLICATE:
            self._duplicate(fault)
        elif fault.kind in (KILL_APPLY, KILL_PUT):
            pids = pids_of(self._deployment, "APPLY" if fault.kind == KILL_APPLY else "PUT")
            for pid in random.Random(fault.choice).sample(pids, min(fault.times, len(pids))):
                kill_one(pid)
        else:
            gone = {DYNAMODB_GONE: self._services.dynamodb, SQS_GONE: self._services.sqs}[fault.kind]
            if fault.times == 1:
                with gone.gone():
                    time.sleep(fault.seconds)
            else:
                gone.clear()
                gone.add({"reset": True, "ttl_s": fault.seconds})
                time.sleep(fault.seconds)

    def _duplicate(self, fault: Fault) -> None:
        """Send the messages of accepted operations once more."""
        with self._lock:
            accepted = [sent for sent in self._sent if sent.is_accepted]
        for sent in random.Random(fault.choice).sample(accepted, min(fault.times, len(accepted))):
            values = {"version": "1", "operation": str(sent.operation), "user": sent.request.user}
            name, _, value = sent.precondition.partition(": ")
            if value:
                values["precondition"] = {
                    ("If-Match", True): "exists",
                    ("If-None-Match", True): "absent",
                }.get((name, value == "*"), value.strip('"'))
            self._deployment.queue.send(sent.request.body.decode(), values, sent.request.user)

    # The end

    def _drain(self) -> None:
        for proxy in (self._services.dynamodb, self._services.sqs):
            proxy.clear()
        # What is delayed still lands, and must do so before the account is made.
        time.sleep(LONGEST_DELAY + 1)
        dead_letters = Queue(self._deployment.sqs, self._deployment.environment["DEAD_LETTERS_QUEUE_URL"])
        until("empty queues", lambda: self._deployment.queue.size() + dead_letters.size(), lambda size: size == 0, 600)

    def _read(self) -> Evidence:
        accepted = [sent for sent in self._sent if sent.is_accepted]
        with ThreadPoolExecutor(THREADS) as pool:
            statuses = dict(pool.map(self._status, accepted))
        users = {request.user for request in self._plan.requests}

        def is_ours(item: Item | None) -> bool:
            return item is not None and (item.get("user") or item["id"]) in users

        return Evidence(
            self._sent,
            statuses,
            {item["id"]: item for item in self._scan("USERS_TABLE") if is_ours(item)},
            {item["id"]: item for item in self._scan("OPERATIONS_TABLE") if is_ours(item)},
            [write for write in self._history.writes("USERS_TABLE") if is_ours(write.new or write.old)],
            [write for write in self._history.writes("OPERATIONS_TABLE") if is_ours(write.new or write.old)],
        )

    def _status(self, sent: Sent) -> tuple[str, Any]:
        assert sent.answer is not None
        answer: Answer = self._deployment.api.status(sent.answer)
        if answer.status == 503:
            answer = self._deployment.api.status(sent.answer)
        return str(sent.operation), answer.json() if answer.status == 200 else None

    def _scan(self, table: str) -> Iterator[Item]:
        pages = self._deployment.dynamodb.get_paginator("scan").paginate(
            TableName=self._deployment.environment[table], ConsistentRead=True
        )
        for page in pages:
            for item in page["Items"]:
                yield {name: str(text) for name, value in item.items() for text in value.values()}

    def _say(self, text: str) -> None:
        print(f"[{time.monotonic() - self._started:7.1f}s] {text}", flush=True)


def soak(deployment: Deployment, services: Services, seed: int, deferred: int, users: int) -> Findings:
    """Run one, print its account, and return what is wrong."""
    what = plan(seed, deferred, users, uuid.uuid4().hex[:8])
    print(f"seed {seed}: {len(what.requests)} PUTs over {users} users, {len(what.faults)} faults, {THREADS} at a time")
    parked = Queue(deployment.sqs, deployment.environment["PARKED_QUEUE_URL"])
    parked_before = parked.size()
    with visibility(deployment, VISIBILITY_SECONDS):
        run = Soak(deployment, services, what)
        evidence = run.run()
    found = check(evidence)
    if parked.size() != parked_before:
        found.lost.append(f"{parked.size() - parked_before} messages are parked")
    print("faults:    " + ", ".join(f"{name} {count}" for name, count in sorted(run.faults.items())))
    print("seconds:   " + ", ".join(f"{name} {seconds:.0f}" for name, seconds in run.seconds.items()))
    for name, count in figures(evidence).items():
        print(f"{count:7} {name}")
    print(f"{len(evidence.user_writes):7} writes of users, {len(evidence.operation_writes)} of outcomes")
    for name, details in found.named().items():
        print(f"{len(details):7} {name}")
        for detail in itertools.islice(details, 20):
            print(f"        {detail}")
    return found


def main() -> int:
    """A stack of its own, or the running one that STACK_ENV names; returns the exit status."""
    parser = argparse.ArgumentParser(description="Thousands of PUTs under random faults, and the account of each.")
    parser.add_argument("--seed", default="", help="replay the plan of a run (default: a new one)")
    parser.add_argument("--deferred", type=int, default=10_000, help="how many deferred PUTs")
    parser.add_argument("--users", type=int, default=100)
    options = parser.parse_args()
    seed = int(options.seed) if options.seed else random.SystemRandom().randrange(1_000_000)
    print(f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC, seed {seed}", flush=True)
    running = os.environ.get("STACK_ENV")
    try:
        if not running:
            stack_command("down", OWN_STACK)
            done = stack_command("up", OWN_STACK, "--build", os.environ.get("BUILD", "release"))
            if done.returncode != 0:
                print(f"the stack did not come up:\n{done.stdout}", file=sys.stderr)
                return 3
        deployment = Deployment(Path(running) if running else OWN_STACK / "stack.env")
        with between(deployment) as services:
            found = soak(deployment, services, seed, options.deferred, options.users)
    finally:
        if not running:
            stack_command("down", OWN_STACK)
    return 1 if any(found.named().values()) else 0


if __name__ == "__main__":
    sys.exit(main())
