"""Requests as a REST API hands them over (payload format 1.0).

The body in base64, the stage in the path, the path as it was sent, and header fields that
are repeated in multiValueHeaders only.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Sequence

from .client import Answer
from .deployment import Deployment
from .resources import OPERATION_PATH, PATH, operation_path, parameters_of, path_of

Fields = Sequence[tuple[str, str]]


def invoke(
    deployment: Deployment,
    method: str,
    resource: str,
    receipt: str = "",
    fields: Fields = (),
    body: bytes | None = None,
    *,
    age: float = 0,
) -> Answer:
    """Hand one request, taken so many seconds ago, to the function that has its route.

    `resource` is as it was sent.
    """
    route, path, parameters = PATH, path_of(resource), parameters_of(resource)
    if receipt:
        route, path = OPERATION_PATH, operation_path(resource, receipt)
        parameters["receipt"] = receipt
    several: dict[str, list[str]] = {}
    for name, value in fields:
        several.setdefault(name, []).append(value)
    taken = time.time() - age
    payload = {
        "resource": route,
        "path": path,
        "httpMethod": method,
        "headers": {name: values[-1] for name, values in several.items()},
        "multiValueHeaders": several,
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "pathParameters": parameters,
        "stageVariables": None,
        "requestContext": {
            "resourcePath": route,
            "httpMethod": method,
            "path": f"/prod{path}",
            "protocol": "HTTP/1.1",
            "stage": "prod",
            "requestTime": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(taken)),
            "requestTimeEpoch": int(taken * 1000),
            "requestId": "c6af9ac6-7b61-11e6-9a41-93e8deadbeef",
            "identity": {"sourceIp": "192.0.2.44", "userArn": None},
            "accountId": "123456789012",
            "apiId": "a1b2c3d4e5",
        },
        "body": None if body is None else base64.b64encode(body).decode(),
        "isBase64Encoded": body is not None,
    }
    is_write = method == "DELETE" or (method == "PUT" and not receipt)
    result = deployment.invoke("PUT" if is_write else "READ", payload)
    text = result.get("body") or ""
    content = base64.b64decode(text) if result.get("isBase64Encoded") else text.encode()
    headers = {name.lower(): value for name, value in (result.get("headers") or {}).items()}
    for name, values in result.get("multiValueHeaders", {}).items():
        headers[name.lower()] = ", ".join(values)
    return Answer(result["statusCode"], headers, content, f"/prod{path}")
