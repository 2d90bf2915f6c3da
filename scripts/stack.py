"""The whole service on this machine: MiniStack plays AWS, and the real template is deployed to it.

    make run      bring the stack up, print commands to try, stop it at Ctrl-C
    make up       bring it up and leave it running; once it is up, deploy the current code to it
    make down     stop it
    make watch    bring it up, and build and deploy the functions when their source changes

Everything listens on 127.0.0.1 only, and all files are written to LOCAL_DIR
(default .local), `.tools` and `target`. This program runs in the Python of `.tools/sam`,
which has boto3 and PyYAML: `.tools/sam/bin/python -m scripts.stack`.
"""

import argparse
import contextlib
import dataclasses
import fcntl
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import botocore.exceptions

from scripts import ministack, ports, processes, sam, template, watch
from scripts.environment import (
    AWS_HOST,
    ROOT,
    aws_environment,
    port_of,
    replace,
    settings_in,
    target,
    tool_environment,
)
from scripts.processes import POLL, Failure, last_lines, progress, shown

NEWS = 10.0  # seconds between two progress lines of a running tool
# Without a terminal, cargo shows its progress only if it is told to.
CARGO_PROGRESS = {"CARGO_TERM_PROGRESS_WHEN": "always", "CARGO_TERM_PROGRESS_WIDTH": "80"}
STARTED = time.monotonic()


def say(text: str) -> None:
    """Print one step. If the terminal is gone, the rest is done nevertheless."""
    with contextlib.suppress(OSError):
        print(f"[{time.monotonic() - STARTED:6.1f}s] {text}", flush=True)


@dataclasses.dataclass
class Stack:
    """One local stack, in one LOCAL_DIR."""

    local: Path
    port: int
    parameters: dict[str, str]
    release: bool
    # Set if this command started it.
    child: subprocess.Popen[bytes] | None = None

    # Commands

    def up(self) -> None:
        """Bring the stack up and leave it running; if it runs, deploy the current code to it."""
        with contextlib.nullcontext() if self.is_up else self._stopped_on_error():
            self._bring_up()
        url = settings_in(self._environment_file)["API_URL"]
        say(f"up: {url} (settings in {shown(self._environment_file)})")
        print(f"\nStop it with: make down{self._directory()}")

    def run(self) -> None:
        """Bring the stack up, print commands to try, and stop it on request."""
        self._refuse_when_up("run")
        with self._stopped_on_error():
            self._bring_up()
            print(self._invitation(), flush=True)
            self._serve()

    def watch(self) -> None:
        """The same, but build and deploy the functions when their source changes."""
        self._refuse_when_up("watch")
        with self._stopped_on_error():
            self._bring_up()
            print(self._invitation(), flush=True)
            print("\nThe functions are built again when their source changes.", flush=True)
            self._serve(self._rebuilder(), shows_log=True)

    def validate(self) -> None:
        """Sam validate --lint, in the environment of the other sam commands."""
        command = sam.validate(self.local)
        done = subprocess.run(command, env=tool_environment(self.local), check=False)
        if done.returncode != 0:
            raise Failure("the template is not valid", "correct what is reported above")

    def down(self) -> None:
        """Stop what `up` started, or what a killed command left behind."""
        was_up = bool(processes.found(self.local / "logs"))
        self._stop()
        say("stopped" if was_up else f"nothing is up in {shown(self.local)}")

    # Parts of the commands

    @property
    def is_up(self) -> bool:
        """Whether MiniStack runs and everything was deployed to it."""
        return self._environment_file.exists() and bool(processes.found(self._log("ministack")))

    @property
    def _environment_file(self) -> Path:
        return self.local / "stack.env"

    def _log(self, name: str) -> Path:
        return self.local / "logs" / f"{name}.log"

    def _stop(self) -> None:
        processes.stop(self.local / "logs")
        self._environment_file.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _stopped_on_error(self) -> Iterator[None]:
        """Stop everything if the block ends by an error or an interruption."""
        try:
            yield
        except BaseException:
            say("stopping")
            self._stop()
            raise

    def _refuse_when_up(self, command: str) -> None:
        if self.is_up:
            endpoint = settings_in(self._environment_file)["AWS_ENDPOINT_URL"]
            raise Failure(
                f"a stack is up in {shown(self.local)}, at {endpoint}",
                f"deploy the current code to it: make up{self._directory()}; "
                f"or stop it first: make down{self._directory()}; "
                f"or start another: make {command} LOCAL_DIR=.local2 PORT=0",
            )

    def _bring_up(self) -> None:
        """Start MiniStack, build, deploy, and write stack.env."""
        # One at a time in this checkout, since all use target/.
        target().mkdir(exist_ok=True)
        with (target() / "local-stack.lock").open("w") as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)
            if self.is_up:
                self.port = port_of(settings_in(self._environment_file))
            else:
                self._start_ministack()
            say(f"building ({'release' if self.release else 'quick'})")
            for command in sam.compile_functions(release=self.release):
                self._tool("cargo-lambda-build", command)
            self._tool("sam-build", sam.build(self.local))
            built = sam.built_template(self.local)
            values, body = template.for_ministack(built, self.parameters)
            self._tool("sam-deploy", sam.deploy(self.local, values))
            deployed = self._deployed()
            url = deployed.serve_api(body["x-amazon-apigateway-cors"])
            self._write_environment_file(deployed.outputs(), url)

    def _start_ministack(self) -> None:
        self._stop()  # left by a killed stack
        self.port = ports.free_port(self.port, "PORT")
        log = self._log("ministack")
        say(f"MiniStack on http://{AWS_HOST}:{self.port} (log: {shown(log)})")
        child = self.child = ministack.launch(self.local, self.port, log)
        give_up = time.monotonic() + 60
        while not ministack.answers(self.port):
            if child.poll() is not None or time.monotonic() > give_up:
                raise Failure("MiniStack did not start", "look at the log, then try again", log)
            time.sleep(POLL)

    def _deployed(self) -> ministack.Deployed:
        return ministack.Deployed(self.port, sam.STACK_NAME)

    def _write_environment_file(self, outputs: dict[str, str], api_url: str) -> None:
        # The output ApiUrl is API_URL.
        values = {
            re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", key).upper(): value
            for key, value in outputs.items()
        }
        values |= aws_environment(self.port)
        values |= {"STACK_NAME": sam.STACK_NAME, "API_URL": api_url}
        lines = (f"{key}={shlex.quote(value)}\n" for key, value in sorted(values.items()))
        replace(self._environment_file, "".join(lines))

    def _rebuilder(self) -> Callable[[], None]:
        """Build the functions if their source has changed, and deploy those that differ."""
        deployed, server, seen = self._deployed(), watch.ErrorServer(), watch.source()
        names = deployed.physical_ids()
        variables = {each: deployed.variables(names[each]) for each in watch.built()}
        # The time of each function's build; the first deployment's is not known.
        code = dict.fromkeys(variables, 0.0)

        def rebuild() -> None:
            nonlocal seen
            if seen == (now := watch.source()):
                return
            seen = now
            try:
                self._tool("cargo-build", sam.cargo_build("cargo", "build"))
            except Failure as failure:
                server.error = "\n".join(last_lines(self._log("cargo-build"), 60))
                for each, own in variables.items():
                    deployed.set_variables(names[each], own | {watch.PROXY_VARIABLE: server.url})
                say(f"{failure}; requests are answered with the error:\n{server.error}")
                return
            for each, file in watch.built().items():
                is_new = code[each] != (changed := file.stat().st_mtime)
                code[each] = changed
                if is_new or server.error:
                    zipped = watch.zipped(file) if is_new else None
                    deployed.set_variables(names[each], variables[each], zipped)
            server.error = ""
            say("the functions match the current source")

        return rebuild

    def _serve(self, each: Callable[[], None] = lambda: None, *, shows_log: bool = False) -> None:
        """Wait for a signal or the end of MiniStack; its log contains the functions' lines."""
        log = self._log("ministack")
        with log.open(errors="replace") as news:
            news.seek(0, os.SEEK_END)
            while self.child is not None and self.child.poll() is None:
                time.sleep(0.2)
                each()
                if shows_log:
                    print(news.read(), end="", flush=True)
        raise Failure("MiniStack has ended", "see why in the log, then start again", log)

    def _tool(self, name: str, command: sam.Command) -> None:
        """Run a tool to its end with its output in its log; now and then report that it runs."""
        log = self._log(name)
        say(f"{name} (log: {shown(log)})")
        environment = tool_environment(self.local) | aws_environment(self.port) | CARGO_PROGRESS
        if not self.release:
            environment |= sam.QUICK_BUILD
        with processes.running(command, log, environment, ROOT) as child:
            while True:
                try:
                    child.wait(NEWS)
                    break
                except subprocess.TimeoutExpired:
                    say(f"  … {progress(log)}")
        if child.returncode != 0:
            reason = f"{name} failed (exit status {child.returncode})"
            raise Failure(reason, "correct what it reports", log)

    # Texts

    def _directory(self) -> str:
        """The arguments with which a make command means this stack."""
        if self.local == ROOT / ".local":
            return ""
        return f" LOCAL_DIR={shlex.quote(str(shown(self.local)))}"

    def _invitation(self) -> str:
        """Commands to try, which can be copied."""
        url = settings_in(self._environment_file)["API_URL"]
        path, body = example()
        put = f"-X PUT {url}{path} -H 'Content-Type: application/json'"
        now, later, followed = (shlex.quote(body.replace("VALUE", number)) for number in "123")
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

MiniStack plays AWS at http://{AWS_HOST}:{self.port}. At 127.0.0.1 the same port is the API.
The addresses and names for scripts are in {shown(self._environment_file)}
Ctrl-C stops everything."""


def example() -> tuple[str, str]:
    """The path of a resource, and a body with VALUE where bodies may differ."""
    known = json.loads((ROOT / "events" / "resource.json").read_text())
    return known["path"].format_map(known["parameters"]), known["body"]


def parse() -> tuple[str, Stack]:
    """The command line: the command and its stack."""
    parser = argparse.ArgumentParser(description="The local stack.")
    parser.add_argument("command", choices=("up", "down", "run", "watch", "validate"))
    parser.add_argument("--port", type=int, default=ports.DEFAULT_PORT, help="0 picks a free one")
    parser.add_argument("--local-dir", default=".local", help="where the stack writes everything")
    parser.add_argument("--parameters", default="", help='such as "DefaultMode=deferred"')
    parser.add_argument("--build", default="quick", choices=("quick", "release"))
    options = parser.parse_args()
    parameters = {}
    for word in shlex.split(options.parameters):
        key, equals, value = word.partition("=")
        if not (key and equals):
            parser.error(f"PARAMETERS must be Name=value, not {word!r}")
        parameters[key] = value
    local = (ROOT / options.local_dir).resolve()
    return options.command, Stack(local, options.port, parameters, options.build == "release")


def interrupt(number: int, _frame: object) -> None:
    """End the command at the first signal; a second signal does not interrupt the clean-up."""
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt(signal.Signals(number).name)


def main() -> int:
    """Run one command; returns the exit status."""
    command, stack = parse()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    try:
        getattr(stack, command)()
    except KeyboardInterrupt as interrupted:
        with contextlib.suppress(OSError):
            print(f"stopped ({interrupted})", flush=True)
        return 0 if command in ("run", "watch") else 130
    except Failure as failure:
        return failure.show()
    except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
        log = stack.local / "logs" / "ministack.log"
        return Failure(f"MiniStack: {error}", "look at its log", log).show()
    return 0


if __name__ == "__main__":
    sys.exit(main())
