"""The documents: links resolve, commands exist, and the README's commands do what it shows."""

import json
import os
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import botocore.session
import pytest
import yaml
from botocore import xform_name
from markdown_it import MarkdownIt
from markdown_it.token import Token

from docs import prices
from scripts.ports import DEFAULT_PORT

from .deployment import Deployment
from .queues import Queue
from .resources import PATH, ROOT, path_of
from .shell import run
from .test_template import PARAMETERS

PAGES = [ROOT / name for name in run("git", "ls-files", "*.md").splitlines()]
README = ROOT / "README.md"
of_users = pytest.mark.skipif(PATH != "/users/{id}", reason="README.md shows users")
# Options of the command line for every call, and of its commands that are not calls.
GLOBAL = {"endpoint-url", "no-cli-pager", "output", "profile", "query", "region"}
ADDED = {
    ("configure", "export-credentials"): {"format"},
    ("logs", "tail"): {"filter-pattern", "follow", "format", "since"},
    ("sns", "subscribe"): {"topic-arn", "protocol", "notification-endpoint"},
}


def tokens(page: Path) -> list[Token]:
    """The page's Markdown, as GitHub reads it."""
    return MarkdownIt("commonmark").enable("table").parse(page.read_text())


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives the page's headings."""
    every = tokens(page)
    headings = [every[at + 1].content for at, it in enumerate(every) if it.type == "heading_open"]
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_resolve(page: Path) -> None:
    """Only links within the repository are checked; nothing is fetched."""
    inline = [token for block in tokens(page) for token in block.children or ()]
    links = [str(token.attrs.get("href") or token.attrs.get("src") or "") for token in inline]
    for link in links:
        if not link or link.startswith("https://"):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists() and target.is_relative_to(ROOT), link
        assert not anchor or anchor in anchors(target), link


def commands(program: str) -> Iterator[tuple[str, str]]:
    """Each use of the program, with its page. Text after a use belongs to that use."""
    for page in PAGES:
        for block in tokens(page):
            for token in (block, *(block.children or ())):
                if token.type not in ("fence", "code_block", "code_inline"):
                    continue
                for line in token.content.replace("\\\n", " ").splitlines():
                    uses = re.split(rf"(?:^|[$({{|&])\s*{program} (?=-C |[a-z])", line)
                    yield from ((page.name, use) for use in uses[1:])


def test_the_options_of_aws_exist_and_none_is_missing() -> None:
    session = botocore.session.get_session()
    for page, command in commands("aws"):
        service, name, *_ = re.findall(r"[a-z0-9-]+", command)
        options = set(re.findall(r"--([a-z-]+)", command)) - GLOBAL
        if (service, name) in ADDED:
            assert options <= ADDED[service, name], page
            continue
        model = session.get_service_model("codedeploy" if service == "deploy" else service)
        calls = {xform_name(call, "-"): call for call in model.operation_names}
        assert name in calls, (page, command)
        asks = model.operation_model(calls[name]).input_shape
        known = {xform_name(member, "-") for member in asks.members} if asks else set()
        required = {xform_name(member, "-") for member in asks.required_members} if asks else set()
        assert options <= known | {f"no-{option}" for option in known}, (page, command)
        # A command that is only named has no options.
        assert not options or required <= options, (page, command)


def test_the_parameters_of_sam_deploy_exist() -> None:
    """In operations.md the reader is in a hurry and has more than one stack."""
    for page, command in commands("sam"):
        words = shlex.split(command.partition("--parameter-overrides")[2])
        # sam refuses a parameter without a value, as in A=.
        assert all(re.fullmatch(r"\w+=.+", word) for word in words), (page, command)
        assert {word.partition("=")[0] for word in words} <= PARAMETERS.keys(), (page, command)
        on_call = page == "operations.md" and words
        assert not on_call or command.startswith("deploy --config-env $ENVIRONMENT "), command


def test_the_targets_of_make_exist() -> None:
    for page, command in commands("make"):
        found = re.match(r"(?:-C ([a-z/]+) ?)?([a-z-]*)", command)
        assert found is not None
        makefile = (ROOT / (found[1] or "") / "Makefile").read_text()
        assert re.search(rf"^{found[2]}:", makefile, re.MULTILINE), (page, command)


def readme_blocks() -> list[tuple[str, str]]:
    """The fenced blocks of the README: the language and the text."""
    return [(token.info, token.content) for token in tokens(README) if token.type == "fence"]


@of_users
def test_the_readme_shows_what_happens(deployment: Deployment, resource: str, queue: Queue) -> None:
    """Run each block of curl, in order, and compare it with the answer shown below it."""
    url, shell, seen = deployment.environment["API_URL"], "", 0
    for language, text in readme_blocks():
        if language == "sh" and "curl" in text:
            shell = text.replace(f"http://127.0.0.1:{DEFAULT_PORT}", url)
            shell = shell.replace("/users/ada", path_of(resource))
        elif language == "http":
            environment = os.environ | {"URL": url}
            printed = run("bash", "-euo", "pipefail", "-c", shell, env=environment)
            assert alike(text) <= alike(printed.replace("\r", "")), printed
            seen += 1
    assert seen >= 2


def alike(answer: str) -> set[str]:
    """The part of an answer to compare: the status, the header fields, the members of the body."""
    head, _, body = answer.partition("\n\n")
    status, *fields = head.splitlines()
    return {status, *(field.partition(":")[0].lower() for field in fields), *json.loads(body)}


@of_users
def test_the_readme_lists_every_parameter() -> None:
    rows = re.findall(r"^\| (`[A-Z][^|]*`) \|", README.read_text(), re.MULTILINE)
    assert sorted(re.findall(r"`(\w+)`", " ".join(rows))) == sorted(PARAMETERS)


def test_the_versions_that_are_needed() -> None:
    """The tools' versions are pinned; CI has the oldest compiler, on both architectures."""
    manifest = tomllib.loads((ROOT / "Cargo.toml").read_text())
    rust = manifest["workspace"]["package"]["rust-version"]
    assert README.read_text().count(f"Rust {rust}") == 2
    deploying = (ROOT / "docs" / "deploying.md").read_text()
    assert f"| Rust | {rust} or newer" in deploying
    lock = tomllib.loads((ROOT / "scripts" / "requirements" / "uv.lock").read_text())
    pinned = {package["name"]: package["version"] for package in lock["package"]}
    assert f"{pinned['aws-sam-cli'].rpartition('.')[0]} is tested" in deploying
    assert f"{pinned['cargo-lambda']} is tested" in deploying
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yaml").read_text())
    (job,) = workflow["jobs"].values()
    assert job["strategy"]["matrix"]["machine"] == ["ubuntu-24.04", "ubuntu-24.04-arm"]
    runs = [step["run"] for step in job["steps"] if "run" in step]
    assert runs[-1] == ".ci/run" and "rustup default" in runs[0]


def test_the_prices_are_those_that_the_script_prints() -> None:
    here = (prices.HERE["PUT, now"], prices.HERE["PUT, later"])
    logs = [prices.log_of(way) for way in prices.HERE]
    traces = [prices.traces_of(way, 1) for way in prices.HERE]
    bills = (*here, *prices.ELSEWHERE.values())
    named = [*map(prices.price, bills), min(logs), max(logs), max(traces), prices.fixed()]
    shown = re.findall(r"\$(\d+\.\d\d)", README.read_text())
    assert sorted(shown) == sorted(f"{each:.2f}" for each in named)
    assert prices.requests() in (ROOT / "docs" / "deploying.md").read_text()
    assert prices.batches() in (ROOT / "docs" / "performance.md").read_text()
