"""microburst (https://pypi.org/project/microburst/) between the functions and one service: a
process of its own that fails, delays and cuts off the calls it is told to.

The rules for one call are tried in their order, and the first that matches and is not
used up decides.
"""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from deployment import ROOT, Deployment
from polling import until

Rule = dict[str, Any]

# It does not pass `Host` on, so it must sign anew what it forwards: as MiniStack's root. What the
# functions' roles may do is tested without it, in tests/end_to_end.
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}

THROTTLED: Rule = {"error": {"code": "ThrottlingException", "status": 400}}
BROKEN: Rule = {"error": {"code": "InternalServerError", "status": 500}}
# The call is forwarded, and the connection closed before a byte of the reply's body.
LOST_REPLY: Rule = {"response": {"abort_bytes": 0}}

# The first call of a service makes it read that service's model, for longer than a call may take.
WARM_UP = {
    service: {
        "Authorization": f"AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/{service}/aws4_request",
        "Content-Type": "application/x-amz-json-1.0",
        "X-Amz-Target": target,
    }
    for service, target in (("dynamodb", "DynamoDB_20120810.ListTables"), ("sqs", "AmazonSQS.ListQueues"))
}


def late(seconds: float) -> Rule:
    """The call is forwarded after this time, whether its caller still waits or not."""
    return {"latency": seconds * 1000}


def slow_reply(seconds: float) -> Rule:
    """The call is forwarded at once, and a reply of two bytes ("{}") comes after this time."""
    return {"response": {"bandwidth_kbps": 2 / 1024 / seconds}}


def rule(effect: Rule, operation: str | None = None, times: int | None = None, user: str | None = None) -> Rule:
    """Treat calls so: of one operation, at most so many, or only the writes of one user."""
    made = dict(effect)
    if operation is not None:
        made["operation"] = operation
    if times is not None:
        made["times"] = times
    if user is not None:
        made["body"] = f"(Key || TransactItems[0].Update.Key).id.S == '{user}'"
    return made


class Microburst:
    """One proxy. It outlives its process: a stopped one comes back on the same port."""

    def __init__(self, service: str, upstream: str, log: Path) -> None:
        self._service = service
        self._upstream = upstream
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._open_before = 0
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = int(probe.getsockname()[1])
        self.start()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Listen, without rules."""
        python = str(ROOT / ".tools" / "microburst" / "bin" / "python")
        command = [python, "-m", "microburst", "--host", "127.0.0.1"]
        command += ["--port", str(self._port), "--upstream", self._upstream, "--resign"]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={"PATH": os.defpath} | KEYS
            )
        until("microburst listening", self._is_up)
        self._request("POST", "/", "{}", WARM_UP[self._service])

    def stop(self) -> None:
        """Refuse connections from now on, and cut those that are open."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    @contextlib.contextmanager
    def gone(self) -> Iterator[None]:
        """Nobody listens inside the block."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    @contextlib.contextmanager
    def rules(self, *rules: Rule) -> Iterator[None]:
        """These rules hold inside the block, and no other."""
        self._control("DELETE", "fired")
        self._open_before = self._open_calls()
        self._control("POST", "rules", list(rules))
        try:
            yield
        finally:
            self._control("POST", "rules", [])

    def add(self, *rules: Rule) -> None:
        """Add rules; for one that ends by itself (`times`, `ttl_s`)."""
        self._control("PATCH", "rules", list(rules))

    def clear(self) -> None:
        """Forget all rules."""
        self._control("POST", "rules", [])

    def fired(self) -> list[str]:
        """The operations of the calls that rules decided, since the block of `rules` began."""
        return [str(event["operation"]) for event in self._control("GET", "fired?limit=2000")]

    def until_fired(self, count: int = 1) -> None:
        """Wait until rules decided so many calls."""
        until("calls that fail", self.fired, lambda fired: len(fired) >= count)

    def until_landed(self) -> None:
        """Wait until every call since the block of `rules` began was answered by the service; for
        rules that forward what they treat."""
        until("the calls under way", self._open_calls, lambda count: count == self._open_before)

    def _open_calls(self) -> int:
        stats = self._control("GET", "stats")
        return int(stats["requests"]["total"]) - int(stats["upstream_latency_ms"]["n"])

    def _is_up(self) -> bool:
        try:
            return bool(self._control("GET", "health")["status"] == "ok")
        except OSError:
            return False

    def _control(self, method: str, path: str, body: Any = None) -> Any:
        text = None if body is None else json.dumps(body)
        status, reply = self._request(method, f"/_microburst/{path}", text)
        assert status == 200, (method, path, body, reply)
        return json.loads(reply)

    def _request(
        self, method: str, path: str, body: str | None, headers: Mapping[str, str] = MappingProxyType({})
    ) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()


@dataclasses.dataclass(frozen=True)
class Services:
    """What stands between the functions `put`, `read` and `apply`, and AWS."""

    dynamodb: Microburst
    sqs: Microburst


@contextlib.contextmanager
def between(deployment: Deployment) -> Iterator[Services]:
    """Put a proxy before each service. MiniStack sets AWS_ENDPOINT_URL itself, but not these two."""
    with contextlib.ExitStack() as after:
        proxies = []
        for name in ("dynamodb", "sqs"):
            log = deployment.local / "logs" / f"microburst-{name}.log"
            proxies.append(Microburst(name, deployment.endpoint, log))
            after.callback(proxies[-1].stop)
        made = Services(*proxies)
        variables = {"AWS_ENDPOINT_URL_DYNAMODB": made.dynamodb.url, "AWS_ENDPOINT_URL_SQS": made.sqs.url}
        after.enter_context(deployment.functions_use(variables))
        yield made


@contextlib.contextmanager
def visibility(deployment: Deployment, seconds: int) -> Iterator[None]:
    """Set the visibility timeout of the queue of updates."""

    def attribute(**change: str) -> str:
        if change:
            deployment.sqs.set_queue_attributes(QueueUrl=deployment.queue.url, Attributes=change)
        reply = deployment.sqs.get_queue_attributes(QueueUrl=deployment.queue.url, AttributeNames=["VisibilityTimeout"])
        return str(reply["Attributes"]["VisibilityTimeout"])

    before = attribute()
    attribute(VisibilityTimeout=str(seconds))
    try:
        yield
    finally:
        attribute(VisibilityTimeout=before)
