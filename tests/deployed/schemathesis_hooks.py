"""For test_schema.py: most valid requests are about resources and operations that exist.

Made-up ids would only get 404. GENUINE has path parameters by operationId,
null for those that were made up.
"""

import itertools
import json
import os
from typing import Any

import schemathesis
from schemathesis.generation import GenerationMode

GENUINE = {
    name: itertools.cycle(found) for name, found in json.loads(os.environ["GENUINE"]).items()
}
NOTHING = itertools.repeat(None)
UNCONDITIONAL = itertools.cycle([True, False])


@schemathesis.hook
def before_call(context: object, case: Any, kwargs: object) -> None:
    """Put real ids into valid requests; restore quotation marks."""
    if case.meta is None or case.meta.generation.mode is not GenerationMode.POSITIVE:
        return
    found = next(GENUINE.get(case.operation.definition.raw.get("operationId"), NOTHING))
    if found is not None:
        case.path_parameters = found
    # No version has a made-up entity tag: nearly every PUT would get 412.
    if case.method == "PUT" and case.headers and next(UNCONDITIONAL):
        for name in ("If-Match", "If-None-Match"):
            case.headers.pop(name, None)
    # The coverage phase removes them, as if they belonged to a JSON text.
    for name in case.headers.keys() & {"Idempotency-Key", "If-Match", "If-None-Match"}:
        value = case.headers[name]
        if not value.startswith(('"', "W/", "*")):
            case.headers[name] = f'"{value}"'


@schemathesis.hook
def after_call(context: object, case: object, response: schemathesis.Response) -> None:
    """Check a 201 without a body as a 204: a document cannot say that the body may be absent."""
    if response.status_code == 201 and not response.content:
        response.status_code = 204
