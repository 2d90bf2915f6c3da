"""Install the pinned Python tools of this repository into `.tools/`.

    python3 -m scripts.tools sam checks    # install these

Each is a dependency group of `scripts/requirements/pyproject.toml`, installed into `.tools/GROUP`.
`uv.lock` beside that file pins every package of every group with its version and hashes, so
two machines get the same tools. uv, one of these tools, installs the others. A group with a
`GROUP/package-lock.json` has Node.js from PyPI, and those packages of the npm registry.

An environment is made again if the lock, the Python version or the path of the checkout has changed
or if its installation was interrupted. This file uses the standard library only.
"""

import argparse
import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path

from scripts.environment import ROOT, TOOLS
from scripts.processes import Failure

REQUIREMENTS = ROOT / "scripts" / "requirements"
LOCK = REQUIREMENTS / "uv.lock"
INSTALLER = "uv"
UV = (str(TOOLS / INSTALLER / "bin" / "uv"), "--no-config")
OLDEST_PYTHON = (3, 11)


def check_prerequisites() -> None:
    """Fail with the first missing prerequisite. cargo itself reports that it is too old."""
    if platform.system() != "Linux":
        raise Failure(
            f"the local stack runs the functions' Linux binaries, and this is {platform.system()}",
            "open the repository in its dev container, or use Linux or WSL 2",
        )
    if sys.version_info < OLDEST_PYTHON:
        raise Failure(
            f"Python 3.11 or newer is needed and {sys.executable} is {platform.python_version()}",
            "install a newer one and name it, for example: make run PYTHON=python3.12",
        )
    if shutil.which("cargo") is None:
        raise Failure("cargo is missing", "install Rust from https://rustup.rs")
    if shutil.which("cc") is None:
        raise Failure("Rust needs a C linker, and cc is missing", "apt install gcc, or the like")


def packages_of(name: str) -> list[Path]:
    """The environment's part of the npm registry: package.json and its lock, or nothing."""
    return sorted((REQUIREMENTS / name).glob("package*.json"))


def stamp_of(name: str) -> str:
    """The inputs of the environment; its stamp file contains this once it is complete."""
    files = [LOCK, *packages_of(name)]
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
    return f"{digest} python-{platform.python_version()} {(TOOLS / name).resolve()}\n"


def is_installed(name: str) -> bool:
    """Whether the environment is complete and matches the current lock."""
    stamp = TOOLS / name / "stamp"
    return stamp.is_file() and stamp.read_text() == stamp_of(name)


def install(name: str) -> None:
    """Make one environment. Its stamp is written last: an environment without one is incomplete."""
    venv, log = TOOLS / name, TOOLS / "logs" / f"{name}.log"
    where = f"into {venv.relative_to(ROOT)} (log: {log.relative_to(ROOT)})"
    print(f"tools: installing {name} {where}", flush=True)
    started = time.monotonic()
    shutil.rmtree(venv, ignore_errors=True)
    log.parent.mkdir(parents=True, exist_ok=True)
    # The caller's environment, with as much patience as pip on a slow line.
    environment = {"UV_HTTP_TIMEOUT": "180", **os.environ, "UV_PROJECT_ENVIRONMENT": str(venv)}
    environment.pop("VIRTUAL_ENV", None)
    with log.open("w") as output:
        for command in with_pip(venv) if name == INSTALLER else with_uv(venv):
            done = subprocess.run(
                command, stdout=output, stderr=subprocess.STDOUT, env=environment, check=False
            )
            if done.returncode != 0:
                raise Failure(f"{name} could not be installed", "see why, then try again", log)
    (venv / "stamp").write_text(stamp_of(name))
    print(f"tools: installed {name} in {time.monotonic() - started:.1f} s", flush=True)


def with_pip(venv: Path) -> list[list[str]]:
    """The commands that make the installer's environment. pip does not read the lock."""
    import tomllib  # noqa: PLC0415 (not in a Python that check_prerequisites refuses)

    packages = tomllib.loads(LOCK.read_text())["package"]
    (installer,) = (each for each in packages if each["name"] == INSTALLER)
    hashes = " ".join(f"--hash={wheel['hash']}" for wheel in installer["wheels"])
    pinned = TOOLS / "installer.txt"
    pinned.write_text(f"{INSTALLER}=={installer['version']} {hashes}\n")
    pip = [str(venv / "bin" / "python"), "-m", "pip", "--no-input", "install"]
    return [
        [sys.executable, "-m", "venv", str(venv)],
        [*pip, "--only-binary", ":all:", "--require-hashes", "--requirement", str(pinned)],
    ]


def with_uv(venv: Path) -> list[list[str]]:
    """The commands that make any other environment, much faster than pip."""
    # Only wheels: a source distribution would need compilers and run unpinned code.
    sync = [*UV, "sync", "--project", str(REQUIREMENTS), "--frozen", "--no-build"]
    sync += ["--python", sys.executable, "--compile-bytecode", "--only-group", venv.name]
    packages = [str(file) for file in packages_of(venv.name)]
    if not packages:
        return [sync]
    # Like wheels, npm packages run no code at installation.
    npm = [str(venv / "bin" / "npm"), "ci", "--prefix", str(venv), "--ignore-scripts"]
    npm += ["--no-audit", "--no-fund", "--no-update-notifier"]
    return [sync, ["cp", *packages, str(venv)], npm]


def main() -> int:
    """Check the machine, then install what is missing."""
    parser = argparse.ArgumentParser(description="Install the pinned Python tools into .tools/.")
    parser.add_argument("names", nargs="*", help="groups of scripts/requirements, such as sam")
    names = [INSTALLER, *parser.parse_args().names]
    try:
        check_prerequisites()
        TOOLS.mkdir(exist_ok=True)
        with (TOOLS / "lock").open("w") as turn:
            # Two makes in one checkout must not build the same environment at once.
            fcntl.flock(turn, fcntl.LOCK_EX)
            for name in names:
                if not is_installed(name):
                    install(name)
    except Failure as failure:
        return failure.show()
    except KeyboardInterrupt:
        print("\ntools: interrupted; the next run installs what is missing", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
