"""The template after SAM's transform, and in a form that MiniStack accepts.

This file needs the Python of `.tools/sam`.
"""

import copy
import functools
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from boto3 import Session
from samcli.lib.intrinsic_resolver.intrinsic_property_resolver import IntrinsicResolver
from samcli.lib.intrinsic_resolver.intrinsics_symbol_table import IntrinsicsSymbolTable
from samcli.yamlhelper import yaml_parse
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

from scripts.environment import ARCHITECTURE, REGION, replace
from scripts.processes import Failure
from scripts.sam import STACK_NAME, TEMPLATE

Parameters = Mapping[str, str]
NO_VALUE = "AWS::NoValue"
logging.getLogger("samtranslator").setLevel(logging.ERROR)


@functools.cache
def source() -> Any:
    """The template of this repository."""
    return yaml_parse(TEMPLATE.read_text())


def values_with(parameters: Parameters) -> dict[str, str]:
    """These parameters, and the defaults of the others."""
    known = source()["Parameters"].items()
    return {name: str(each["Default"]) for name, each in known} | dict(parameters)


def transformed(parameters: Parameters) -> Any:
    """The form that CloudFormation gets. It names no managed policy, so IAM is not called."""
    template = copy.deepcopy(source())
    # The transform accepts no folder, which `sam build` replaces.
    template["Globals"]["Function"]["CodeUri"] = "s3://bucket/key"
    # It uses the region of its session, and nothing else of AWS.
    session = Session("none", "none", region_name=REGION)
    transform = Translator(None, Parser(), plugins=[], boto_session=session)
    return transform.translate(template, values_with(parameters))


def api_body(template: Any, parameters: Parameters) -> Any:
    """The OpenAPI document for API Gateway in a transformed template."""
    known = {name: {"Default": value} for name, value in values_with(parameters).items()}
    symbols = {"AWS::StackName": STACK_NAME, "AWS::Region": REGION, NO_VALUE: NO_VALUE}
    table = IntrinsicsSymbolTable(template | {"Parameters": known}, symbols)
    body = template["Resources"]["Api"]["Properties"]["Body"]
    return without_no_value(
        IntrinsicResolver(template, table).intrinsic_property_resolver(body, False)
    )


def without_no_value(value: Any) -> Any:
    """A document without the parts that resolved to AWS::NoValue."""
    if isinstance(value, dict):
        return {key: without_no_value(each) for key, each in value.items() if each != NO_VALUE}
    if isinstance(value, list):
        return [without_no_value(each) for each in value if each != NO_VALUE]
    return value


def for_ministack(file: Path, parameters: Parameters) -> tuple[dict[str, str], Any]:
    """Change a built template where MiniStack differs from AWS (.github/CONTRIBUTING.md has the
    list); returns the parameters to deploy it with, and the API's OpenAPI document.
    """
    template = yaml.safe_load(file.read_text())
    known, resources = template["Parameters"], template["Resources"]
    for name in parameters:
        if name not in known:
            choice = f"choose from {', '.join(known)}"
            raise Failure(f"the template has no parameter {name}", choice)
    # All parameters are given. Otherwise an update would keep the values of an earlier one.
    values = values_with({"Architecture": ARCHITECTURE, "AuthMode": "none", **parameters})
    for name, value in values.items():
        known[name]["Default"] = value
    leave_out_metric_math(template)
    for each in resources.values():
        for event in each.get("Properties", {}).get("Events", {}).values():
            if event["Type"] == "SQS":
                event["Properties"] = with_numbers(event["Properties"], values)
    whole = transformed(values)
    body = api_body(whole, values)
    unresolved = whole["Resources"]["Api"]["Properties"]["Body"]
    resources |= routes(body, unresolved)
    replace(file, yaml.safe_dump(template, sort_keys=False))
    return values, body


def leave_out_metric_math(template: Any) -> None:
    """Remove the alarms on an expression."""
    resources = template["Resources"]
    names = [name for name, each in resources.items() if "Metrics" in each.get("Properties", {})]
    for name in names:
        del resources[name]
    of_deployments = template["Globals"]["Function"]["DeploymentPreference"]["Alarms"]
    of_deployments[:] = [alarm for alarm in of_deployments if alarm["Ref"] not in names]


def with_numbers(value: Any, values: Parameters) -> Any:
    """A property with numbers instead of references to parameters."""
    if not isinstance(value, dict):
        return value
    text = values.get(value.get("Ref", ""), "")
    if text.isdigit():
        return int(text)
    return {key: with_numbers(each, values) for key, each in value.items()}


def routes(body: Any, unresolved: Any) -> dict[str, Any]:
    """The resources that replace the API's OpenAPI document. Unresolved, it names the
    functions by their aliases.
    """
    found = {}
    for scheme in body["components"]["securitySchemes"].values():
        if jwt := scheme.get("x-amazon-apigateway-authorizer"):
            settings = jwt["jwtConfiguration"]
            found["Authorizer"] = of_api(
                "Authorizer",
                AuthorizerType="JWT",
                IdentitySource=[jwt["identitySource"]],
                JwtConfiguration={"Issuer": settings["issuer"], "Audience": settings["audience"]},
            )
    for path, operations in body["paths"].items():
        for method, operation in operations.items():
            integration = f"Integration{len(found)}"
            uri = unresolved["paths"][path][method]["x-amazon-apigateway-integration"]["uri"]
            found[integration] = of_api("Integration", IntegrationUri=dict(uri))
            found[f"Route{len(found)}"] = of_api(
                "Route",
                RouteKey=f"{method.upper()} {path}",
                Target={"Fn::Sub": f"integrations/${{{integration}}}"},
                **authorization(operation.get("security", [])),
            )
    return found


def of_api(kind: str, **properties: Any) -> dict[str, Any]:
    """A resource that belongs to the API."""
    return {
        "Type": f"AWS::ApiGatewayV2::{kind}",
        "Properties": {"ApiId": {"Ref": "Api"}, **properties},
    }


def authorization(security: list[dict[str, list[str]]]) -> dict[str, Any]:
    """The properties of a route that determine who may call it."""
    match security:
        case []:
            return {"AuthorizationType": "NONE"}
        case [{"AWS_IAM": []}]:
            return {"AuthorizationType": "AWS_IAM"}
        case [{"Jwt": scopes}]:
            properties = {"AuthorizationType": "JWT", "AuthorizerId": {"Ref": "Authorizer"}}
            return properties | {"AuthorizationScopes": scopes}
    raise ValueError(f"scripts/template.py does not support {security} of a route in template.yaml")
