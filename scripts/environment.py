"""The paths of this repository, and the environment for the tools of the local stack."""

import json
import os
import platform
import shlex
import time
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / ".tools"
HOST = "127.0.0.1"
# At this name MiniStack is AWS; at 127.0.0.1 it is the API (`Deployed.serve_api`).
AWS_HOST = "localhost"
REGION = "us-east-1"
KEY = "test"  # MiniStack's root key and secret
# This machine's instruction set, by its name in the template.
ARCHITECTURE = "arm64" if platform.machine() == "aarch64" else "x86_64"


def target() -> Path:
    """The folder for cargo's output."""
    return Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))


def replace(file: Path, text: str) -> None:
    """Write a file atomically: a reader sees the old text or the new one, never a part."""
    file.parent.mkdir(parents=True, exist_ok=True)
    scratch = file.with_name(f"{file.name}.{os.getpid()}")
    scratch.write_text(text)
    scratch.replace(file)


def settings_in(file: Path) -> dict[str, str]:
    """The variables in a stack.env file."""
    lines = (line.partition("=") for line in file.read_text().splitlines())
    return {key: shlex.split(value)[0] for key, _, value in lines}


def port_of(stack: Mapping[str, str]) -> int:
    """The port of 127.0.0.1 on which the AWS of a stack listens."""
    return int(stack["AWS_ENDPOINT_URL"].rpartition(":")[2])


def aws_environment(port: int) -> dict[str, str]:
    """The variables that direct every AWS client to the MiniStack on this port."""
    return {
        "AWS_ENDPOINT_URL": f"http://{AWS_HOST}:{port}",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": KEY,
    }


def tool_environment(local: Path) -> dict[str, str]:
    """The environment of sam and cargo: the caller's, without settings for AWS, sam and Python."""
    ours = ("AWS_", "SAM_", "PYTHON", "VIRTUAL_ENV", "MAKE", "MFLAGS")
    keep = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
    direct = [os.environ.get("no_proxy", os.environ.get("NO_PROXY", "")), HOST, AWS_HOST]
    unproxied = ",".join(filter(None, direct))
    # Nothing in ~/.aws is read, and nothing is written to the real home.
    home = local / "home"
    # Keeps sam from looking for updates and from asking about telemetry.
    looked = {"lastVersionCheck": time.time(), "telemetryEnabled": False}
    replace(home / ".aws-sam" / "metadata.json", json.dumps(looked))
    return keep | {
        "PATH": f"{TOOLS / 'cargo-lambda' / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "CARGO_HOME": os.environ.get("CARGO_HOME", str(Path.home() / ".cargo")),
        "RUSTUP_HOME": os.environ.get("RUSTUP_HOME", str(Path.home() / ".rustup")),
        "HOME": str(home),
        "XDG_CACHE_HOME": str(TOOLS / "cache"),
        "SAM_CLI_TELEMETRY": "0",
        "SAM_CLI_POLL_DELAY": "1",  # seconds between checks of the deployment
        "AWS_EC2_METADATA_DISABLED": "true",
        "PYTHONUNBUFFERED": "1",
        "NO_PROXY": unproxied,
        "no_proxy": unproxied,
    }
