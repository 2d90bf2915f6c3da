"""DefaultMode=deferred and larger batches, set by an update of the running stack."""

from __future__ import annotations

import pytest

from .bodies import sample
from .client import Answer, Api
from .deployment import Deployment, stack_command
from .make_smoke import make_smoke
from .resources import new_resource

pytestmark = pytest.mark.changes_stack


@pytest.fixture(scope="module")
def earlier(deployment: Deployment, api: Api) -> Answer:
    """A deferred PUT from before the update."""
    accepted = api.put_later(new_resource(), sample(1))
    assert deployment.end_of(accepted) == "succeeded"
    return accepted


@pytest.fixture(scope="module", autouse=True)
def deferred_mode(deployment: Deployment, earlier: Answer) -> None:
    """The stack with these parameters. It is the tests' own and these are the last."""
    parameters = "DefaultMode=deferred ApplyBatchSize=100 ApplyBatchWindow=1"
    done = stack_command("up", deployment.local, parameters=parameters)
    assert done.returncode == 0, done.stdout


def test_a_plain_put_is_deferred(deployment: Deployment, api: Api, resource: str) -> None:
    with deployment.mapping.off():
        accepted = api.put(resource, sample(1))
        assert accepted.status == 202, accepted
        # The mode chose it, so it is no preference that was applied.
        assert "preference-applied" not in accepted.headers, accepted
        assert deployment.resource(resource) is None
    assert deployment.end_of(accepted) == "succeeded"
    accepted = api.put_later(resource, sample(2))
    assert accepted.headers["preference-applied"] == "respond-async", accepted
    assert deployment.end_of(accepted) == "succeeded"


def test_the_batches_are_as_large_as_asked_for(deployment: Deployment) -> None:
    name = deployment.environment["APPLY_FUNCTION"]
    (mapping,) = deployment.functions.list_event_source_mappings(FunctionName=name)[
        "EventSourceMappings"
    ]
    # MiniStack keeps what an update sets as text.
    asked = {"BatchSize": "100", "MaximumBatchingWindowInSeconds": "1"}
    assert {name: str(mapping[name]) for name in asked} == asked


def test_wait_alone_is_inline(api: Api, resource: str) -> None:
    answer = api.put(resource, sample(), {"Prefer": "wait=5"})
    assert answer.status == 201 and "preference-applied" not in answer.headers, answer
    assert api.put(resource, sample(), {"Prefer": "wait=0"}).status == 202


def test_receipts_and_resources_survive_the_update(api: Api, earlier: Answer) -> None:
    answer = api.status(earlier)
    assert answer.status == 200, answer
    document = answer.json()
    assert (document["id"], document["status"]) == (earlier.json()["id"], "succeeded")
    assert api.request("GET", document["resource"]).headers["etag"] == document["etag"]


def test_make_smoke_asks_for_what_is_to_be_done_now(deployment: Deployment) -> None:
    status, printed = make_smoke(deployment, "PYTEST=-k 'http or inline'")
    assert status == 0 and "deleted: " in printed
