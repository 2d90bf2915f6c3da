"""The commands of `aws`, `sam` and `make` that the documents show: their options exist."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore import xform_name

from .deployment import ROOT
from .test_documents import PAGES, tokens
from .test_template import TEMPLATE

SESSION = botocore.session.get_session()
# Of the command line alone, for every call.
GLOBAL = {"endpoint-url", "no-cli-pager", "output", "profile", "query", "region"}
# Services that the command line calls otherwise.
RENAMED = {"deploy": "codedeploy"}
# What the command line adds to the calls of the services.
ADDED = {
    ("configure", "export-credentials"): {"format"},
    ("logs", "tail"): {"filter-pattern", "follow", "format", "since"},
    ("sns", "subscribe"): {"topic-arn", "protocol", "notification-endpoint"},
}


def code(page: Path) -> Iterator[str]:
    """The lines of the page's code, the long ones joined."""
    for block in tokens(page):
        parts = [block] if block.type in ("fence", "code_block") else block.children or []
        for part in parts:
            if part.type in ("fence", "code_block", "code_inline"):
                yield from part.content.replace("\\\n", " ").splitlines()


def commands(program: str) -> list[tuple[str, str]]:
    """Each use of the program, with the page it stands in; what follows belongs to the last."""
    found = []
    for page in PAGES:
        for line in code(page):
            uses = re.split(rf"(?:^|[$({{|&])\s*{program} (?=-C |[a-z])", line)
            found += [(page.name, use) for use in uses[1:]]
    return found


@pytest.mark.parametrize(("page", "command"), commands("aws"))
def test_the_options_of_aws_exist_and_none_is_missing(page: str, command: str) -> None:
    service, name, *_ = re.findall(r"[a-z0-9-]+", command)
    options = set(re.findall(r"--([a-z-]+)", command)) - GLOBAL
    if (service, name) in ADDED:
        assert options <= ADDED[service, name], page
        return
    model = SESSION.get_service_model(RENAMED.get(service, service))
    calls = {xform_name(call, "-"): call for call in model.operation_names}
    assert name in calls, page
    asks = model.operation_model(calls[name]).input_shape
    known = {xform_name(member, "-") for member in asks.members} if asks else set()
    required = {xform_name(member, "-") for member in asks.required_members} if asks else set()
    assert options <= known | {f"no-{option}" for option in known}, page
    # A command that is only named has none of them.
    assert not options or required <= options, page


def read_by_sam(words: list[str]) -> Any:
    """The parameters that sam takes these words for; it refuses one without a value, as in A=."""
    read = "import json, sys; from samcli.cli.types import CfnParameterOverridesType as Read; "
    read += "print(json.dumps(Read().convert(tuple(sys.argv[1:]), None, None)))"
    line: list[str | Path] = [ROOT / ".tools" / "sam" / "bin" / "python", "-c", read, *words]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(("page", "command"), commands("sam"))
def test_the_parameters_of_sam_deploy_exist(page: str, command: str) -> None:
    words = shlex.split(command.partition("--parameter-overrides")[2])
    names = [word.partition("=")[0] for word in words]
    assert set(names) <= TEMPLATE["Parameters"].keys(), page
    assert not words or list(read_by_sam(words)) == names, page
    # There somebody is in a hurry, and has more than one stack.
    on_call = page == "operations.md" and words
    assert not on_call or command.startswith("deploy --config-env $ENVIRONMENT "), command


@pytest.mark.parametrize(("page", "command"), commands("make"))
def test_the_targets_of_make_exist(page: str, command: str) -> None:
    found = re.match(r"(?:-C ([a-z/]+) ?)?([a-z-]*)", command)
    assert found is not None
    folder, target = found.groups()
    makefile = (ROOT / (folder or "") / "Makefile").read_text()
    assert re.search(rf"^{target}:", makefile, re.MULTILINE), page
