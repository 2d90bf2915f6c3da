"""openapi.yaml in the hands of client authors: clients are generated from it, and used.

Each use is a program in tests/clients that ends with "ok".
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from .client import Api
from .deployment import ROOT
from .resources import KNOWN, PATH

# The programs that use the clients are about users; a resource of one's own may bring its own.
pytestmark = pytest.mark.skipif(PATH != "/users/{id}", reason="tests/clients is about users")
USES = ROOT / "tests" / "clients"
PYTHON = ROOT / ".tools" / "generators" / "bin"
NODE = ROOT / ".tools" / "node" / "bin" / "node"
PACKAGES = ROOT / ".tools" / "node" / "node_modules"
DOCUMENT = ROOT / "docs" / "openapi.yaml"


def told(api: Api) -> dict[str, str]:
    """What the programs are told."""
    return {"API_URL": api.base, "BODY": KNOWN["body"]}


def run(directory: Path, *command: str | Path, variables: Mapping[str, str] | None = None) -> str:
    """Run a command that must succeed; returns what it prints."""
    environment = os.environ | {"NO_PROXY": "127.0.0.1"} | dict(variables or {})
    environment["PATH"] = f"{PYTHON}:{environment['PATH']}"  # for ruff, which tidies what is made
    done = subprocess.run(
        [str(part) for part in command],
        cwd=directory,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, (command, done.stdout)
    return done.stdout


def test_python(api: Api, tmp_path: Path) -> None:
    generate = (PYTHON / "openapi-python-client", "generate", "--meta", "none")
    into = ("--output-path", tmp_path / "users_client")
    run(tmp_path, *generate, "--fail-on-warning", "--path", DOCUMENT, *into)
    # Everything of it, not only what is used.
    run(tmp_path, PYTHON / "python", "-m", "compileall", "-q", "users_client")
    use = shutil.copy(USES / "use_python.py", tmp_path)
    assert run(tmp_path, PYTHON / "python", use, variables=told(api)) == "ok\n"


def test_typescript(api: Api, tmp_path: Path) -> None:
    (tmp_path / "node_modules").symlink_to(PACKAGES)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    generate = (NODE, PACKAGES / ".bin" / "openapi-typescript")
    run(tmp_path, *generate, DOCUMENT, "--output", "api.d.ts")
    use = shutil.copy(USES / "use_typescript.ts", tmp_path)
    compile_it = (NODE, PACKAGES / ".bin" / "tsc", "--noEmit", "--strict", "--module", "nodenext")
    options = ("--allowImportingTsExtensions", "--skipLibCheck", "--lib", "esnext,dom")
    run(tmp_path, *compile_it, *options, use)
    assert run(tmp_path, NODE, use, variables=told(api)) == "ok\n"


def test_openapi_generator(tmp_path: Path) -> None:
    """The third of the common generators makes TypeScript that compiles."""
    (tmp_path / "node_modules").symlink_to(PACKAGES)
    generate = (PYTHON / "openapi-generator-cli", "generate", "-g", "typescript-fetch")
    run(tmp_path, *generate, "-i", DOCUMENT, "-o", tmp_path / "client")
    compile_it = (NODE, PACKAGES / ".bin" / "tsc", "--noEmit", "--strict", "--lib", "esnext,dom")
    run(tmp_path, *compile_it, "--skipLibCheck", tmp_path / "client" / "index.ts")
