"""Give a local HTTP API the routes that MiniStack drops.

SAM turns `AWS::Serverless::HttpApi` into an `AWS::ApiGatewayV2::Api` with an OpenAPI
`Body`. MiniStack creates the API and ignores that body, so the API has no routes. Here
the body is read back from the processed template, and the same authorizers,
integrations and routes are made with plain API calls. Routes that the template gains
later need no change here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

METHODS = {"get", "put", "post", "delete", "patch", "head", "options", "x-amazon-apigateway-any-method"}


class Intrinsics:
    """Resolves the CloudFormation functions that stand in an API's OpenAPI body."""

    def __init__(
        self,
        template: Mapping[str, Any],
        parameters: Mapping[str, str],
        physical_ids: Mapping[str, str],
        stack_id: str,
    ) -> None:
        self._conditions = template.get("Conditions", {})
        self._types = {name: resource["Type"] for name, resource in template["Resources"].items()}
        self._physical_ids = physical_ids
        # arn:aws:cloudformation:REGION:ACCOUNT:stack/NAME/UUID
        self._region, self._account, stack = stack_id.split(":")[3:]
        self._refs = {
            **physical_ids,
            **parameters,
            "AWS::StackId": stack_id,
            "AWS::StackName": stack.split("/")[1],
            "AWS::Region": self._region,
            "AWS::AccountId": self._account,
            "AWS::Partition": "aws",
            "AWS::URLSuffix": "amazonaws.com",
        }

    def resolve(self, value: Any) -> Any:
        """The value with every intrinsic function in it replaced by its result."""
        if isinstance(value, list):
            return [self.resolve(item) for item in value]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            ((name, argument),) = value.items()
            match name:
                case "Ref":
                    return self._ref(argument)
                case "Fn::GetAtt":
                    return self._attribute(*(argument.split(".", 1) if isinstance(argument, str) else argument))
                case "Fn::Sub":
                    return self._substitute(argument)
                case "Fn::Join":
                    return argument[0].join(self.resolve(argument[1]))
                case "Fn::If":
                    return self.resolve(argument[1] if self._condition(argument[0]) else argument[2])
                case _ if name.startswith("Fn::"):
                    raise ValueError(f"{name} in the API's OpenAPI body is not supported by scripts/http_api.py")
        resolved = {key: self.resolve(item) for key, item in value.items()}
        return {key: item for key, item in resolved.items() if item != {"Ref": "AWS::NoValue"}}

    def _ref(self, name: str) -> Any:
        return {"Ref": name} if name == "AWS::NoValue" else self._refs[name]

    def _attribute(self, name: str, attribute: str) -> str:
        physical_id = self._physical_ids[name]
        match self._types[name], attribute:
            case "AWS::Lambda::Function", "Arn":
                return f"arn:aws:lambda:{self._region}:{self._account}:function:{physical_id}"
            case "AWS::Cognito::UserPool", "ProviderURL":
                return f"https://cognito-idp.{self._region}.amazonaws.com/{physical_id}"
            case "AWS::IAM::Role", "Arn":
                return f"arn:aws:iam::{self._account}:role/{physical_id}"
        raise ValueError(f"{name}.{attribute} in the API's OpenAPI body is not supported by scripts/http_api.py")

    def _substitute(self, argument: Any) -> str:
        text, names = (argument, {}) if isinstance(argument, str) else argument

        def replacement(match: re.Match[str]) -> str:
            name = match.group(1)
            if name in names:
                return str(self.resolve(names[name]))
            return str(self._attribute(*name.split(".", 1)) if "." in name else self._ref(name))

        return re.sub(r"\$\{([^!}]+)\}", replacement, text).replace("${!", "${")

    def _condition(self, name: str | dict[str, Any]) -> bool:
        ((function, argument),) = (self._conditions[name] if isinstance(name, str) else name).items()
        match function:
            case "Condition":
                return self._condition(argument)
            case "Fn::Equals":
                left, right = self.resolve(argument)
                return str(left) == str(right)
            case "Fn::Not":
                return not self._condition(argument[0])
            case "Fn::And":
                return all(self._condition(item) for item in argument)
            case "Fn::Or":
                return any(self._condition(item) for item in argument)
        raise ValueError(f"the condition function {function} is not supported by scripts/http_api.py")


def complete(client: Any, api_id: str, body: Mapping[str, Any]) -> list[str]:
    """Make the API's CORS setting, authorizers, integrations and routes as the resolved body says.

    Routes that are there already are updated, so a second deployment leaves no moment
    without them; what the body no longer names is removed. Returns the route keys.
    """
    cors = body.get("x-amazon-apigateway-cors")
    if cors:
        client.update_api(
            ApiId=api_id, CorsConfiguration={key[0].upper() + key[1:]: value for key, value in cors.items()}
        )

    old_routes = {route["RouteKey"]: route["RouteId"] for route in client.get_routes(ApiId=api_id)["Items"]}
    old_integrations = [item["IntegrationId"] for item in client.get_integrations(ApiId=api_id)["Items"]]
    old_authorizers = [item["AuthorizerId"] for item in client.get_authorizers(ApiId=api_id)["Items"]]

    schemes = body.get("components", {}).get("securitySchemes", {})
    authorizers = {
        name: client.create_authorizer(ApiId=api_id, Name=name, **_authorizer(scheme))["AuthorizerId"]
        for name, scheme in schemes.items()
        if "x-amazon-apigateway-authorizer" in scheme
    }
    integrations: dict[str, str] = {}
    route_keys = []
    for key, operation in _operations(body):
        integration = operation["x-amazon-apigateway-integration"]
        uri = integration["uri"]
        if uri not in integrations:
            integrations[uri] = client.create_integration(
                ApiId=api_id,
                IntegrationType=integration["type"].upper(),
                IntegrationMethod=integration.get("httpMethod", "POST"),
                IntegrationUri=uri,
                PayloadFormatVersion=integration.get("payloadFormatVersion", "1.0"),
                TimeoutInMillis=integration.get("timeoutInMillis", 30000),
            )["IntegrationId"]
        route = {
            "ApiId": api_id,
            "RouteKey": key,
            "Target": f"integrations/{integrations[uri]}",
            **_authorization(operation.get("security", body.get("security", [])), schemes, authorizers),
        }
        if key in old_routes:
            client.update_route(RouteId=old_routes.pop(key), **route)
        else:
            client.create_route(**route)
        route_keys.append(key)

    for route_id in old_routes.values():
        client.delete_route(ApiId=api_id, RouteId=route_id)
    for integration_id in old_integrations:
        client.delete_integration(ApiId=api_id, IntegrationId=integration_id)
    for authorizer_id in old_authorizers:
        client.delete_authorizer(ApiId=api_id, AuthorizerId=authorizer_id)
    return route_keys


def _operations(body: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each operation of the body with its route key, such as "PUT /users/{id}"."""
    for path, methods in body.get("paths", {}).items():
        for method, operation in methods.items():
            if method in METHODS and "x-amazon-apigateway-integration" in operation:
                verb = "ANY" if method == "x-amazon-apigateway-any-method" else method.upper()
                yield ("$default" if path == "/$default" else f"{verb} {path}"), operation


def _authorizer(scheme: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of CreateAuthorizer for one security scheme."""
    definition = scheme["x-amazon-apigateway-authorizer"]
    source = definition.get("identitySource", "$request.header.Authorization")
    arguments: dict[str, Any] = {
        "AuthorizerType": definition["type"].upper(),
        "IdentitySource": [part.strip() for part in source.split(",")] if isinstance(source, str) else source,
    }
    if definition["type"] == "jwt":
        settings = definition["jwtConfiguration"]
        arguments["JwtConfiguration"] = {"Issuer": settings["issuer"], "Audience": settings["audience"]}
    else:
        arguments["AuthorizerUri"] = definition["authorizerUri"]
        arguments["AuthorizerPayloadFormatVersion"] = str(definition.get("authorizerPayloadFormatVersion", "2.0"))
        arguments["EnableSimpleResponses"] = definition.get("enableSimpleResponses", False)
        arguments["AuthorizerResultTtlInSeconds"] = definition.get("authorizerResultTtlInSeconds", 0)
    return arguments


def _authorization(
    security: list[Mapping[str, Any]], schemes: Mapping[str, Any], authorizers: Mapping[str, str]
) -> dict[str, Any]:
    """The arguments of CreateRoute that say who may call it."""
    for requirement in security:
        for name, scopes in requirement.items():
            if name in authorizers:
                is_jwt = schemes[name]["x-amazon-apigateway-authorizer"]["type"] == "jwt"
                return {
                    "AuthorizationType": "JWT" if is_jwt else "CUSTOM",
                    "AuthorizerId": authorizers[name],
                    **({"AuthorizationScopes": scopes} if is_jwt and scopes else {}),
                }
            if name == "AWS_IAM":
                return {"AuthorizationType": "AWS_IAM"}
    return {"AuthorizationType": "NONE"}
