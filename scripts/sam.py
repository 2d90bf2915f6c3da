"""sam's commands on the template, as for AWS."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from scripts.environment import ARCHITECTURE, REGION, ROOT, TOOLS, replace

TEMPLATE = ROOT / "template.yaml"
STACK_NAME = "async-put"
CARGO_LAMBDA = TOOLS / "cargo-lambda" / "bin" / "cargo-lambda"
# A debug build by this machine's linker, to run on this machine. `make` has set the rest, to share
# the compiled code between its builds.
QUICK_BUILD = {"CARGO_LAMBDA_COMPILER": "cargo", "SAM_BUILD_MODE": "debug"}

Command = list[str | Path]


class TemplateLoader(yaml.SafeLoader):
    """Reads the template with its short functions (!Ref, !Sub …), and keeps their arguments."""


def _arguments(loader: yaml.SafeLoader, _tag: str, node: Any) -> Any:
    construct = getattr(loader, f"construct_{node.id}")
    return construct(node) if node.id == "scalar" else construct(node, deep=True)


TemplateLoader.add_multi_constructor("!", _arguments)


def binaries() -> dict[str, str]:
    """The binary of each function, by the function's logical id."""
    resources = yaml.load(TEMPLATE.read_text(), TemplateLoader)["Resources"]
    builds = {
        name: each.get("Metadata", {}).get("BuildProperties", {})
        for name, each in resources.items()
    }
    return {name: build["Binary"] for name, build in builds.items() if "Binary" in build}


def cargo_build(*command: str | Path) -> Command:
    """One build of all functions together."""
    return [*command, *(word for name in binaries().values() for word in ("--bin", name))]


def compile_functions(*, release: bool) -> list[Command]:
    """The same result as `build`, but with progress in the log: sam shows none.

    A release builds each function separately, since each has its own settings for it.
    """
    command: Command = [CARGO_LAMBDA, "lambda", "build"]
    command += ["--arm64"] if ARCHITECTURE == "arm64" else []
    if not release:
        return [cargo_build(*command)]
    return [[*command, "--release", "--bin", name] for name in binaries().values()]


def build(local: Path) -> Command:
    """Sam build."""
    command = [*_sam("build", local), "--template-file", TEMPLATE]
    command += ["--build-dir", local / "build", "--cache-dir", local / "cache"]
    return [*command, "--parameter-overrides", f"Architecture={ARCHITECTURE}"]


def deploy(local: Path, parameters: Mapping[str, str]) -> Command:
    """Sam deploy of the build."""
    command = [*_sam("deploy", local), "--template-file", built_template(local)]
    command += ["--stack-name", STACK_NAME, "--resolve-s3", "--capabilities", "CAPABILITY_IAM"]
    command += ["--no-confirm-changeset", "--no-progressbar", "--no-fail-on-empty-changeset"]
    # In quotation marks, since a value may be empty.
    values = (f'{name}="{value}"' for name, value in parameters.items())
    return [*command, "--parameter-overrides", *values]


def local(local: Path, command: str) -> Command:
    """Sam local COMMAND, with the build."""
    line = [*_sam(f"local {command}", local), "--template-file", built_template(local)]
    return [*line, "--parameter-overrides", f"Architecture={ARCHITECTURE}"]


def built_template(local: Path) -> Path:
    """The template that `build` writes."""
    return local / "build" / "template.yaml"


def validate(local: Path) -> Command:
    """Sam validate --lint."""
    return [*_sam("validate", local), "--lint", "--template-file", TEMPLATE, "--region", REGION]


def _sam(command: str, local: Path) -> Command:
    """The start of a sam command. By module: a script's #! line breaks on a path with a space."""
    # An empty samconfig.toml, so that a real one (bucket, profile) has no effect.
    configuration = local / "samconfig.toml"
    replace(configuration, "version = 0.1\n")
    python = TOOLS / "sam" / "bin" / "python"
    return [python, "-m", "samcli", *command.split(), "--config-file", configuration]
