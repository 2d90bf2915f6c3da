"""The alarms as CloudFormation gets them: the calls that they become, and the deployments that they
roll back. Needs no stack: MiniStack takes neither expressions nor CodeDeploy.
"""

from __future__ import annotations

import functools
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.loaders
import botocore.model
import botocore.validate
import pytest
import yaml

from .deployment import ROOT
from .names import FUNCTIONS

GRADUAL = "Canary10Percent5Minutes"
# Crashes, 5xx, and the age of what is handed back.
OF_DEPLOYMENTS = {f"{function.removesuffix('Function')}ErrorsAlarm" for function in FUNCTIONS}
OF_DEPLOYMENTS |= {"UnavailableAlarm", "PutThrottlesAlarm", "ReadThrottlesAlarm"}
OF_DEPLOYMENTS |= {"UpdatesHandedBackAlarm"}
# What somebody must look at now.
PAGES = {"ParkedAlarm", "DeadLettersStuckAlarm", "UpdatesNotPolledAlarm", "UpdatesHandedBackAlarm"}
PAGES |= {"UpdatesInFlightAlarm", "ApiErrorsAlarm", "CrashesAlarm", "UnpublishedAlarm"}


@functools.cache
def resources(deployment: str) -> Any:
    """What SAM's transform makes with this value of the parameter Deployment."""
    line: list[str | Path] = [ROOT / ".tools" / "sam" / "bin" / "python", "-m"]
    line += ["scripts.transformed", f"Deployment={deployment}"]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return yaml.safe_load(done.stdout)["Resources"]


def named_in(value: Any) -> Iterator[str]:
    """What it refers to."""
    if isinstance(value, list):
        for item in value:
            yield from named_in(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key in ("Ref", "DependsOn", "Fn::GetAtt"):
                yield from [item] if isinstance(item, str) else item
            elif key == "Fn::Sub":
                yield from re.findall(r"\$\{(\w+)", item if isinstance(item, str) else item[0])
            yield from named_in(item)


def needed_by(name: str) -> set[str]:
    """The resources that must be there before this one."""
    every, pending = resources(GRADUAL), [name]
    found: set[str] = set()
    while pending:
        new = (set(named_in(every[pending.pop()])) & every.keys()) - found
        pending += new
        found |= new
    return found


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_gradual_deployment_is_rolled_back_by_the_alarms(function: str) -> None:
    every = resources(GRADUAL)
    group = every[f"{function}DeploymentGroup"]["Properties"]
    assert group["AlarmConfiguration"]["Enabled"] is True
    assert {alarm["Name"]["Ref"] for alarm in group["AlarmConfiguration"]["Alarms"]} == (
        OF_DEPLOYMENTS
    )
    # https://docs.aws.amazon.com/codedeploy/latest/userguide/limits.html
    assert len(OF_DEPLOYMENTS) <= 10
    assert "DEPLOYMENT_STOP_ON_ALARM" in group["AutoRollbackConfiguration"]["Events"]
    update = every[f"{function}Aliaslive"]["UpdatePolicy"]["CodeDeployLambdaAliasUpdate"]
    assert update["DeploymentGroupName"] == {"Ref": f"{function}DeploymentGroup"}


@pytest.mark.parametrize("alarm", sorted(OF_DEPLOYMENTS))
def test_an_alarm_of_deployments_waits_for_nothing_that_waits_for_it(alarm: str) -> None:
    needed = needed_by(alarm)
    assert "Api" not in needed and not [name for name in needed if name.endswith("Aliaslive")]


def test_what_the_alarms_would_wait_for() -> None:
    """So that the test above would find it."""
    assert {"Api", "PutFunctionAliaslive"} <= needed_by("ApiErrorsAlarm")
    assert needed_by("PutFunctionAliaslive") >= OF_DEPLOYMENTS


def test_a_deployment_at_once_has_no_alarms() -> None:
    types = {resource["Type"] for resource in resources("AllAtOnce").values()}
    assert "AWS::Lambda::Alias" in types and not any("CodeDeploy" in each for each in types)


def alarms() -> dict[str, Any]:
    """The properties of the alarms by their names."""
    every = resources("AllAtOnce").items()
    is_alarm = "AWS::CloudWatch::Alarm"
    return {name: each["Properties"] for name, each in every if each["Type"] == is_alarm}


def test_who_is_notified() -> None:
    for name, alarm in alarms().items():
        condition = "Pages" if name in PAGES else "MakesTickets"
        topic = "PageTopicArn" if name in PAGES else "TicketTopicArn"
        action = {"Fn::If": [condition, [{"Ref": topic}], {"Ref": "AWS::NoValue"}]}
        assert alarm["AlarmActions"] == alarm["OKActions"] == action, name
    page = (ROOT / "docs" / "operations.md").read_text()
    before_the_first = page.partition("\n## Alarms\n")[2].partition("\n### ")[0]
    assert set(re.findall(r"`(\w+Alarm)`", before_the_first)) == PAGES


def test_a_single_crash_does_not_page() -> None:
    alarm = alarms()["CrashesAlarm"]
    assert alarm["DatapointsToAlarm"] >= 3
    watched = [each["MetricStat"] for each in alarm["Metrics"] if "MetricStat" in each]
    functions = {each["Metric"]["Dimensions"][0]["Value"]["Ref"] for each in watched}
    assert functions == set(FUNCTIONS)
    assert {each["Period"] for each in watched} == {60}


def plain(value: Any) -> Any:
    """With some text in place of each function."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    if any(name.startswith(("Ref", "Fn::")) for name in value):
        return "x"
    return {name: plain(item) for name, item in value.items()}


def test_an_alarm_is_a_call_that_cloudwatch_knows() -> None:
    """By the definition of the service that the SDKs are made of."""
    service = botocore.loaders.Loader().load_service_model("cloudwatch", "service-2")
    shape = botocore.model.ServiceModel(service).operation_model("PutMetricAlarm").input_shape
    for name, properties in alarms().items():
        alarm = plain(properties) | {"AlarmName": name, "AlarmActions": ["x"], "OKActions": ["x"]}
        report = botocore.validate.ParamValidator().validate(alarm, shape)
        assert not report.has_errors(), (name, report.generate_report())
        assert ("MetricName" in alarm) != ("Metrics" in alarm), name


def test_a_dead_letter_counts_as_stuck_while_it_is_hidden() -> None:
    """As one is most of the time that `park` hands back again and again."""
    metrics = alarms()["DeadLettersStuckAlarm"]["Metrics"]
    watched = {each["MetricStat"]["Metric"]["MetricName"] for each in metrics[:-1]}
    state = "ApproximateNumberOfMessages"
    assert watched == {f"{state}Visible", f"{state}NotVisible"}


def test_the_alarm_on_what_is_handed_back_lasts_until_the_next_attempt() -> None:
    """Which is up to VISIBILITY_MAX later; else it would end and begin again each time."""
    alarm = alarms()["UpdatesHandedBackAlarm"]
    assert alarm["DatapointsToAlarm"] == 1
    assert alarm["EvaluationPeriods"] * alarm["Period"] > 15 * 60


def test_an_expression_uses_every_metric_of_its_alarm_and_no_other() -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html"""
    on_expressions = [each["Metrics"] for each in alarms().values() if "Metrics" in each]
    assert len(on_expressions) == 6
    for metrics in on_expressions:
        queries = {query["Id"]: query for query in metrics}
        used = set()
        for name, query in queries.items():
            assert re.fullmatch(r"[a-z]\w*", name), name
            assert ("Expression" in query) != ("MetricStat" in query), name
            # Names of functions are in capitals.
            used |= set(re.findall(r"\b[a-z]\w*", query.get("Expression", "")))
        (result,) = (name for name, query in queries.items() if query.get("ReturnData", True))
        assert result not in used and used | {result} == queries.keys()
        watched = [query["MetricStat"] for query in metrics if "MetricStat" in query]
        assert len({each["Period"] for each in watched}) == 1
        assert len(watched) <= 10
