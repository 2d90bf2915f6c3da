#!/usr/bin/env python3
"""The whole service on this machine: MiniStack plays AWS, and the real template is deployed to it.

    make run      bring the stack up, print commands to try, stop it at Ctrl-C
    make up       bring it up and leave it running; once it is up, deploy the current code to it
    make down     stop it
    make watch    bring it up with functions that are rebuilt when their source changes
    make lint     among others, check the template

Everything listens on 127.0.0.1 only, and everything that is written goes to LOCAL_DIR
(default .local), `.tools` and `target`. This program runs in the Python of `.tools/sam`,
which has boto3 and PyYAML.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import fcntl
import json
import os
import platform
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import boto3
import botocore.config
import botocore.exceptions
import http_api
import yaml
from processes import Failure, Interrupted, Interrupts, Process, last_lines, start

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / ".tools"
CARGO_LAMBDA = TOOLS / "cargo-lambda" / "bin" / "cargo-lambda"
HOST = "127.0.0.1"
REGION = "us-east-1"
KEY = "test"  # MiniStack's root key and secret
STACK_NAME = "async-put"
DEFAULT_PORT = 4566
ARCHITECTURES = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}
PROXY_VARIABLE = "MINISTACK_LAMBDA_PROXY_URL"
# A third of the time of the release profile, which optimizes for start-up and size.
QUICK_BUILD = {
    "CARGO_PROFILE_RELEASE_LTO": "off",
    "CARGO_PROFILE_RELEASE_CODEGEN_UNITS": "256",
    "CARGO_PROFILE_RELEASE_OPT_LEVEL": "0",
}


@dataclasses.dataclass(frozen=True)
class Settings:
    """What the command line chose."""

    local: Path
    port: int | None
    watch_port: int
    parameters: dict[str, str]
    functions_endpoint: str | None
    release: bool

    @property
    def environment_file(self) -> Path:
        """Where `up` leaves the addresses and names of the stack."""
        return self.local / "stack.env"

    @property
    def state_file(self) -> Path:
        """Where the processes of the stack are noted, for `down`."""
        return self.local / "stack.json"

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
    """The processes that were started, by name, and MiniStack's port; kept in a file for `down`."""

    file: Path
    port: int | None = None
    processes: dict[str, Process] = dataclasses.field(default_factory=dict)

    @classmethod
    def read(cls, file: Path) -> State:
        """The noted state; processes that have ended since are left out."""
        try:
            noted = json.loads(file.read_text())
        except FileNotFoundError:
            return cls(file)
        processes = {name: Process(**process) for name, process in noted["processes"].items()}
        return cls(file, noted["port"], {name: process for name, process in processes.items() if process.session()})

    def write(self) -> None:
        """Note it, in one go."""
        text = json.dumps(
            {
                "port": self.port,
                "processes": {name: dataclasses.asdict(process) for name, process in self.processes.items()},
            }
        )
        replace(self.file, text)

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


def replace(file: Path, text: str, mode: int = 0o644) -> None:
    """Write a file so that a reader sees the old text or the new one, never a part."""
    file.parent.mkdir(parents=True, exist_ok=True)
    scratch = file.with_name(f"{file.name}.{os.getpid()}")
    with open(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w") as output:
        output.write(text)
    scratch.replace(file)


class Stack:
    """One local stack, in one LOCAL_DIR."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.steps = Steps()
        self.interrupts = Interrupts()
        self.state = State.read(settings.state_file)

    # Commands

    def up(self) -> None:
        """Bring the stack up and leave it running, or deploy the current code to the one that is up."""
        was_up = self.state.is_up
        with contextlib.nullcontext() if was_up else self._stopped_on_error(), self._lock():
            self._bring_up()
        self.steps.say(f"up: {self._values()['API_URL']} (settings in {shown(self.settings.environment_file)})")
        print(f"\nStop it with: make down{self._arguments(port=False)}")

    def run(self) -> None:
        """Bring the stack up, say what to try, and stop it when told to."""
        self._refuse_when_up("run")
        with self._stopped_on_error():
            with self._lock():
                self._bring_up()
            print(self._invitation(), flush=True)
            self._serve()

    def watch(self) -> None:
        """Bring the stack up with its functions served by `cargo lambda watch`."""
        self._refuse_when_up("watch")
        port = free_port(self.settings.watch_port, "WATCH_PORT")
        with self._stopped_on_error():
            with self._lock():
                self._bring_up()
                environment = self._bind_to_watch(port)
                # The first build takes longer than a function may: have it done before the first request.
                self.steps.say(f"cargo build (log: {shown(self.settings.log('cargo-build'))})")
                self._tool(
                    "cargo build",
                    ["cargo", "build", *bin_options(binaries(ROOT / "template.yaml"))],
                    self.settings.log("cargo-build"),
                    "correct what the compiler reports, then run it again",
                )
            log = self.settings.log("cargo-lambda-watch")
            self.steps.say(f"cargo lambda watch on http://{HOST}:{port} (log: {shown(log)})")
            self._start_watch(port, environment, log)
            print(self._invitation(f"http://{HOST}:{port}"), flush=True)
            self._serve(log)

    def validate(self) -> None:
        """sam validate --lint, in the environment of the other sam commands."""
        prepare_home(self.settings.local / "home")
        command = [*sam("validate"), "--lint", "--template-file", ROOT / "template.yaml", "--region", REGION]
        command += ["--config-file", self._no_sam_configuration()]
        subprocess.run(command, check=True, env=tool_environment(self.settings.local))

    def down(self) -> None:
        """Stop what `up` started, or what a killed `run` or `watch` left behind."""
        stopped = self.state.stop()
        self.settings.environment_file.unlink(missing_ok=True)
        self.steps.say(f"stopped {', '.join(stopped)}" if stopped else f"nothing is up in {shown(self.settings.local)}")

    # Parts of the commands

    @contextlib.contextmanager
    def _stopped_on_error(self) -> Iterator[None]:
        """Stop everything when the block ends by an error or an interruption; an ordinary end keeps it."""
        try:
            yield
        except BaseException:
            if self.state.processes:
                self.steps.say("stopping")
            self.state.stop()
            self.settings.environment_file.unlink(missing_ok=True)
            raise

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        """Keep a second `up`, `run` or `watch` out of this LOCAL_DIR while this one brings it up."""
        self.settings.local.mkdir(parents=True, exist_ok=True)
        with (self.settings.local / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Failure(
                    f"another make is bringing up the stack in {shown(self.settings.local)}",
                    "wait for it, or use another directory: LOCAL_DIR=.local2 PORT=0",
                ) from None
            yield

    def _refuse_when_up(self, command: str) -> None:
        if self.state.is_up:
            raise Failure(
                f"a stack is already up in {shown(self.settings.local)}, on port {self.state.port}",
                f"deploy the current code to it: make up{self._arguments(port=False)}; "
                f"or stop it first: make down{self._arguments(port=False)}; "
                f"or start another: make {command} LOCAL_DIR=.local2 PORT=0",
            )

    def _bring_up(self) -> None:
        """MiniStack, the build, the deployment, the routes, stack.env."""
        prepare_home(self.settings.local / "home")
        if self.state.is_up:
            if self.settings.port not in (None, 0, self.state.port):
                raise Failure(
                    f"the stack in {shown(self.settings.local)} is up on another port, {self.state.port}",
                    f"stop it first: make down{self._arguments(port=False)}",
                )
            self.steps.say(f"MiniStack is up on port {self.state.port}")
        else:
            self._start_ministack()
        template = self._build()
        self._deploy(template)
        routes = self._complete_api()
        self.steps.say(f"routes: {', '.join(routes)}")
        self._correct_event_sources()
        self._write_environment_file()

    def _start_ministack(self) -> None:
        self.state.stop()  # what a killed stack may have left
        port = free_port(DEFAULT_PORT if self.settings.port is None else self.settings.port, "PORT")
        temporary = self.settings.local / "tmp"
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        endpoint = f"http://{HOST}:{port}"
        # A clean environment: MiniStack hands its own to the functions.
        environment = {
            "PATH": os.defpath,
            "HOME": str(self.settings.local / "home"),
            "TMPDIR": str(temporary),
            "LANG": "C.UTF-8",
            "GATEWAY_PORT": str(port),
            "BIND_HOST": HOST,  # without it, every interface
            "AWS_ENDPOINT_URL": self.settings.functions_endpoint or endpoint,
            "AUTH": "true",  # the functions' roles are enforced
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            "DOCKER_HOST": f"unix://{temporary}/no-docker",  # leave a Docker of this machine alone
            "S3_DATA_DIR": str(temporary / "s3"),
            "PYTHONUNBUFFERED": "1",
        }
        log = self.settings.log("ministack")
        self.steps.say(f"MiniStack on {endpoint} (log: {shown(log)})")
        child = start([TOOLS / "ministack" / "bin" / "python", "-m", "ministack"], log, environment, temporary)
        self.state.port = port
        self.state.processes["ministack"] = Process.of(child)
        self.state.write()
        give_up = time.monotonic() + 60
        while not answers(f"{endpoint}/_ministack/health"):
            if child.poll() is not None or time.monotonic() > give_up:
                raise Failure("MiniStack did not start", "look at the log, then try again", log)
            self.interrupts.wait()

    def _build(self) -> Path:
        """sam build; returns the built template. One build at a time per checkout: they share target/."""
        build, log = self.settings.local / "build", self.settings.log("build")
        profile = "release" if self.settings.release else "quick"
        self.steps.say(f"build, {profile} (the first takes minutes; log: {shown(log)})")
        with (TOOLS / "build.lock").open("w") as lock:
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    self.interrupts.wait()
            # What sam build would do, all functions at a time and with progress in the log: sam shows none.
            self._tool(
                "cargo lambda build",
                [
                    *(CARGO_LAMBDA, "lambda", "build", "--release"),
                    *(["--arm64"] if architecture() == "arm64" else []),
                    *bin_options(binaries(ROOT / "template.yaml")),
                ],
                log,
                "correct what the compiler reports, then run it again",
            )
            self._tool(
                "sam build",
                [*sam("build"), "--template-file", ROOT / "template.yaml", "--build-dir", build]
                + ["--cache-dir", self.settings.local / "cache", "--config-file", self._no_sam_configuration()]
                + ["--parameter-overrides", f"Architecture={architecture()}"],
                log,
                "look at the log",
            )
        return build / "template.yaml"

    def _deploy(self, template: Path) -> None:
        log = self.settings.log("sam-deploy")
        self.steps.say(f"sam deploy (log: {shown(log)})")
        known = yaml.safe_load(template.read_text()).get("Parameters", {})
        for name in self.settings.parameters:
            if name not in known:
                raise Failure(f"the template has no parameter {name}", f"choose from {', '.join(known)}")
        # All parameters are given: an update would else keep what an earlier one was given.
        values = {name: str(parameter["Default"]) for name, parameter in known.items() if "Default" in parameter}
        values |= {"Architecture": architecture()} | self.settings.parameters
        self._tool(
            "sam deploy",
            [*sam("deploy"), "--template-file", template, "--stack-name", STACK_NAME, "--resolve-s3"]
            + ["--capabilities", "CAPABILITY_IAM", "--no-confirm-changeset", "--no-progressbar"]
            + ["--no-fail-on-empty-changeset", "--config-file", self._no_sam_configuration()]
            + ["--parameter-overrides", *(f"{name}={value}" for name, value in values.items())],
            log,
            f"look at the log and at {shown(self.settings.log('ministack'))}",
        )

    def _complete_api(self) -> list[str]:
        """Add what MiniStack drops of the HTTP APIs; returns the route keys."""
        cloudformation = self._client("cloudformation")
        template = cloudformation.get_template(StackName=STACK_NAME, TemplateStage="Processed")["TemplateBody"]
        if isinstance(template, str):
            template = json.loads(template)
        resources = cloudformation.describe_stack_resources(StackName=STACK_NAME)["StackResources"]
        stack = cloudformation.describe_stacks(StackName=STACK_NAME)["Stacks"][0]
        physical_ids = {item["LogicalResourceId"]: item["PhysicalResourceId"] for item in resources}
        intrinsics = http_api.Intrinsics(
            template,
            {item["ParameterKey"]: item["ParameterValue"] for item in stack.get("Parameters", [])},
            physical_ids,
            stack["StackId"],
        )
        routes = []
        for name, resource in template["Resources"].items():
            if resource["Type"] == "AWS::ApiGatewayV2::Api" and "Body" in resource["Properties"]:
                body = intrinsics.resolve(resource["Properties"]["Body"])
                routes += http_api.complete(self._client("apigatewayv2"), physical_ids[name], body)
        return routes

    def _correct_event_sources(self) -> None:
        """Set the numbers of the queues' event sources again: a template parameter arrives as
        text, and MiniStack's poller stumbles over that ("'>=' not supported") and never delivers."""
        functions = self._client("lambda")
        for source in functions.list_event_source_mappings()["EventSourceMappings"]:
            numbers: dict[str, Any] = {"BatchSize": int(source["BatchSize"])}
            concurrency = source.get("ScalingConfig", {}).get("MaximumConcurrency")
            if concurrency is not None:
                numbers["ScalingConfig"] = {"MaximumConcurrency": int(concurrency)}
            functions.update_event_source_mapping(UUID=source["UUID"], **numbers)

    def _write_environment_file(self) -> None:
        stack = self._client("cloudformation").describe_stacks(StackName=STACK_NAME)["Stacks"][0]
        outputs = {item["OutputKey"]: item["OutputValue"] for item in stack.get("Outputs", [])}
        values = {re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", key).upper(): value for key, value in outputs.items()}
        values |= self._aws_environment()
        values["STACK_NAME"] = STACK_NAME
        # Not .../_aws/execute-api/...: the API's Location headers are absolute paths.
        values["API_URL"] = f"http://{values['API_ID']}.execute-api.localhost:{self.state.port}"
        lines = (f"{key}={shlex.quote(value)}\n" for key, value in sorted(values.items()))
        replace(self.settings.environment_file, "".join(lines))

    def _bind_to_watch(self, port: int) -> dict[str, str]:
        """Make MiniStack call cargo lambda watch; returns the environment that the functions have together."""
        cloudformation, functions = self._client("cloudformation"), self._client("lambda")
        together: dict[str, str] = {}
        for name, binary in binaries(ROOT / "template.yaml").items():
            detail = cloudformation.describe_stack_resource(StackName=STACK_NAME, LogicalResourceId=name)
            function = detail["StackResourceDetail"]["PhysicalResourceId"]
            own = (
                functions.get_function_configuration(FunctionName=function).get("Environment", {}).get("Variables", {})
            )
            for key, value in own.items():
                if together.setdefault(key, value) != value:
                    self.steps.say(f"warning: the functions differ in {key}; under watch all get {together[key]!r}")
            url = f"http://{HOST}:{port}/2015-03-31/functions/{binary}/invocations"
            functions.update_function_configuration(
                FunctionName=function, Environment={"Variables": own | {PROXY_VARIABLE: url}}
            )
        if "CLOCK_CHECK" in together:
            together["CLOCK_CHECK"] = "off"  # cargo lambda's own events have a timeEpoch in seconds
        return together

    def _start_watch(self, port: int, environment: dict[str, str], log: Path) -> None:
        """Start cargo lambda watch; its functions inherit its environment, so no file holds the secret."""
        command: list[str | Path] = [CARGO_LAMBDA, "lambda", "watch"]
        options = ["--invoke-address", HOST, "--invoke-port", str(port), "--concurrency", "4"]
        settings = tool_environment(self.settings.local) | environment | self._aws_environment()
        if self.settings.functions_endpoint:
            settings["AWS_ENDPOINT_URL"] = self.settings.functions_endpoint
        child = start([*command, *options], log, settings, ROOT)
        self.state.processes["cargo-lambda-watch"] = Process.of(child)
        self.state.write()
        while not accepts(port):
            if child.poll() is not None:
                raise Failure("cargo lambda watch did not start", "look at the log", log)
            self.interrupts.wait()

    def _serve(self, log: Path | None = None) -> None:
        """Wait until told to stop, or until a process has ended by itself; meanwhile show what a log gains."""
        with open(log or os.devnull, errors="replace") as news:
            while True:
                self.interrupts.wait(0.2)
                sys.stdout.write(news.read())
                sys.stdout.flush()
                for name, process in self.state.processes.items():
                    if not process.is_alive():
                        raise Failure(
                            f"{name} has ended (make down, or it crashed)", "start again", self.settings.log(name)
                        )

    def _tool(self, name: str, command: Sequence[str | Path], log: Path, next_step: str) -> None:
        """Run a tool to its end, its output going to the log; every 20 s say that it still runs."""
        profile = {} if self.settings.release else QUICK_BUILD
        environment = tool_environment(self.settings.local) | self._aws_environment() | profile
        child = start(command, log, environment, ROOT)
        process = Process.of(child)
        news = time.monotonic() + 20
        try:
            while child.poll() is None:
                self.interrupts.wait()
                if not self.state.is_up:
                    raise Failure(f"MiniStack ended during {name}", "start again", self.settings.log("ministack"))
                if time.monotonic() > news:
                    news += 20
                    self.steps.say(f"  … {' '.join(last_lines(log, 1))[:100].strip()}")
        finally:
            process.stop()
        if child.returncode != 0:
            raise Failure(f"{name} failed (exit status {child.returncode})", next_step, log)

    # Values

    def _no_sam_configuration(self) -> Path:
        """An empty samconfig.toml, so that a real one (bucket, profile) stays out of it."""
        file = self.settings.local / "samconfig.toml"
        replace(file, "version = 0.1\n")
        return file

    def _aws_environment(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": f"http://{HOST}:{self.state.port}",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": KEY,
        }

    def _client(self, service: str) -> Any:
        """A client of MiniStack, whatever AWS settings this machine has."""
        session: Any = boto3.session.Session(KEY, KEY, region_name=REGION)
        return session.client(
            service,
            endpoint_url=f"http://{HOST}:{self.state.port}",
            config=botocore.config.Config(
                proxies={}, connect_timeout=5, read_timeout=60, retries={"total_max_attempts": 1}
            ),
        )

    def _values(self) -> dict[str, str]:
        """stack.env, read back."""
        lines = self.settings.environment_file.read_text().splitlines()
        return {
            key: shlex.split(value)[0] if value else "" for key, _, value in (line.partition("=") for line in lines)
        }

    def _arguments(self, port: bool = True) -> str:
        """What to add to a make command so that it means this stack."""
        text = (
            ""
            if self.settings.local == ROOT / ".local"
            else f" LOCAL_DIR={shlex.quote(str(shown(self.settings.local)))}"
        )
        return text + (f" PORT={self.state.port}" if port else "")

    def _invitation(self, watch_url: str | None = None) -> str:
        """Commands to try, ready to be copied."""
        url = self._values()["API_URL"]
        json_header = "-H 'Content-Type: application/json'"
        text = f"""
The API is at {url}

  # now: the answer comes after the write
  curl -i -X PUT {url}/users/ada {json_header} -d '{{"name":"Ada"}}'

  # later: 202, and the Location header is the status URL
  curl -i -X PUT {url}/users/ada {json_header} -H 'Prefer: respond-async' -d '{{"name":"Ada, later"}}'

  # the same, and follow the status URL
  status=$(curl -s -o /dev/null -D - -X PUT {url}/users/ada {json_header} -H 'Prefer: respond-async' \\
      -d '{{"name":"Ada, followed"}}' | tr -d '\\r' | sed -n 's/^[Ll]ocation: //p')
  curl -i "{url}$status"

  # what is stored
  curl -i {url}/users/ada

Addresses and names for scripts and tests: {shown(self.settings.environment_file)}
Ctrl-C stops everything."""
        if watch_url:
            text += "\nThe functions are rebuilt when their source changes; without the gateway: "
            text += f"curl -X PUT {watch_url}/users/ada -d '{{}}'"
        return text


# Helpers without state


def shown(path: Path) -> Path:
    """A path as people like to read it: relative to the current directory where that is shorter."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def architecture() -> str:
    """This machine's instruction set, as the template calls it."""
    machine = platform.machine().lower()
    if machine not in ARCHITECTURES:
        raise Failure(f"Lambda has no functions for {machine}", "use an x86_64 or arm64 machine")
    return ARCHITECTURES[machine]


class TemplateLoader(yaml.SafeLoader):
    """Reads a CloudFormation template; the value of a short function (!Ref, !Sub …) stays as it is written."""


TemplateLoader.add_multi_constructor("!", lambda _loader, _tag, node: node.value)


def binaries(template: Path) -> dict[str, str]:
    """The binary of each function that sam builds with cargo lambda, by the function's logical id."""
    resources = yaml.load(template.read_text(), TemplateLoader)["Resources"]  # a SafeLoader
    properties = {name: resource.get("Metadata", {}).get("BuildProperties", {}) for name, resource in resources.items()}
    return {name: values["Binary"] for name, values in properties.items() if "Binary" in values}


def bin_options(names: Mapping[str, str]) -> list[str]:
    """Cargo's options that choose these binaries."""
    return [word for name in names.values() for word in ("--bin", name)]


def sam(command: str) -> list[str | Path]:
    """The start of a sam command. By module: a script's #! line breaks on a path with a space."""
    return [TOOLS / "sam" / "bin" / "python", "-m", "samcli", command]


def prepare_home(home: Path) -> None:
    """Keep sam from looking for updates and from asking about telemetry."""
    replace(
        home / ".aws-sam" / "metadata.json", json.dumps({"lastVersionCheck": time.time(), "telemetryEnabled": False})
    )


def tool_environment(local: Path) -> dict[str, str]:
    """The environment of sam and cargo: the caller's, without settings for AWS, sam and Python."""
    home = Path.home()
    keep = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("AWS_", "SAM_", "PYTHON", "VIRTUAL_ENV", "MAKE", "MFLAGS"))
    }
    proxies = ",".join(filter(None, [os.environ.get("no_proxy", os.environ.get("NO_PROXY")), HOST, "localhost"]))
    return keep | {
        "PATH": f"{TOOLS / 'cargo-lambda' / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "CARGO_HOME": os.environ.get("CARGO_HOME", str(home / ".cargo")),
        "RUSTUP_HOME": os.environ.get("RUSTUP_HOME", str(home / ".rustup")),
        # Nothing of ~/.aws is read, and nothing is written to the real home.
        "HOME": str(local / "home"),
        "XDG_CACHE_HOME": str(TOOLS / "cache"),
        "SAM_CLI_TELEMETRY": "0",
        "SAM_CLI_POLL_DELAY": "1",  # seconds between looks at the deployment
        "AWS_EC2_METADATA_DISABLED": "true",
        "PYTHONUNBUFFERED": "1",
        "NO_PROXY": proxies,
        "no_proxy": proxies,
    }


def free_port(wanted: int, variable: str) -> int:
    """The wanted port, or for 0 any; fails when somebody else has it."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, wanted))
        except OSError as error:
            raise Failure(
                f"{variable} {wanted} cannot be used: {error.strerror}",
                f"see who has it: ss -ltnp 'sport = :{wanted}'; or take another one: {variable}=0 picks a free one",
            ) from None
        return int(probe.getsockname()[1])


def answers(url: str) -> bool:
    """Whether a GET of the URL succeeds."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=2) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def accepts(port: int) -> bool:
    """Whether something accepts connections on the port."""
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def parse(arguments: list[str] | None = None) -> tuple[str, Settings]:
    """The command line: the command and its settings."""
    parser = argparse.ArgumentParser(description="The local stack.")
    parser.add_argument("command", choices=("up", "down", "run", "watch", "validate"))
    parser.add_argument("--port", default="", help=f"MiniStack's port; 0 picks a free one (default {DEFAULT_PORT})")
    parser.add_argument("--watch-port", default="9000", help="port of cargo lambda watch; 0 picks a free one")
    parser.add_argument("--local-dir", default=".local", help="where the stack keeps everything it writes")
    parser.add_argument("--parameters", default="", help='template parameters, such as "DefaultMode=deferred"')
    parser.add_argument("--functions-endpoint", default="", help="where the functions find AWS (default: MiniStack)")
    parser.add_argument("--build", default="quick", choices=("quick", "release"), help="how the functions are compiled")
    options = parser.parse_args(arguments)
    parameters = {}
    for word in shlex.split(options.parameters):
        key, equals, value = word.partition("=")
        if not (key and equals):
            parser.error(f"PARAMETERS wants Name=value, not {word!r}")
        parameters[key] = value
    for name, value in (("PORT", options.port or "0"), ("WATCH_PORT", options.watch_port)):
        if not (value.isascii() and value.isdigit() and int(value) < 65536):
            parser.error(f"{name} wants a number from 0 to 65535, not {value!r}")
    return options.command, Settings(
        local=(ROOT / options.local_dir).resolve(),
        port=int(options.port) if options.port else None,
        watch_port=int(options.watch_port),
        parameters=parameters,
        functions_endpoint=options.functions_endpoint or None,
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
        print(f"error: {failure}", file=sys.stderr)
        if failure.log is not None:
            print(f"log:   {shown(failure.log)}", file=sys.stderr)
        print(f"next:  {failure.next_step}", file=sys.stderr)
        return 1
    except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
        print(f"error: MiniStack: {error}", file=sys.stderr)
        print(f"log:   {shown(settings.log('ministack'))}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
