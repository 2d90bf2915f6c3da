"""Updates of the running stack, through the alias that every caller calls."""

from __future__ import annotations

import secrets
from typing import Any

import pytest

from scripts.ministack import ALIAS, Deployed

from .answers import problem_in
from .bodies import sample
from .client import Answer, Api
from .deployment import Deployment, stack_command

pytestmark = pytest.mark.changes_stack


def update(deployment: Deployment, **parameters: str) -> None:
    """Deploy again with these parameters, the others at their defaults."""
    words = " ".join(f"{name}={value}" for name, value in parameters.items())
    done = stack_command("up", deployment.local, parameters=words)
    assert done.returncode == 0, done.stdout


def live(deployment: Deployment, function: str) -> dict[str, Any]:
    """The configuration of the version behind the alias."""
    name = deployment.environment[f"{function}_FUNCTION"]
    return dict(deployment.functions.get_function_configuration(FunctionName=name, Qualifier=ALIAS))


def test_a_parameter_publishes_only_what_depends_on_it(deployment: Deployment, api: Api) -> None:
    """SAM's transform alone would leave the alias at the version with the former settings."""
    update(deployment)
    before = {name: live(deployment, name)["Version"] for name in ("PUT", "READ", "APPLY")}
    update(deployment, DefaultMode="deferred")
    put = live(deployment, "PUT")
    assert put["Environment"]["Variables"]["DEFAULT_MODE"] == "deferred"
    assert put["Version"] != before.pop("PUT")
    assert {name: live(deployment, name)["Version"] for name in before} == before
    update(deployment, Revision="again1")
    assert live(deployment, "APPLY")["Version"] != before["APPLY"]


def test_the_receipt_key_is_rotated_and_no_status_url_is_lost(
    deployment: Deployment, api: Api, resource: str
) -> None:
    """As docs/operations.md says: made, told to `read`, used, and in the end forgotten."""
    update(deployment)
    deployed = Deployed(deployment.port, deployment.environment["STACK_NAME"])
    secret = deployed.physical_ids()["ReceiptKey"]
    store = deployment.client("secretsmanager")
    old = store.get_secret_value(SecretId=secret)["VersionId"]
    new = store.put_secret_value(
        SecretId=secret, SecretString=secrets.token_hex(32), VersionStages=["next"]
    )["VersionId"]

    def state(accepted: Answer) -> str:
        assert api.status(accepted).status == 200
        return deployment.end_of(accepted)

    by_old = api.put_later(resource, sample(1))
    assert state(by_old) == "succeeded"
    update(deployment, ReceiptKeyVersion=old, OtherReceiptKeyVersion=new)
    assert state(by_old) == "succeeded"
    assert state(api.put_later(resource, sample(2))) == "succeeded"
    update(deployment, ReceiptKeyVersion=new, OtherReceiptKeyVersion=old)
    by_new = api.put_later(resource, sample(3))
    assert (state(by_old), state(by_new)) == ("succeeded", "succeeded")
    update(deployment, ReceiptKeyVersion=new)
    assert state(by_new) == "succeeded"
    problem_in(api.status(by_old), 404, "operation-not-found")
