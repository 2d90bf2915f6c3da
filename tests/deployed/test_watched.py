"""What is logged and watched: lines that arrive as metrics, and the alarms on them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from .answers import id_of
from .bodies import sample, sample_text
from .client import Api
from .deployment import Deployment
from .polling import until


def resources(deployment: Deployment, of_type: str) -> dict[str, str]:
    """The physical ids of the stack's resources of a type, by their logical ids."""
    stack = deployment.environment["STACK_NAME"]
    found = deployment.client("cloudformation").describe_stack_resources(StackName=stack)
    return {
        each["LogicalResourceId"]: each["PhysicalResourceId"]
        for each in found["StackResources"]
        if each["ResourceType"] == of_type
    }


def lines_about(deployment: Deployment, group: str, text: str) -> list[Any]:
    """The lines of a function's log group that hold a text, once there are some."""
    logs = deployment.client("logs")
    name = resources(deployment, "AWS::Logs::LogGroup")[group]

    def found() -> list[Any]:
        pages = logs.get_paginator("filter_log_events").paginate(logGroupName=name)
        messages = [event["message"] for page in pages for event in page["events"]]
        return [json.loads(message) for message in messages if text in message]

    return until(f"a line of {group} about {text}", found, bool)


@pytest.mark.parametrize(
    ("group", "metrics"),
    [("PutLogs", {"Accepted"}), ("ApplyLogs", {"Applied", "AcceptToApply"})],
)
def test_what_became_of_a_put_arrives_as_log_and_metric(
    deployment: Deployment, api: Api, resource: str, group: str, metrics: set[str]
) -> None:
    accepted = api.put_later(resource, sample("unlogged"))
    operation = id_of(accepted)
    assert deployment.end_of(accepted) == "succeeded"
    (line,) = lines_about(deployment, group, operation)
    assert (line["resource"], line["operation"], line["level"]) == (resource, operation, "INFO"), (
        line
    )
    assert line["requestId"] and sample_text("unlogged") not in json.dumps(line), line
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert directive["Dimensions"] == [["Stack"]], line
    assert line["Stack"] == deployment.environment["STACK_NAME"], line
    assert {metric["Name"] for metric in directive["Metrics"]} == metrics, line
    assert all(line[name] >= 0 for name in metrics), line


def test_the_alarms_and_the_dashboard_are_deployed(deployment: Deployment) -> None:
    """But for those on an expression, which MiniStack refuses."""
    watch = deployment.client("cloudwatch")
    alarms = {each["AlarmName"]: each for each in watch.describe_alarms()["MetricAlarms"]}
    of_stack = resources(deployment, "AWS::CloudWatch::Alarm")
    for name in of_stack.values():
        assert alarms[name]["TreatMissingData"] == "notBreaching", alarms[name]
    handed_back = alarms[of_stack["UpdatesHandedBackAlarm"]]
    stack = {"Name": "Stack", "Value": deployment.environment["STACK_NAME"]}
    assert handed_back["Dimensions"] == [stack], handed_back
    assert (handed_back["MetricName"], handed_back["Threshold"]) == ("HandedBackAge", 900)
    (dashboard,) = resources(deployment, "AWS::CloudWatch::Dashboard").values()
    body = json.loads(watch.get_dashboard(DashboardName=dashboard)["DashboardBody"])
    assert len(body["widgets"]) > 10
