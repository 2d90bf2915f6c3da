"""For test_schema.py: most valid requests are about resources and operations that exist.

Made-up ids would be answered with 404 alone. GENUINE has path parameters by operationId,
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
    """Let valid requests be about something; put back quotation marks."""
    if case.meta is None or case.meta.generation.mode is not GenerationMode.POSITIVE:
        return
    found = next(GENUINE.get(case.operation.definition.raw.get("operationId"), NOTHING))
    if found is not None:
        case.path_parameters = found
    # Made-up entity tags are nobody's: nearly every PUT would be answered with 412.
    if case.method == "PUT" and case.headers and next(UNCONDITIONAL):
        for name in ("If-Match", "If-None-Match"):
            case.headers.pop(name, None)
    # The coverage phase takes them off, as if they were those of a JSON text.
    for name in case.headers.keys() & {"Idempotency-Key", "If-Match", "If-None-Match"}:
        value = case.headers[name]
        if not value.startswith(('"', "W/", "*")):
            case.headers[name] = f'"{value}"'


@schemathesis.hook
def after_call(context: object, case: object, response: schemathesis.Response) -> None:
    """Check a 201 without a body as a 204, since no document can say that there may be none."""
    if response.status_code == 201 and not response.content:
        response.status_code = 204
