"""openapi.yaml against the deployed service, by requests that Schemathesis makes up from it.

Valid and invalid ones. Of its checks all are on but three:

- `ignored_auth` and `object_level_authorization`: this stack answers everyone (AuthMode none);
- `use_after_free`: the status of an operation outlives the resource.

schemathesis.toml says where a check's defaults do not fit. What Schemathesis cannot make
up, a genuine receipt, it is given. What the document leaves open for the future, strict.yaml
closes here.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from .bodies import sample
from .client import DEFERRED, Api
from .deployment import ROOT, Deployment
from .operations import DAY, operation_id, receipt, store_stalled
from .queues import Queue
from .resources import NAMES, OPERATION_PATH, PATH, new_resource, parameters_of

SECONDS = 45
LEFT_OUT = "ignored_auth,object_level_authorization,use_after_free"


def merged(document: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """The document with a merge patch (RFC 7396) applied."""
    result = dict(document)
    for name, value in patch.items():
        if value is None:
            del result[name]
        elif isinstance(value, dict) and name in result:
            result[name] = merged(result[name], value)
        else:
            result[name] = value
    return result


def strict_document() -> dict[str, Any]:
    """openapi.yaml with only those answers that there are today."""
    here = ROOT / "tests" / "deployed"
    texts = [path.read_text() for path in (ROOT / "docs" / "openapi.yaml", here / "strict.yaml")]
    document = merged(*map(yaml.safe_load, texts))
    for operations in document["paths"].values():
        for method in operations.keys() - {"parameters"}:
            del operations[method]["responses"]["default"]
    headers, segments = document["components"]["headers"], re.sub(r"\{.*?\}", "[^/?#]+", PATH)
    headers["Resource-URL"]["schema"]["pattern"] = f"^(/[^/?#]+)*{segments}$"
    status = f"^(/[^/?#]+)*{segments}/operations/[A-Za-z0-9_-]{{38}}$"
    headers["Status-URL"]["schema"]["pattern"] = status
    problem = document["components"]["schemas"]["Problem"]["properties"]["type"]
    problem["enum"] = problem["examples"]
    return document


def operations_in_every_state(deployment: Deployment, api: Api) -> list[dict[str, str]]:
    """Path parameters: carried out, lost, refused, parked, pending, expired and forgotten."""
    resource = new_resource()
    old = api.put(resource, sample(1)).headers["etag"]
    with deployment.mapping.off():
        accepted = [api.put_later(resource, sample(2))]
        api.put(resource, sample(3))
    accepted += [
        api.put_later(resource, sample(), headers) for headers in ({"If-Match": old}, DEFERRED)
    ]
    ends = {deployment.end_of(answer) for answer in accepted}
    assert ends == {"superseded", "failed", "succeeded"}
    stalled = operation_id(60)
    store_stalled(deployment, resource, stalled)
    operations = [answer.json()["id"] for answer in accepted]
    operations += [stalled, operation_id(), operation_id(33 * DAY), operation_id(45 * DAY)]
    return [
        parameters_of(resource) | {"receipt": receipt(deployment, resource, operation)}
        for operation in operations
    ]


def test_the_service_is_what_its_document_says(
    deployment: Deployment, api: Api, queue: Queue, tmp_path: Path
) -> None:
    document = tmp_path / "openapi.yaml"
    document.write_text(yaml.safe_dump(strict_document()))
    operations = operations_in_every_state(deployment, api)
    own = {name: operations[0][name] for name in NAMES}
    strict = yaml.safe_load(document.read_text())
    genuine = {
        strict["paths"][path][method]["operationId"]: found
        for path, found in ((OPERATION_PATH, operations), (PATH, [own, None]))
        for method in ("get", "head")
    }
    # Of another resource, since those that are not decided are cancelled.
    cancelled = strict["paths"][OPERATION_PATH]["delete"]["operationId"]
    genuine[cancelled] = operations_in_every_state(deployment, api)
    settings = ROOT / "tests" / "deployed" / "schemathesis.toml"
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", settings),
        *("run", document, "--url", api.base),
        *("--checks", "all", "--exclude-checks", LEFT_OUT, "--continue-on-failure"),
        *("--seed", os.environ.get("SCHEMATHESIS_SEED", "1"), "--max-examples", "20"),
        *("--max-time", str(SECONDS)),
        *("--request-timeout", "30", "--generation-database", "none", "--no-color"),
    ]
    environment = os.environ | {
        "SCHEMATHESIS_HOOKS": "tests.deployed.schemathesis_hooks",
        "GENUINE": json.dumps(genuine),
        "NO_PROXY": "127.0.0.1",
        # The same requests in every run, as far as the seed decides them.
        "PYTHONHASHSEED": "0",
    }
    done = subprocess.run(
        [str(part) for part in command],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS + 120,
        check=False,
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout
    queue.is_empty_after("the requests")
