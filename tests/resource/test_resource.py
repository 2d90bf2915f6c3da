"""docs/make-it-yours.md, followed step by step in a copy of the repository."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
pytestmark = pytest.mark.skipif(
    not (ROOT / "crates" / "rules" / "src" / "user.rs").exists(),
    reason="this copy has another resource already",
)
PAGE = (ROOT / "docs" / "make-it-yours.md").read_text()
# What of the copy's own tests says whether the new resource works: all that is about requests,
# and the deployed service from a PUT to its status. (The copy has the tools of this repository,
# which make would install anew.)
RUST = ("rules", "lambda-shell", "tables", "queues", "put", "read", "apply", "park")
RUST_TESTS = ("contract", "openapi", "repository")
DEPLOYED = (
    "(test_inline or test_deferred or test_status or test_http or test_wait or test_keys"
    " or test_events or test_examples) and not make_smoke"
)


def blocks(language: str) -> list[str]:
    """The code of this language on the page."""
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def files(directory: Path) -> dict[str, bytes]:
    """Every file below the directory."""
    found = (path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): path.read_bytes() for path in found}


def plain_copy(to: Path) -> Path:
    """The repository's files as they are now."""
    listed = run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], ROOT)
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name)
    return to


def test_a_new_project_begins_as_this_one(tmp_path: Path) -> None:
    source = plain_copy(tmp_path / "async-put")
    archive = shutil.make_archive(str(tmp_path / "source"), "zip", tmp_path, source.name)
    sam = [str(ROOT / ".tools" / "sam" / "bin" / "python"), "-m", "samcli", "init"]
    sam += ["--location", archive, "--name", "by-sam", "--no-input"]
    run(sam, tmp_path, SAM_CLI_TELEMETRY="0", HOME=str(tmp_path))
    cargo_lambda = str(ROOT / ".tools" / "cargo-lambda" / "bin" / "cargo-lambda")
    new = [cargo_lambda, "lambda", "new", "--template", str(source), "--no-interactive"]
    run([*new, "by-cargo-lambda"], tmp_path)
    for name in ("by-sam", "by-cargo-lambda"):
        assert files(tmp_path / name) == files(source), name


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy, after the steps of the page."""
    copy = plain_copy(tmp_path_factory.mktemp("devices") / "devices")
    (copy / ".tools").symlink_to(ROOT / ".tools")
    run(["bash", "-euc", blocks("sh")[0]], copy)
    (copy / "crates" / "rules" / "src" / "device.rs").write_text(blocks("rust")[0])
    return copy


def run(command: Sequence[str], directory: Path, **variables: str) -> str:
    """What the command prints; it must succeed."""
    done = subprocess.run(
        command,
        cwd=directory,
        env=os.environ | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=1200,
        check=False,
    )
    assert done.returncode == 0, f"{command} in {directory}:\n{done.stdout[-8000:]}"
    return done.stdout


def shared(copy: Path) -> dict[str, str]:
    """Lets the copy use what is compiled of other projects' code."""
    target = os.environ.get("CARGO_TARGET_DIR", str(ROOT / "target"))
    return {"CARGO_TARGET_DIR": target, "PYTHONPATH": str(copy)}


def test_nothing_of_users_is_left(copy: Path) -> None:
    names = [str(path.relative_to(copy)) for path in copy.rglob("*") if ".tools" not in path.parts]
    left = [name for name in names if re.search(r"(?<!test_resource)user", name, re.IGNORECASE)]
    assert left == []
    for file in ("template.yaml", "openapi.yaml", "Cargo.toml", "README.md"):
        text = (copy / file).read_text()
        assert "/devices/{id}" in text and "/users" not in text, file


def test_the_rust_tests_pass(copy: Path) -> None:
    packages = [word for name in RUST for word in ("--package", name)]
    run(["cargo", "test", "--quiet", "--lib", *packages], copy, **shared(copy))
    tests = [word for name in RUST_TESTS for word in ("--test", name)]
    run(["cargo", "test", "--quiet", "--package", "tests", *tests], copy, **shared(copy))


def test_the_deployed_resource_passes(copy: Path) -> None:
    python = str(ROOT / ".tools" / "checks" / "bin" / "python")
    printed = run([python, "-m", "pytest", "-q", "-k", DEPLOYED], copy, **shared(copy))
    assert re.search(r"\d+ passed", printed) and "failed" not in printed, printed
