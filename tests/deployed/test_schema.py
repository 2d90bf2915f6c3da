"""Compares openapi.yaml with the deployed service, by requests that Schemathesis generates from it.

The requests are valid and invalid. All its checks are on except three:

- `ignored_auth` and `object_level_authorization`: this stack answers everyone (AuthMode none),
- `use_after_free`: the status of an operation exists for longer than the resource.

schemathesis.toml replaces defaults of checks that do not fit. The test passes genuine receipts,
which Schemathesis cannot generate. strict.yaml excludes answers that the document allows only for
the future.
"""

import json
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from .client import DEFERRED, Api
from .deployment import Deployment
from .queues import Queue
from .resources import OPERATION_PATH, PATH, ROOT, new_resource, parameters_of, sample
from .shell import run

HERE = ROOT / "tests" / "deployed"
SECONDS = 30
LEFT_OUT = "ignored_auth,object_level_authorization,use_after_free"


def merged(document: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """The document with a merge patch (RFC 7396) applied."""
    result = dict(document)
    for name, value in patch.items():
        is_both = isinstance(value, dict) and name in result
        result[name] = merged(result[name], value) if is_both else value
    return result


def strict_document() -> dict[str, Any]:
    """openapi.yaml with only those answers that the service gives today."""
    texts = [path.read_text() for path in (ROOT / "docs" / "openapi.yaml", HERE / "strict.yaml")]
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


def genuine(document: Any, deployment: Deployment, api: Api) -> dict[str, Any]:
    """Existing path parameters by operationId: of operations that are carried out, lost and
    refused, and of their resource for one in two requests.
    """
    resource = new_resource()
    old = api.put(resource, sample()).headers["etag"]
    with deployment.paused():
        accepted = [api.put_later(resource, sample(2))]
        api.put(resource, sample(3))
    accepted += [api.put_later(resource, sample(), it) for it in ({"If-Match": old}, DEFERRED)]
    ends = [deployment.end_of(answer) for answer in accepted]
    assert ends == ["superseded", "failed", "succeeded"]
    own = parameters_of(resource)
    operations = [own | {"receipt": answer.json()["receipt"]} for answer in accepted]
    found = {(OPERATION_PATH, method): operations for method in ("get", "head", "delete")}
    paths = document["paths"]
    made = {paths[path][method]["operationId"]: it for (path, method), it in found.items()}
    return made | {paths[PATH][method]["operationId"]: [own, None] for method in ("get", "head")}


def test_the_service_is_what_its_document_says(
    deployment: Deployment, api: Api, queue: Queue, tmp_path: Path
) -> None:
    document, file = strict_document(), tmp_path / "openapi.yaml"
    file.write_text(yaml.safe_dump(document))
    command: list[str | Path] = [
        *(sys.executable, "-m", "schemathesis.cli"),
        *("--config-file", HERE / "schemathesis.toml", "run", file, "--url", api.base),
        *("--checks", "all", "--exclude-checks", LEFT_OUT, "--continue-on-failure"),
        *("--seed", os.environ.get("SCHEMATHESIS_SEED", "1"), "--max-examples", "20"),
        *("--max-time", str(SECONDS), "--request-timeout", "30"),
        *("--generation-database", "none", "--no-color"),
    ]
    environment = os.environ | {
        "SCHEMATHESIS_HOOKS": "tests.deployed.schemathesis_hooks",
        "GENUINE": json.dumps(genuine(document, deployment, api)),
        "NO_PROXY": "127.0.0.1",
        # The same requests in every run, as far as the seed decides them.
        "PYTHONHASHSEED": "0",
    }
    run(*command, env=environment)
    queue.is_empty_after("the requests")
