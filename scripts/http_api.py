"""Give a local HTTP API the routes that MiniStack drops.

SAM turns `AWS::Serverless::HttpApi` into an `AWS::ApiGatewayV2::Api` with an OpenAPI
`Body`. MiniStack creates the API and ignores that body, so the API has no routes. Here
the body is read back from the processed template, and the same authorizers,
integrations and routes are made with plain API calls.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

# What stands for no value at all, and is left out of what holds it.
NOTHING = object()


class Intrinsics:
    """Resolves the CloudFormation functions that occur in the API's OpenAPI body."""

    def __init__(
        self,
        conditions: Mapping[str, Any],
        parameters: Mapping[str, str],
        physical_ids: Mapping[str, str],
        stack_id: str,
    ) -> None:
        self._conditions = conditions
        # arn:aws:cloudformation:REGION:ACCOUNT:stack/NAME/UUID
        region, account, stack = stack_id.split(":")[3:]
        self._values: dict[str, Any] = {
            **physical_ids,
            **parameters,
            "AWS::StackName": stack.split("/")[1],
            "AWS::Region": region,
            "AWS::AccountId": account,
            "AWS::Partition": "aws",
            "AWS::NoValue": NOTHING,
        }
        for name, physical_id in physical_ids.items():
            arn = f"arn:aws:lambda:{region}:{account}:function:{physical_id}"
            self._values[f"{name}.Arn"] = arn

    def resolve(self, value: Any) -> Any:
        """The value with every function in it replaced by its result."""
        if isinstance(value, list):
            return [item for item in map(self.resolve, value) if item is not NOTHING]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            ((name, argument),) = value.items()
            if name == "Ref" or name.startswith("Fn::"):
                return self._result(name, argument)
        resolved = {key: self.resolve(item) for key, item in value.items()}
        return {key: item for key, item in resolved.items() if item is not NOTHING}

    def _result(self, function: str, argument: Any) -> Any:
        match function:
            case "Ref":
                return self._values[argument]
            case "Fn::If":
                condition, then, otherwise = argument
                return self.resolve(then if self.holds(self._conditions[condition]) else otherwise)
            case "Fn::Split":
                separator, text = argument
                return self.resolve(text).split(separator)
            case "Fn::Sub":
                return re.sub(r"\$\{([^}]+)\}", lambda found: self._values[found[1]], argument)
        raise ValueError(f"{function} in the API's body: teach scripts/http_api.py of it")

    def holds(self, condition: Mapping[str, Any]) -> bool:
        """Whether a condition of the template does."""
        ((function, argument),) = condition.items()
        match function:
            case "Fn::Equals":
                left, right = self.resolve(argument)
                return str(left) == str(right)
            case "Fn::Not":
                return not self.holds(argument[0])
            case "Condition":
                return self.holds(self._conditions[argument])
        raise ValueError(f"the condition {function}: teach scripts/http_api.py to resolve it")


def complete(client: Any, api_id: str, body: Mapping[str, Any]) -> list[str]:
    """Make the API's CORS setting, authorizers, integrations and routes as the resolved body says.

    Routes that are there already are updated, so that a second deployment leaves no moment
    without them; what the body no longer names is removed. Returns the route keys.
    """
    cors = body.get("x-amazon-apigateway-cors")
    if cors:
        settings = {key[0].upper() + key[1:]: value for key, value in cors.items()}
        client.update_api(ApiId=api_id, CorsConfiguration=settings)

    old_routes = {
        route["RouteKey"]: route["RouteId"] for route in client.get_routes(ApiId=api_id)["Items"]
    }
    old_integrations = client.get_integrations(ApiId=api_id)["Items"]
    old_authorizers = client.get_authorizers(ApiId=api_id)["Items"]

    schemes = body.get("components", {}).get("securitySchemes", {})
    authorizers = {
        name: _create_authorizer(client, api_id, name, scheme["x-amazon-apigateway-authorizer"])
        for name, scheme in schemes.items()
        if "x-amazon-apigateway-authorizer" in scheme
    }
    integrations: dict[str, str] = {}
    route_keys = []
    for key, operation in _operations(body):
        uri = operation["x-amazon-apigateway-integration"]["uri"]
        if uri not in integrations:
            created = client.create_integration(
                ApiId=api_id,
                IntegrationType="AWS_PROXY",
                IntegrationMethod="POST",
                IntegrationUri=uri,
                PayloadFormatVersion="2.0",
            )
            integrations[uri] = created["IntegrationId"]
        route = {
            "ApiId": api_id,
            "RouteKey": key,
            "Target": f"integrations/{integrations[uri]}",
            **_authorization(operation.get("security", []), authorizers),
        }
        if key in old_routes:
            client.update_route(RouteId=old_routes.pop(key), **route)
        else:
            client.create_route(**route)
        route_keys.append(key)

    for route_id in old_routes.values():
        client.delete_route(ApiId=api_id, RouteId=route_id)
    for integration in old_integrations:
        client.delete_integration(ApiId=api_id, IntegrationId=integration["IntegrationId"])
    for authorizer in old_authorizers:
        client.delete_authorizer(ApiId=api_id, AuthorizerId=authorizer["AuthorizerId"])
    return route_keys


def _operations(body: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each operation that has a function, with its route key, such as "PUT /things/{id}"."""
    for path, methods in body["paths"].items():
        for method, operation in methods.items():
            if "x-amazon-apigateway-integration" in operation:
                yield f"{method.upper()} {path}", operation


def _create_authorizer(client: Any, api_id: str, name: str, scheme: Mapping[str, Any]) -> str:
    """A JWT authorizer; the template has no other. Returns its id."""
    settings = scheme["jwtConfiguration"]
    created = client.create_authorizer(
        ApiId=api_id,
        Name=name,
        AuthorizerType="JWT",
        IdentitySource=[scheme["identitySource"]],
        JwtConfiguration={"Issuer": settings["issuer"], "Audience": settings["audience"]},
    )
    return str(created["AuthorizerId"])


def _authorization(
    security: list[Mapping[str, list[str]]], authorizers: Mapping[str, str]
) -> dict[str, Any]:
    """The arguments of CreateRoute that say who may call it."""
    for requirement in security:
        for name, scopes in requirement.items():
            if name in authorizers:
                limited = {"AuthorizationScopes": scopes} if scopes else {}
                return {"AuthorizationType": "JWT", "AuthorizerId": authorizers[name], **limited}
            if name == "AWS_IAM":
                return {"AuthorizationType": "AWS_IAM"}
            raise ValueError(f"the security scheme {name}: teach scripts/http_api.py to make it")
    return {"AuthorizationType": "NONE"}
