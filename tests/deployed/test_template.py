"""Properties of the template that linters do not check. Needs no stack."""

import re
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from scripts import sam

from .deployment import FUNCTIONS
from .resources import KNOWN, ROOT

TEMPLATE = yaml.load(sam.TEMPLATE.read_text(), sam.TemplateLoader)
RESOURCES = TEMPLATE["Resources"]
PARAMETERS = TEMPLATE["Parameters"]
# Used by the transform itself, or not part of a version.
NO_SETTINGS = {"Description", "Events", "AutoPublishCodeSha256", "DeploymentPreference"}
of_functions = pytest.mark.parametrize("function", FUNCTIONS)


def of_type(kind: str) -> dict[str, Any]:
    """The resources of a type that exist without a condition, with their properties."""
    found = {name: each for name, each in RESOURCES.items() if each["Type"] == f"AWS::{kind}"}
    return {name: each["Properties"] for name, each in found.items() if "Condition" not in each}


# The calls of each function, and those with which Lambda delivers messages to it.
MAY = {
    "put": {
        "ResourcesTable": "dynamodb:UpdateItem dynamodb:GetItem",
        "OperationsTable": "dynamodb:PutItem dynamodb:GetItem",
        "UpdatesQueue": "sqs:SendMessage",
    },
    "read": {"ResourcesTable": "dynamodb:GetItem", "OperationsTable": "dynamodb:GetItem"},
    "apply": {
        "ResourcesTable": "dynamodb:UpdateItem",
        "OperationsTable": "dynamodb:PutItem",
        "UpdatesQueue": "sqs:DeleteMessage sqs:ChangeMessageVisibility "
        "sqs:ReceiveMessage sqs:GetQueueAttributes",
        "DeadLettersQueue": "sqs:SendMessage",
    },
    "park": {
        "OperationsTable": "dynamodb:PutItem",
        "ParkedQueue": "sqs:SendMessage",
        "DeadLettersQueue": "sqs:ReceiveMessage sqs:DeleteMessage sqs:GetQueueAttributes",
    },
}
KMS = "kms:Decrypt kms:DescribeKey kms:Encrypt kms:GenerateDataKey* kms:ReEncrypt*"
ALL_MAY = {"KmsKeyArn": KMS, "*": "xray:PutTraceSegments xray:PutTelemetryRecords"}
if KNOWN["hasUpdate"]:
    # apply first checks whether the update must still run.
    for table in ("ResourcesTable", "OperationsTable"):
        MAY["apply"][table] += " dynamodb:BatchGetItem"


def listed(value: Any) -> list[Any]:
    """A list, also for one value."""
    return value if isinstance(value, list) else [value]


@of_functions
def test_nothing_else_is_granted(function: str) -> None:
    """The other tests show that each grant is enough: MiniStack enforces the roles."""
    name = FUNCTIONS[function]
    role = RESOURCES[RESOURCES[function]["Properties"]["Role"].removesuffix(".Arn")]["Properties"]
    assert role.keys() == {"AssumeRolePolicyDocument", "Policies"}
    statements = [it for policy in role["Policies"] for it in policy["PolicyDocument"]["Statement"]]
    # A statement under a condition is a list: the condition, the statement, nothing.
    statements = [it[1] if isinstance(it, list) else it for it in statements]
    assert all(set(it) == {"Effect", "Action", "Resource"} for it in statements)
    granted = {
        f"{action} {resource.removesuffix('.Arn')}"
        for statement in statements
        for action in listed(statement["Action"])
        for resource in listed(statement["Resource"])
    }
    logs = {f"{name.capitalize()}Logs": "logs:CreateLogStream logs:PutLogEvents"}
    needed = {
        f"{action} {resource}"
        for resource, actions in (MAY[name] | ALL_MAY | logs).items()
        for action in actions.split()
    }
    assert granted == needed, "see 'A permission of its own' in docs/make-it-yours.md"


def texts(value: Any) -> Iterator[str]:
    """Every text in a value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from texts(item)


def parameters_in(value: Any) -> set[str]:
    """The parameters that a value refers to, also through conditions."""
    found: set[str] = set()
    for text in texts(value):
        for name in {text, *re.findall(r"\$\{(\w+)\}", text)}:
            if name in PARAMETERS:
                found.add(name)
            elif name in TEMPLATE["Conditions"]:
                found |= parameters_in(TEMPLATE["Conditions"][name])
    return found


def longest(parameter: str) -> int:
    """The length of the longest value of a parameter."""
    found = PARAMETERS[parameter]
    values = found.get("AllowedValues") or [found.get("MaxValue", "")]
    return int(found.get("MaxLength") or max(len(str(value)) for value in values))


@of_functions
def test_a_change_of_a_parameter_publishes_what_depends_on_it(function: str) -> None:
    """SAM's transform sees parameters' values only in the description, which has 256 characters."""
    properties = TEMPLATE["Globals"]["Function"] | RESOURCES[function]["Properties"]
    settings = {name: value for name, value in properties.items() if name not in NO_SETTINGS}
    # SAM adds a function's own variables to these.
    settings["Globals"] = TEMPLATE["Globals"]["Function"]["Environment"]
    description = properties["Description"]
    assert parameters_in(settings) == parameters_in(description), f"name them in that of {function}"
    assert properties["AutoPublishAliasAllProperties"] is True
    assert properties["AutoPublishCodeSha256"] == "Revision"
    if isinstance(description, list):
        # The end of an ARN, `key/` and a UUID.
        description = description[0].replace("${Key}", "k" * (len("key/") + 36))
    # SAM appends AutoPublishCodeSha256, which is the parameter Revision.
    description += " ${Revision}"
    lengths = [longest(name) for name in re.findall(r"\$\{(\w+)\}", description)]
    assert all(lengths)
    assert len(re.sub(r"\$\{\w+\}", "", description)) + sum(lengths) <= 256


@pytest.mark.parametrize(
    ("function", "queue"), [("ApplyFunction", "UpdatesQueue"), ("ParkFunction", "DeadLettersQueue")]
)
def test_batches_fail_by_record_and_come_back_when_no_attempt_is_under_way(
    function: str, queue: str
) -> None:
    properties = RESOURCES[function]["Properties"]
    (event,) = (event["Properties"] for event in properties["Events"].values())
    assert event["Queue"] == f"{queue}.Arn"
    assert event["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    window = event.get("MaximumBatchingWindowInSeconds")
    wait = PARAMETERS[window]["MaxValue"] if window else 0
    # https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
    visibility = RESOURCES[queue]["Properties"]["VisibilityTimeout"]
    assert visibility >= 6 * properties["Timeout"] + wait


def test_what_holds_data_stays_when_the_stack_goes() -> None:
    kinds = "DynamoDB::Table", "SQS::Queue", "SecretsManager::Secret"
    kept = [name for kind in kinds for name in of_type(kind)]
    assert len(kept) == 6
    for name in kept:
        policies = RESOURCES[name]["DeletionPolicy"], RESOURCES[name]["UpdateReplacePolicy"]
        assert policies == ("RetainExceptOnCreate", "Retain"), name


def test_a_queue_takes_dead_letters_of_those_that_send_them_there() -> None:
    """A queue that refused them would make the deployment fail, but not here."""
    queues = of_type("SQS::Queue")
    sends_to = {"UpdatesQueue": "DeadLettersQueue", "DeadLettersQueue": "ParkedQueue"}
    for name, queue in queues.items():
        target = queue.get("RedrivePolicy", {}).get("deadLetterTargetArn", ".Arn")
        assert target == f"{sends_to.get(name, '')}.Arn", name
        sources = [queues[it]["QueueName"] for it, other in sends_to.items() if other == name]
        policy = queue["RedriveAllowPolicy"]
        assert policy["redrivePermission"] == ("byQueue" if sources else "denyAll"), name
        allowed = [arn.rpartition(":")[2] for arn in policy.get("sourceQueueArns", [])]
        assert [f"${{AWS::{arn}" for arn in allowed] == sources, name


def test_both_tables_have_a_time_to_live_and_the_maximum_that_is_asked_for() -> None:
    tables = of_type("DynamoDB::Table").values()
    assert len(tables) == 2
    for table in tables:
        lifetime = table["TimeToLiveSpecification"]
        assert lifetime == {"AttributeName": "expires_at", "Enabled": True}
        condition, maximum, _ = table["OnDemandThroughput"]
        assert condition == "LimitsTables"
        assert maximum["MaxWriteRequestUnits"][:2] == ["LimitsWrites", "TableMaxWriteUnits"]
        assert maximum["MaxReadRequestUnits"][:2] == ["LimitsReads", "TableMaxReadUnits"]


def test_nothing_is_open_or_paid_for_by_default() -> None:
    """An issuer may grant any requested scope, so by default no scope makes an admin."""
    chosen = {name: PARAMETERS[name]["Default"] for name in ("AuthMode", "AdminScope", "Tracing")}
    assert chosen == {"AuthMode": "iam", "AdminScope": "", "Tracing": "PassThrough"}
    # Otherwise an issuer that cannot be reached leaves the API without the routes that need it.
    assert RESOURCES["Api"]["Properties"]["FailOnWarnings"] is True


# Crashes, 5xx, and the age of messages that are handed back; CodeDeploy takes ten at most:
# https://docs.aws.amazon.com/codedeploy/latest/userguide/limits.html
OF_DEPLOYMENTS = [f"{binary.capitalize()}ErrorsAlarm" for binary in FUNCTIONS.values()]
OF_DEPLOYMENTS += ["UnavailableAlarm", "PutThrottlesAlarm", "ReadThrottlesAlarm"]
OF_DEPLOYMENTS += ["UpdatesHandedBackAlarm"]
ALARMS = {
    name: each["Properties"]
    for name, each in RESOURCES.items()
    if each["Type"] == "AWS::CloudWatch::Alarm"
}


def test_a_gradual_deployment_is_rolled_back_by_the_alarms() -> None:
    preference = TEMPLATE["Globals"]["Function"]["DeploymentPreference"]
    assert sorted(preference["Alarms"]) == sorted(OF_DEPLOYMENTS) and len(OF_DEPLOYMENTS) <= 10
    assert preference["Enabled"] == ["Deployments", "Deployment", "IsGradual"]
    gradual = {kind: it["IsGradual"] for kind, it in TEMPLATE["Mappings"]["Deployments"].items()}
    kinds = PARAMETERS["Deployment"]["AllowedValues"]
    assert gradual == {kind: str(kind != "AllAtOnce").lower() for kind in kinds}


def test_who_is_notified() -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    before_the_first = page.partition("\n## Alarms\n")[2].partition("\n### ")[0]
    pages = set(re.findall(r"`(\w+Alarm)`", before_the_first))
    assert pages < ALARMS.keys()
    for name, alarm in ALARMS.items():
        topic = (
            ["Pages", ["PageTopicArn"]] if name in pages else ["MakesTickets", ["TicketTopicArn"]]
        )
        assert alarm["AlarmActions"] == alarm["OKActions"] == [*topic, "AWS::NoValue"], name


def test_what_sets_an_alarm_off() -> None:
    """A dead letter that `park` hands back again and again is hidden most of the time. A message
    that `apply` hands back is visible again up to 15 min later. A single crash must not page.
    """
    stuck, crashes = (
        [it["MetricStat"]["Metric"] for it in ALARMS[name]["Metrics"] if "MetricStat" in it]
        for name in ("DeadLettersStuckAlarm", "CrashesAlarm")
    )
    state = "ApproximateNumberOfMessages"
    assert {it["MetricName"] for it in stuck} == {f"{state}Visible", f"{state}NotVisible"}
    assert {it["Dimensions"][0]["Value"] for it in crashes} == set(FUNCTIONS)
    assert ALARMS["CrashesAlarm"]["DatapointsToAlarm"] >= 3
    handed_back = ALARMS["UpdatesHandedBackAlarm"]
    assert handed_back["DatapointsToAlarm"] == 1
    assert handed_back["EvaluationPeriods"] * handed_back["Period"] > 15 * 60


def test_an_expression_uses_every_metric_of_its_alarm_and_no_other() -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html"""
    on_expressions = [alarm["Metrics"] for alarm in ALARMS.values() if "Metrics" in alarm]
    assert len(on_expressions) == 6
    for metrics in on_expressions:
        queries = {query["Id"]: query for query in metrics}
        expressions = " ".join(query.get("Expression", "") for query in metrics)
        # Names of functions are in capitals.
        used = set(re.findall(r"\b[a-z]\w*", expressions))
        (result,) = (name for name, query in queries.items() if query.get("ReturnData", True))
        assert result not in used and used | {result} == queries.keys()
        assert len({it["MetricStat"]["Period"] for it in metrics if "MetricStat" in it}) == 1


@of_functions
def test_a_function_has_the_log_that_is_watched(function: str) -> None:
    logging = RESOURCES[function]["Properties"]["LoggingConfig"]
    assert logging == {"LogGroup": function.replace("Function", "Logs")}


def test_samconfig_names_parameters_of_the_template() -> None:
    configuration = tomllib.loads((ROOT / "samconfig.toml").read_text())
    assert {"default", "prod"} < configuration.keys()
    overrides = configuration["prod"]["deploy"]["parameters"]["parameter_overrides"]
    for override in overrides:
        name, _, value = override.partition("=")
        allowed = PARAMETERS[name].get("AllowedValues", [value])
        assert value in map(str, allowed), override
