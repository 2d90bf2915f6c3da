"""The template parameter DefaultMode=deferred, set by an update of the running stack."""

from __future__ import annotations

import uuid

import pytest

from client import Answer, Api
from deployment import Deployment, stack_command

pytestmark = pytest.mark.changes_stack


@pytest.fixture(scope="module")
def earlier(deployment: Deployment) -> Answer:
    """A deferred PUT from before the update."""
    accepted = deployment.api.put_later(f"test-{uuid.uuid4()}", b'{"v":1}')
    assert deployment.completed(accepted)["status"] == "succeeded"
    return accepted


@pytest.fixture(scope="module", autouse=True)
def deferred_mode(deployment: Deployment, earlier: Answer) -> None:
    """The stack with DefaultMode=deferred. It is the tests' own and these are the last, so it stays so."""
    done = stack_command("up", deployment.local, "--parameters", "DefaultMode=deferred")
    assert done.returncode == 0, done.stdout


def test_a_plain_put_is_deferred(deployment: Deployment, api: Api, user: str) -> None:
    with deployment.mapping.off():
        accepted = api.put(user, b'{"v":1}')
        assert accepted.status == 202, accepted
        assert accepted.headers["location"] == accepted.headers["content-location"], accepted
        # The mode chose it, so it is no preference that was applied.
        assert "preference-applied" not in accepted.headers, accepted
        assert deployment.user(user) is None
    assert deployment.completed(accepted)["status"] == "succeeded"
    assert api.get(user).body == b'{"v":1}'


def test_a_preference_for_it_is_confirmed(deployment: Deployment, api: Api, user: str) -> None:
    accepted = api.put_later(user, b"{}")
    assert accepted.headers["preference-applied"] == "respond-async", accepted
    assert deployment.completed(accepted)["status"] == "succeeded"


def test_wait_alone_is_inline(deployment: Deployment, api: Api, user: str) -> None:
    answer = api.put(user, b"{}", {"Prefer": "wait=5"})
    assert answer.status == 201 and "preference-applied" not in answer.headers, answer
    assert api.put(user, b"{}", {"Prefer": "wait=0"}).status == 202


def test_receipts_and_users_survive_the_update(deployment: Deployment, api: Api, earlier: Answer) -> None:
    answer = api.status(earlier)
    assert answer.status == 200, answer
    document = answer.json()
    assert (document["id"], document["status"]) == (earlier.json()["id"], "succeeded")
    assert api.get(document["userId"]).headers["etag"] == document["etag"]
