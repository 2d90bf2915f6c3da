"""The documents: their links resolve, and the README's commands do what it shows."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from markdown_it import MarkdownIt
from markdown_it.token import Token

from docs import backlog, prices
from scripts.ports import DEFAULT_PORT

from .deployment import ROOT, Deployment
from .queues import Queue
from .resources import PATH, path_of
from .test_template import TEMPLATE

NOT_OURS = re.compile(r"target|node_modules|\.(?!github$).*")
PAGES = sorted(
    page
    for page in ROOT.rglob("*.md")
    if not any(NOT_OURS.fullmatch(part) for part in page.relative_to(ROOT).parts)
)
README = ROOT / "README.md"
of_users = pytest.mark.skipif(PATH != "/users/{id}", reason="README.md shows users")
# The commands of the README that are run elsewhere, and where.
RUN_BY = {
    "make run": "test_run.py",
    "make test": ".ci/run",
    "make lint": ".ci/run",
    "make up": "conftest.py, by the command that make runs",
    "make down": "conftest.py, by the command that make runs",
    "make units": "make test",
    "make events": "conftest.py, by the command that make runs",
    "make watch": "not whole; test_watch.py, and test_events.py has cargo lambda watch",
}
# What no test can run here, and why.
NOT_RUN = {
    "rustup target add aarch64-unknown-linux-gnu": "changes the machine",
    "sam build": "the local stack's own sam build does, for this machine's architecture",
    "sam deploy --guided": "asks questions, and wants an AWS account",
}


# Where make run listens unless told otherwise.
URL_OF_RUN = f"http://127.0.0.1:{DEFAULT_PORT}"


def tokens(page: Path) -> list[Token]:
    """The page's Markdown, as GitHub reads it."""
    return MarkdownIt("commonmark").enable("table").parse(page.read_text())


def links(page: Path) -> Iterator[str]:
    """Every target of a link or picture in the page."""
    for block in tokens(page):
        for token in block.children or ():
            target = token.attrs.get("href") or token.attrs.get("src")
            if target is not None:
                yield str(target)


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives the page's headings."""
    found = set()
    every = tokens(page)
    for opening, text in itertools.pairwise(every):
        if opening.type == "heading_open":
            letters = re.sub(r"[^\w\- ]", "", text.content.lower())
            found.add(letters.replace(" ", "-"))
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_resolve(page: Path) -> None:
    """Those within the repository; nothing is fetched."""
    for link in links(page):
        if re.match(r"https://", link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists() and target.is_relative_to(ROOT), link
        assert not anchor or anchor in anchors(target), link


def blocks(page: Path) -> Iterator[tuple[str, str]]:
    """The fenced blocks of a page: the language and the text."""
    for token in tokens(page):
        if token.type == "fence":
            yield token.info, token.content


def commands(text: str) -> list[str]:
    """The commands of a shell block, without remarks."""
    lines = text.replace("\\\n", " ").splitlines()
    bare = (re.sub(r"\s+# .*", "", line).strip() for line in lines)
    return [" ".join(line.split()) for line in bare if line and not line.startswith("#")]


def test_every_command_of_the_readme_is_run() -> None:
    """Those with curl below; of the others it is said where, or why not."""
    for language, text in blocks(README):
        assert language, f"a block without a language: {text}"
        if language == "sh":
            for command in commands(text):
                known = command.startswith((*RUN_BY, "curl ", "URL="))
                assert known or command in NOT_RUN, command
    readme = README.read_text()
    for command in (*RUN_BY, *NOT_RUN):
        assert command in readme, f"{command} is no longer in the README"
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for command in RUN_BY:
        program, _, target = command.partition(" ")
        assert program != "make" or target in targets, command


@of_users
def test_the_readme_shows_what_happens(deployment: Deployment, resource: str, queue: Queue) -> None:
    """Each block of curl, in order, against the answer that stands below it."""
    shell, seen = "", 0
    for language, text in blocks(README):
        if language == "http":
            assert shell, text
            url = deployment.environment["API_URL"]
            script = shell.replace("/users/ada", path_of(resource)).replace(URL_OF_RUN, url)
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", script],
                env=os.environ | {"URL": url},
                capture_output=True,
                text=True,
                timeout=60,
                check=True,
            )
            is_like(text, done.stdout)
            shell, seen = "", seen + 1
        elif language == "sh" and "curl" in text:
            shell = text
    assert seen >= 2


@of_users
def test_the_readme_lists_every_parameter() -> None:
    rows = re.findall(r"^\| (`[A-Z][^|]*`) \|", README.read_text(), re.MULTILINE)
    named = re.findall(r"`(\w+)`", " ".join(rows))
    assert sorted(named) == sorted(TEMPLATE["Parameters"])


def test_the_versions_that_are_needed() -> None:
    """Those of the tools; and CI has the oldest compiler, on both architectures."""
    manifest = tomllib.loads((ROOT / "Cargo.toml").read_text())
    rust = manifest["workspace"]["package"]["rust-version"]
    assert README.read_text().count(f"Rust {rust}") == 2
    deploying = (ROOT / "docs" / "deploying.md").read_text()
    assert f"| Rust | {rust} or newer" in deploying
    lock = tomllib.loads((ROOT / "scripts" / "requirements" / "uv.lock").read_text())
    pinned = {(package["name"], package["version"]) for package in lock["package"]}
    sam = re.search(r"1\.(\d+) is tested", deploying)
    assert sam is not None and ("aws-sam-cli", f"1.{sam[1]}.0") in pinned
    lambdas = re.search(r"([\d.]+) is tested \|\n\| AWS CLI", deploying)
    assert lambdas is not None and ("cargo-lambda", lambdas[1]) in pinned
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yaml").read_text())
    (job,) = workflow["jobs"].values()
    assert job["strategy"]["matrix"]["machine"] == ["ubuntu-24.04", "ubuntu-24.04-arm"]
    runs = [step["run"] for step in job["steps"] if "run" in step]
    assert runs[-1] == ".ci/run" and "rustup default" in runs[0]


def test_the_prices_are_those_that_the_script_prints() -> None:
    told = re.findall(r"\$(\d+\.\d\d)", README.read_text())
    here = (prices.HERE["PUT, now"], prices.HERE["PUT, later"])
    bills = (*here, *prices.ELSEWHERE.values())
    logs = [prices.log_of(way) for way in prices.HERE]
    traces = [prices.traces_of(way, 1) for way in prices.HERE]
    named = [*map(prices.price, bills), min(logs), max(logs), max(traces), prices.fixed()]
    assert sorted(told) == sorted(f"{each:.2f}" for each in named)
    assert prices.requests() in (ROOT / "docs" / "deploying.md").read_text()
    assert prices.batches() in (ROOT / "docs" / "performance.md").read_text()


def test_the_backlog_is_the_one_that_the_model_shows() -> None:
    runs = [backlog.run(setting) for setting in backlog.SETTINGS]
    shown = backlog.PAGE.read_text().partition(backlog.BEGIN)[2].partition(backlog.END)[0]
    assert shown == backlog.table(runs)


def is_like(shown: str, answer: str) -> None:
    """The same status, the fields that are shown, and a JSON body with the same members."""
    head, _, body = shown.partition("\n\n")
    real_head, _, real_body = answer.replace("\r", "").partition("\n\n")
    status, *fields = head.splitlines()
    real_status, *real_fields = real_head.splitlines()
    assert status == real_status, answer
    names = {field.partition(":")[0].lower() for field in real_fields}
    for field in fields:
        assert field.partition(":")[0].lower() in names, (field, answer)
    assert json.loads(body).keys() == json.loads(real_body).keys(), answer
