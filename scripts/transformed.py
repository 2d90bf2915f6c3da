"""The template as SAM's transform leaves it under given parameters, linted and printed.

    .tools/sam/bin/python -m scripts.transformed Deployment=Canary10Percent5Minutes

The linter sees a circle of resources only here: one function of SAM is many of them.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from typing import Any

from cfnlint.api import ManualArgs, lint
from samcli.lib.translate.sam_template_validator import SamTemplateValidator
from samcli.yamlhelper import yaml_parse

from scripts.environment import REGION
from scripts.sam import TEMPLATE


class NoPolicies:
    """In place of a call to IAM for its managed policies, none of which the template names."""

    def load(self) -> Mapping[str, str]:
        """By their names."""
        return {}


def transformed(parameters: Mapping[str, str]) -> str:
    """The template as CloudFormation gets it, as YAML."""
    template: Any = yaml_parse(TEMPLATE.read_text())
    known = template["Parameters"]
    defaults = {name: each["Default"] for name, each in known.items()}
    values = defaults | dict(parameters)
    # The transform asks for a region, by itself, and nothing else of AWS.
    os.environ.pop("AWS_PROFILE", None)
    os.environ["AWS_DEFAULT_REGION"] = REGION
    validator = SamTemplateValidator(template, NoPolicies(), None, REGION, values)
    return str(validator.get_translated_template_if_valid())


def main() -> None:
    """Print it, or what is wrong with it."""
    logging.getLogger("samtranslator").setLevel(logging.ERROR)
    words = (word.partition("=") for word in sys.argv[1:])
    template = transformed({name: value for name, _, value in words})
    # The transform leaves behind what a linter warns of, such as parameters that it has used up.
    faults = [
        fault
        for fault in lint(template, config=ManualArgs(regions=[REGION]))
        if fault.rule.id.startswith("E")
    ]
    if faults:
        sys.exit("\n".join(map(str, faults)))
    print(template)


if __name__ == "__main__":
    main()
