"""The deployed stack, seen from outside: its API, and its tables, queues and functions.

boto3 is not the Rust SDK of the functions, so it reads what any other
program would read.
"""

import contextlib
import json
import os
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from scripts.environment import port_of, settings_in
from scripts.ministack import ALIAS, Deployed
from scripts.processes import found

from .client import Api
from .queues import Queue
from .resources import ROOT
from .service import Service, until
from .shell import run

# The binary by the function's logical id in the template.
FUNCTIONS = {f"{name.capitalize()}Function": name for name in ("put", "read", "apply", "park")}


class Deployment(Service):
    """One running stack, as its stack.env describes it."""

    def __init__(self, environment_file: Path) -> None:
        self.environment = settings_in(environment_file)
        self.local = environment_file.resolve().parent
        self.endpoint = self.environment["AWS_ENDPOINT_URL"]
        super().__init__(Api(self.environment["API_URL"]))
        self.stack = Deployed(port_of(self.environment), self.environment["STACK_NAME"])
        self.client = self.stack.client
        self._dynamodb = self.client("dynamodb")
        sqs = self.client("sqs")
        self.queue, self.dead_letters, self.parked = (
            Queue(sqs, self.environment[f"{name}_QUEUE_URL"])
            for name in ("UPDATES", "DEAD_LETTERS", "PARKED")
        )
        self._bell = Queue(sqs, sqs.create_queue(QueueName="tests-bell")["QueueUrl"])
        (self.event_source,) = self.client("lambda").list_event_source_mappings(
            FunctionName=self.environment["APPLY_FUNCTION"]
        )["EventSourceMappings"]

    def update(self, **parameters: str) -> Self:
        """Update the stack to these parameters, with defaults for the others; returns it."""
        words = " ".join(f"{name}={value}" for name, value in parameters.items())
        words = f"{os.environ.get('PARAMETERS', '')} {words}"
        python, place = ROOT / ".tools" / "sam" / "bin" / "python", ("--local-dir", self.local)
        run(python, "-m", "scripts.stack", "up", "--port", "0", *place, "--parameters", words)
        return type(self)(self.local / "stack.env")

    def resource(self, resource: str) -> dict[str, str] | None:
        """The item of a resource."""
        name = self.environment["RESOURCES_TABLE"]
        item = self._dynamodb.get_item(TableName=name, Key={"id": {"S": resource}}).get("Item")
        return item and {name: str(text) for name, value in item.items() for text in value.values()}

    def forget(self, resource: str) -> None:
        """Delete the item of a resource."""
        name = self.environment["RESOURCES_TABLE"]
        self._dynamodb.delete_item(TableName=name, Key={"id": {"S": resource}})

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Inside the block, `apply` gets no messages."""
        self._deliver(False)
        try:
            yield
        finally:
            self._deliver(True)
            # A message to any queue makes MiniStack look at all queues at once. Without one it may
            # wait for a second.
            self._bell.send(".", {}, "bell")

    def _deliver(self, enabled: bool) -> None:
        functions, source = self.client("lambda"), {"UUID": self.event_source["UUID"]}
        functions.update_event_source_mapping(**source, Enabled=enabled)
        until(
            "the event source mapping",
            lambda: functions.get_event_source_mapping(**source)["State"],
            lambda state: state == ("Enabled" if enabled else "Disabled"),
        )

    @contextlib.contextmanager
    def functions_use(self, variables: Mapping[str, str]) -> Iterator[None]:
        """Add variables to every function's environment, and restore it after the block."""
        names = [self.environment[f"{binary.upper()}_FUNCTION"] for binary in FUNCTIONS.values()]
        before = {name: self.stack.variables(name) for name in names}
        try:
            for name in names:
                self.stack.set_variables(name, before[name] | dict(variables))
            yield
        finally:
            for name in names:
                self.stack.set_variables(name, before[name])

    def variables(self, function: str) -> dict[str, str]:
        """The environment of a function such as READ."""
        return self.stack.variables(self.environment[f"{function}_FUNCTION"])

    def invoke(self, function: str, event: Path) -> Any:
        """Invoke a function such as PUT with an event; returns its result."""
        reply = self.client("lambda").invoke(
            FunctionName=self.environment[f"{function}_FUNCTION"],
            Qualifier=ALIAS,
            Payload=event.read_bytes(),
        )
        result = json.loads(reply["Payload"].read())
        assert "FunctionError" not in reply, result
        return result

    def kill(self, function: str) -> int:
        """SIGKILL every process of a function such as APPLY; returns their number."""
        count = 0
        name = f"AWS_LAMBDA_FUNCTION_NAME={self.environment[f'{function}_FUNCTION']}\0".encode()
        for pid in found(self.local / "logs" / "ministack.log"):
            with contextlib.suppress(OSError):
                if name in Path(f"/proc/{pid}/environ").read_bytes():
                    os.kill(pid, signal.SIGKILL)
                    count += 1
        return count
