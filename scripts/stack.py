"""The whole service on this machine: MiniStack plays AWS, and the real template is deployed to it.

    make run      bring the stack up, print commands to try, stop it at Ctrl-C
    make up       bring it up and leave it running; once it is up, deploy the current code to it
    make down     stop it
    make watch    bring it up with functions that are rebuilt when their source changes
    make lint     among others, check the template

Everything listens on 127.0.0.1 only, and everything that is written goes to LOCAL_DIR
(default .local), `.tools` and `target`. This program runs in the Python of `.tools/sam`,
which has boto3 and PyYAML: `.tools/sam/bin/python -m scripts.stack`.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import fcntl
import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import botocore.exceptions

from scripts import ministack, ports, sam, watch
from scripts.environment import (
    AWS_HOST,
    HOST,
    ROOT,
    TOOLS,
    aws_environment,
    replace,
    shown,
    tool_environment,
)
from scripts.processes import Failure, Interrupted, Interrupts, Process, last_lines, progress, start
from scripts.watch import Front

NEWS = 10.0  # seconds between two lines about a tool that is still running
# Without a terminal cargo shows how far it is only when told to.
CARGO_PROGRESS = {"CARGO_TERM_PROGRESS_WHEN": "always", "CARGO_TERM_PROGRESS_WIDTH": "80"}
PROXY_VARIABLE = "MINISTACK_LAMBDA_PROXY_URL"
# cargo lambda's own events have a timeEpoch in seconds, so that the host's clock must do.
HOSTS_CLOCK = {"ARRIVAL_CLOCK": "host"}


@dataclasses.dataclass(frozen=True)
class Settings:
    """What the command line chose."""

    local: Path
    port: int
    watch_port: int
    parameters: dict[str, str]
    release: bool

    @property
    def environment_file(self) -> Path:
        """Where `up` leaves the addresses and names of the stack."""
        return self.local / "stack.env"

    def log(self, name: str) -> Path:
        """The log file of one tool."""
        return self.local / "logs" / f"{name}.log"


class Steps:
    """Prints what happens, each line with the seconds since the start."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    def say(self, text: str) -> None:
        """Print one step. A terminal that is gone must not keep the rest from being done."""
        with contextlib.suppress(OSError):
            print(f"[{time.monotonic() - self._started:6.1f}s] {text}", flush=True)


@dataclasses.dataclass
class State:
    """The processes that were started, by name, and MiniStack's port; in a file for `down`."""

    file: Path
    port: int = 0
    processes: dict[str, Process] = dataclasses.field(default_factory=dict)

    @classmethod
    def read(cls, file: Path) -> State:
        """The noted state; processes that have ended since are left out."""
        try:
            noted = json.loads(file.read_text())
        except FileNotFoundError:
            return cls(file)
        processes = {name: Process(**process) for name, process in noted["processes"].items()}
        running = {name: process for name, process in processes.items() if process.session()}
        return cls(file, noted["port"], running)

    def add(self, name: str, child: subprocess.Popen[bytes]) -> None:
        """Note a process that was just started."""
        self.processes[name] = Process.of(child)
        processes = {name: dataclasses.asdict(each) for name, each in self.processes.items()}
        replace(self.file, json.dumps({"port": self.port, "processes": processes}))

    @property
    def is_up(self) -> bool:
        """Whether MiniStack runs."""
        return "ministack" in self.processes and self.processes["ministack"].is_alive()

    def stop(self) -> list[str]:
        """End every noted process, the last started first; returns their names."""
        names = list(reversed(self.processes))
        for name in names:
            self.processes[name].stop()
        self.file.unlink(missing_ok=True)
        self.processes.clear()
        return names


class Stack:
    """One local stack, in one LOCAL_DIR."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.steps = Steps()
        self.interrupts = Interrupts()
        self.state = State.read(settings.local / "stack.json")

    # Commands

    def up(self) -> None:
        """Bring the stack up and leave it running; if it runs, deploy the current code to it."""
        with contextlib.nullcontext() if self.state.is_up else self._stopped_on_error():
            self._bring_up()
        url, settings = self._api_url(), shown(self.settings.environment_file)
        self.steps.say(f"up: {url} (settings in {settings})")
        print(f"\nStop it with: make down{self._directory()}")

    def run(self) -> None:
        """Bring the stack up, say what to try, and stop it when told to."""
        self._refuse_when_up("run")
        with self._stopped_on_error():
            self._bring_up()
            print(self._invitation(), flush=True)
            self._serve()

    def watch(self) -> None:
        """Bring the stack up with its functions served by `cargo lambda watch`."""
        self._refuse_when_up("watch")
        port = ports.free_port(self.settings.watch_port, "WATCH_PORT")
        behind = ports.free_port(0, "the port of cargo lambda watch")
        with self._stopped_on_error():
            self._bring_up()
            environment = self._bind_to_watch(port)
            log = self.settings.log("cargo-lambda-watch")
            self.steps.say(f"cargo lambda watch (log: {shown(log)})")
            command: sam.Command = [sam.CARGO_LAMBDA, "lambda", "watch", "--only-lambda-apis"]
            command += ["--invoke-address", HOST, "--invoke-port", str(behind)]
            child = start(command, log, tool_environment(self.settings.local), ROOT)
            self.state.add("cargo-lambda-watch", child)
            while not ministack.listens(behind):
                if child.poll() is not None:
                    raise Failure("cargo lambda watch did not start", "look at the log", log)
                self.interrupts.wait()
            front = Front(port, behind)
            self._rebuild(front, behind, environment)
            print(self._invitation(), flush=True)
            print("\nThe functions are rebuilt when their source changes; without the gateway:")
            path, body = example()
            put = f"-X PUT http://{HOST}:{port}{path} -H 'Content-Type: application/json'"
            print(f"  curl {put} -d {shlex.quote(body.replace('VALUE', '4'))}", flush=True)
            log = self.settings.log("functions")
            self._serve(log, lambda: self._rebuild(front, behind, environment))

    def validate(self) -> None:
        """Sam validate --lint, in the environment of the other sam commands."""
        command = sam.validate(self.settings.local)
        done = subprocess.run(command, env=tool_environment(self.settings.local), check=False)
        if done.returncode != 0:
            raise Failure("the template is not valid", "correct what is reported above")

    def down(self) -> None:
        """Stop what `up` started, or what a killed `run` or `watch` left behind."""
        stopped = self.state.stop()
        self.settings.environment_file.unlink(missing_ok=True)
        nothing = f"nothing is up in {shown(self.settings.local)}"
        self.steps.say(f"stopped {', '.join(stopped)}" if stopped else nothing)

    # Parts of the commands

    @contextlib.contextmanager
    def _stopped_on_error(self) -> Iterator[None]:
        """Stop everything when the block ends by an error or an interruption."""
        try:
            yield
        except BaseException:
            if self.state.processes:
                self.steps.say("stopping")
            self.state.stop()
            self.settings.environment_file.unlink(missing_ok=True)
            raise

    @contextlib.contextmanager
    def _lock(self, file: Path) -> Iterator[None]:
        """Keep others who lock the file out of the block; wait for those who are in it."""
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("w") as lock:
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    self.interrupts.wait()
            yield

    def _refuse_when_up(self, command: str) -> None:
        if self.state.is_up:
            raise Failure(
                f"a stack is up in {shown(self.settings.local)}, on port {self.state.port}",
                f"deploy the current code to it: make up{self._directory()}; "
                f"or stop it first: make down{self._directory()}; "
                f"or start another: make {command} LOCAL_DIR=.local2 PORT=0",
            )

    def _bring_up(self) -> None:
        """MiniStack, the build, the deployment, the routes, stack.env."""
        local = self.settings.local
        with self._lock(local / "lock"):
            if not self.state.is_up:
                self._start_ministack()
            # One build at a time in this checkout: they share target/.
            with self._lock(TOOLS / "build.lock"):
                self.steps.say(f"build, {'release' if self.settings.release else 'quick'}")
                for command in sam.compile_functions(release=self.settings.release):
                    self._tool("cargo-lambda-build", command)
                self._tool("sam-build", sam.build(local))
            self._tool("sam-deploy", sam.deploy(local, self.settings.parameters))
            deployed = self._deployed()
            self.steps.say(f"{len(deployed.add_routes())} routes")
            deployed.correct_event_sources()
            self._write_environment_file(deployed.outputs(), deployed.serve_api())

    def _start_ministack(self) -> None:
        self.state.stop()  # what a killed stack may have left
        port = self.state.port = ports.free_port(self.settings.port, "PORT")
        log = self.settings.log("ministack")
        self.steps.say(f"MiniStack on http://{AWS_HOST}:{port} (log: {shown(log)})")
        child = ministack.launch(self.settings.local, port, log)
        self.state.add("ministack", child)
        give_up = time.monotonic() + 60
        while not ministack.answers(port):
            if child.poll() is not None or time.monotonic() > give_up:
                raise Failure("MiniStack did not start", "look at the log, then try again", log)
            self.interrupts.wait()

    def _write_environment_file(self, outputs: dict[str, str], api_url: str) -> None:
        def variable(key: str) -> str:
            """The output ApiUrl is API_URL."""
            return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", key).upper()

        values = {variable(key): value for key, value in outputs.items()}
        values |= aws_environment(self.state.port)
        values["STACK_NAME"] = sam.STACK_NAME
        values["API_URL"] = api_url
        lines = (f"{key}={shlex.quote(value)}\n" for key, value in sorted(values.items()))
        replace(self.settings.environment_file, "".join(lines))

    def _bind_to_watch(self, port: int) -> dict[str, str]:
        """Make MiniStack call cargo lambda watch; returns the functions' environment."""
        deployed = self._deployed()
        together: dict[str, str] = {}
        for name, binary in sam.binaries().items():
            function = deployed.physical_ids()[name]
            own = deployed.variables(function)
            together |= own
            url = f"http://{HOST}:{port}/2015-03-31/functions/{binary}/invocations"
            deployed.set_variables(function, own | {PROXY_VARIABLE: url})
        return together | HOSTS_CLOCK | aws_environment(self.state.port)

    def _rebuild(self, front: Front, port: int, environment: dict[str, str]) -> None:
        """Build the functions if their source has changed, and run them."""
        source = watch.source()
        if source == front.built:
            return
        try:
            self._tool("cargo-build", sam.cargo_build("cargo", "build"))
        except Failure as failure:
            front.error = "\n".join(last_lines(self.settings.log("cargo-build"), 60))
            self.steps.say(f"{failure}; requests are answered with the error:\n{front.error}")
        else:
            if "functions" in self.state.processes:
                self.state.processes["functions"].stop()
            command, settings = watch.functions(port)
            settings |= tool_environment(self.settings.local) | environment
            child = start(command, self.settings.log("functions"), settings, ROOT)
            self.state.add("functions", child)
            front.error = ""
        front.built = source

    def _serve(self, log: Path | None = None, each: Callable[[], None] = lambda: None) -> None:
        """Wait until told to stop or a process has ended; meanwhile show what a log gains."""
        with open(log or os.devnull, errors="replace") as news:
            while True:
                self.interrupts.wait(0.2)
                each()
                if news.tell() > os.fstat(news.fileno()).st_size:
                    news.seek(0)  # another process writes it
                sys.stdout.write(news.read())
                sys.stdout.flush()
                for name, process in self.state.processes.items():
                    if not process.is_alive():
                        raise Failure(
                            f"{name} has ended", "see why, start again", self.settings.log(name)
                        )

    def _tool(self, name: str, command: sam.Command) -> None:
        """Run a tool to its end, its output going to its log; now and then say that it runs."""
        log = self.settings.log(name)
        self.steps.say(f"{name} (log: {shown(log)})")
        environment = tool_environment(self.settings.local) | aws_environment(self.state.port)
        if not self.settings.release:
            environment |= sam.QUICK_BUILD
        environment |= CARGO_PROGRESS
        child = start(command, log, environment, ROOT)
        process = Process.of(child)
        news = time.monotonic() + NEWS
        try:
            while child.poll() is None:
                self.interrupts.wait()
                if time.monotonic() > news:
                    news += NEWS
                    self.steps.say(f"  … {progress(log)}")
        finally:
            process.stop()
        if child.returncode != 0:
            raise Failure(
                f"{name} failed (exit status {child.returncode})", "correct what it reports", log
            )

    # What is told

    def _deployed(self) -> ministack.Deployed:
        return ministack.Deployed(self.state.port, sam.STACK_NAME)

    def _api_url(self) -> str:
        values = dict(
            line.split("=", 1) for line in self.settings.environment_file.read_text().splitlines()
        )
        return shlex.split(values["API_URL"])[0]

    def _directory(self) -> str:
        """What to add to a make command so that it means this stack."""
        if self.settings.local == ROOT / ".local":
            return ""
        return f" LOCAL_DIR={shlex.quote(str(shown(self.settings.local)))}"

    def _invitation(self) -> str:
        """Commands to try, ready to be copied."""
        url = self._api_url()
        path, body = example()
        put = f"-X PUT {url}{path} -H 'Content-Type: application/json'"
        now, later, followed = (
            shlex.quote(body.replace("VALUE", number)) for number in ("1", "2", "3")
        )
        return f"""
The API is at {url}

  # now: the answer comes after the write
  curl -i {put} -d {now}

  # later: 202, and the Location header is the status URL
  curl -i {put} -H 'Prefer: respond-async' -d {later}

  # the same, and follow the status URL
  status=$(curl -s -o /dev/null -D - {put} -H 'Prefer: respond-async' \\
      -d {followed} | tr -d '\\r' | sed -n 's/^[Ll]ocation: //p')
  curl -i "{url}$status"

  # what is stored
  curl -i {url}{path}

AWS, played by MiniStack, is at http://{AWS_HOST}:{self.state.port}, by this name only.
Addresses and names for scripts and tests: {shown(self.settings.environment_file)}
Ctrl-C stops everything."""


def example() -> tuple[str, str]:
    """The path of a resource, and a body with VALUE where bodies may differ."""
    known = json.loads((ROOT / "events" / "resource.json").read_text())
    parameters = known["parameters"]
    return re.sub(r"\{(.*?)\}", lambda name: parameters[name[1]], known["path"]), known["body"]


def parse(arguments: list[str] | None = None) -> tuple[str, Settings]:
    """The command line: the command and its settings."""
    parser = argparse.ArgumentParser(description="The local stack.")
    parser.add_argument("command", choices=("up", "down", "run", "watch", "validate"))
    ports.add_options(parser)
    parser.add_argument("--parameters", default="", help='such as "DefaultMode=deferred"')
    parser.add_argument("--build", default="quick", choices=("quick", "release"))
    options = parser.parse_args(arguments)
    parameters = {}
    for word in shlex.split(options.parameters):
        key, equals, value = word.partition("=")
        if not (key and equals):
            parser.error(f"PARAMETERS wants Name=value, not {word!r}")
        parameters[key] = value
    return options.command, Settings(
        local=(ROOT / options.local_dir).resolve(),
        port=options.port,
        watch_port=options.watch_port,
        parameters=parameters,
        release=options.build == "release",
    )


def main() -> int:
    """Run one command; returns the exit status."""
    command, settings = parse()
    try:
        getattr(Stack(settings), command)()
    except Interrupted as interrupted:
        with contextlib.suppress(OSError):
            print(f"stopped ({interrupted})", flush=True)
        return 0 if command in ("run", "watch") else 130
    except Failure as failure:
        if failure.log is not None:
            print(f"\n--- the end of {shown(failure.log)}", file=sys.stderr)
            print(*last_lines(failure.log, 30), "---", sep="\n", file=sys.stderr)
        print(f"error: {failure}\nnext:  {failure.next_step}", file=sys.stderr)
        return 1
    except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
        print(f"error: MiniStack: {error}", file=sys.stderr)
        print(f"log:   {shown(settings.log('ministack'))}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
