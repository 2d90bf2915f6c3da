"""What linters do not see in the template. Needs no stack."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from .deployment import ROOT
from .names import FUNCTIONS


class Loader(yaml.SafeLoader):
    """Reads the template with its short functions, of which it keeps the arguments."""


def _arguments(loader: yaml.SafeLoader, _tag: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    return loader.construct_scalar(node)  # type: ignore[arg-type]


Loader.add_multi_constructor("!", _arguments)
TEMPLATE = yaml.load((ROOT / "template.yaml").read_text(), Loader)
RESOURCES = TEMPLATE["Resources"]
# What the transform itself looks at, or what does not belong to a version.
NO_SETTINGS = {"Description", "Events", "AutoPublishCodeSha256", "DeploymentPreference"}


def texts(value: Any) -> Iterator[str]:
    """Every text in it."""
    if isinstance(value, dict):
        value = value.values()
    if isinstance(value, str):
        yield value
    elif hasattr(value, "__iter__"):
        for item in value:
            yield from texts(item)


def parameters_in(value: Any) -> set[str]:
    """The parameters that it refers to, also through conditions."""
    found: set[str] = set()
    for text in texts(value):
        for name in {text, *re.findall(r"\$\{(\w+)\}", text)}:
            if name in TEMPLATE["Parameters"]:
                found.add(name)
            elif name in TEMPLATE["Conditions"]:
                found |= parameters_in(TEMPLATE["Conditions"][name])
    return found


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_change_of_a_parameter_publishes_what_depends_on_it(function: str) -> None:
    """SAM's transform sees parameters' values in the description only."""
    properties = TEMPLATE["Globals"]["Function"] | RESOURCES[function]["Properties"]
    settings = {name: value for name, value in properties.items() if name not in NO_SETTINGS}
    # SAM adds a function's own variables to these.
    settings["Globals"] = TEMPLATE["Globals"]["Function"]["Environment"]
    named = parameters_in(properties["Description"])
    assert parameters_in(settings) == named, f"name them in the Description of {function}"
    assert properties["AutoPublishAliasAllProperties"] is True
    assert properties["AutoPublishCodeSha256"] == "Revision"


def test_batches_fail_by_record_and_come_back_when_no_attempt_is_under_way() -> None:
    events = [
        (resource["Properties"], event["Properties"])
        for name, resource in RESOURCES.items()
        if name in FUNCTIONS
        for event in resource["Properties"].get("Events", {}).values()
        if event["Type"] == "SQS"
    ]
    assert len(events) == 2
    for function, event in events:
        assert event["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
        queue = RESOURCES[event["Queue"].removesuffix(".Arn")]["Properties"]
        window = event.get("MaximumBatchingWindowInSeconds")
        longest = TEMPLATE["Parameters"][window]["MaxValue"] if window else 0
        # https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
        assert queue["VisibilityTimeout"] >= 6 * function["Timeout"] + longest


def test_what_holds_data_stays_when_the_stack_goes() -> None:
    """What a condition makes holds none."""
    kept = {"AWS::DynamoDB::Table", "AWS::SQS::Queue", "AWS::SecretsManager::Secret"}
    for name, resource in RESOURCES.items():
        if resource["Type"] in kept and "Condition" not in resource:
            policies = resource["DeletionPolicy"], resource["UpdateReplacePolicy"]
            assert policies == ("RetainExceptOnCreate", "Retain"), name


def test_a_queue_takes_dead_letters_of_those_that_send_them_there() -> None:
    """A queue that refused them would fail the deployment, but not here."""
    queues = {
        name: resource["Properties"]
        for name, resource in RESOURCES.items()
        if resource["Type"] == "AWS::SQS::Queue"
    }
    assert len(queues) == 4
    for name, queue in queues.items():
        sources = {
            other["QueueName"].removeprefix("${AWS::StackName}")
            for other in queues.values()
            if other.get("RedrivePolicy", {}).get("deadLetterTargetArn") == f"{name}.Arn"
        }
        policy = queue["RedriveAllowPolicy"]
        allowed = {
            arn.partition("${AWS::StackName}")[2] for arn in policy.get("sourceQueueArns", [])
        }
        assert allowed == sources, name
        assert policy["redrivePermission"] == ("byQueue" if sources else "denyAll"), name


def test_an_issuer_that_cannot_be_reached_fails_the_deployment() -> None:
    """Else the API is left without the routes that need it."""
    assert RESOURCES["Api"]["Properties"]["FailOnWarnings"] is True


def test_every_kind_of_deployment_is_known_to_be_gradual_or_not() -> None:
    kinds = TEMPLATE["Parameters"]["Deployment"]["AllowedValues"]
    gradual = {
        kind: value["IsGradual"] for kind, value in TEMPLATE["Mappings"]["Deployments"].items()
    }
    assert gradual == {kind: str(kind != "AllAtOnce").lower() for kind in kinds}


def longest(parameter: str) -> int:
    """The most characters that a parameter's value has."""
    found = TEMPLATE["Parameters"][parameter]
    values = found.get("AllowedValues") or [found.get("MaxValue", "")]
    return int(found.get("MaxLength") or max(len(str(value)) for value in values))


@pytest.mark.parametrize("function", FUNCTIONS)
def test_no_parameter_makes_a_description_too_long(function: str) -> None:
    """https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html"""
    description = RESOURCES[function]["Properties"]["Description"]
    if isinstance(description, list):
        description, parts = description
        # The end of an ARN, `key/` and a UUID.
        assert parts.keys() == {"Key"}
        description = description.replace("${Key}", "k" * (len("key/") + 36))
    # SAM appends AutoPublishCodeSha256, which is the parameter Revision.
    description += " ${Revision}"
    lengths = [longest(name) for name in re.findall(r"\$\{(\w+)\}", description)]
    assert all(lengths)
    assert len(re.sub(r"\$\{\w+\}", "", description)) + sum(lengths) <= 256


def test_nothing_is_open_or_paid_for_unless_it_is_asked_for() -> None:
    """An issuer may grant any scope that is asked for, so no scope makes an admin by default."""
    defaults = {name: each["Default"] for name, each in TEMPLATE["Parameters"].items()}
    assert (defaults["AuthMode"], defaults["AdminScope"]) == ("iam", "")
    assert defaults["Tracing"] == "PassThrough"


def test_both_tables_have_a_time_to_live_and_the_maximum_that_is_asked_for() -> None:
    tables = [each for each in RESOURCES.values() if each["Type"] == "AWS::DynamoDB::Table"]
    assert len(tables) == 2
    for table in tables:
        lifetime = table["Properties"]["TimeToLiveSpecification"]
        assert lifetime == {"AttributeName": "expires_at", "Enabled": True}
        condition, maximum, _ = table["Properties"]["OnDemandThroughput"]
        assert condition == "LimitsTables"
        assert maximum["MaxWriteRequestUnits"][:2] == ["LimitsWrites", "TableMaxWriteUnits"]
        assert maximum["MaxReadRequestUnits"][:2] == ["LimitsReads", "TableMaxReadUnits"]


def variables_read(function: str) -> set[str]:
    """The variables that a function's code names, itself and through what it calls for them."""
    shell = ROOT / "crates" / "lambda-shell" / "src"
    bodies: dict[str, str] = {}
    for file in ("environment.rs", "log.rs"):
        for body in re.split(r"\n(?= *pub )", (shell / file).read_text())[1:]:
            if found := re.match(r" *pub(?:\(crate\))? (?:async )?fn (\w+)", body):
                bodies[found[1]] = body
    pending = [(ROOT / "functions" / FUNCTIONS[function] / "src" / "main.rs").read_text()]
    if "Served::from_environment" in pending[0]:
        pending += [file.read_text() for file in (ROOT / "crates/resource/src").rglob("*.rs")]
    names: set[str] = set()
    while pending:
        body = pending.pop()
        names |= set(re.findall(r'(?:required|one_of|optional|var)\("([A-Z_]+)"', body))
        names |= set(re.findall(r'let name = "([A-Z_]+)"', body))
        pending += [
            bodies.pop(name)
            for name in re.findall(r"\b(\w+)(?:::<\w+>)?\(", body)
            if name in bodies
        ]
    return {name for name in names if not name.startswith("AWS_")}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_variables_set_are_those_that_the_code_reads(function: str) -> None:
    shared = TEMPLATE["Globals"]["Function"].get("Environment", {}).get("Variables", {})
    own = RESOURCES[function]["Properties"]["Environment"]["Variables"]
    names = {name for name in shared.keys() | own.keys() if not name.startswith("AWS_")}
    assert variables_read(function) == names, (
        f"the Environment of {function} in template.yaml has other variables than its code reads"
    )


def test_samconfig_names_parameters_of_the_template() -> None:
    configuration = tomllib.loads((ROOT / "samconfig.toml").read_text())
    assert {"default", "prod"} < configuration.keys()
    overrides = configuration["prod"]["deploy"]["parameters"]["parameter_overrides"]
    for override in overrides:
        name, _, value = override.partition("=")
        allowed = TEMPLATE["Parameters"][name].get("AllowedValues", [value])
        assert value in map(str, allowed), override
