"""An operator moves parked messages back to the queue of updates, with

    aws sqs start-message-move-task --source-arn <ParkedQueue's ARN> --destination-arn <UpdatesQueue's ARN>

which MiniStack has not, so the tests move them as it does: unchanged.
"""

from __future__ import annotations

from answers import body_of, id_of, status_of
from client import Api
from deployment import Deployment, Queue
from history import History
from test_poison import dead_letter, only_message


def move(parked: Queue, updates: Queue) -> None:
    """The message move task, for one message."""
    message = only_message(parked)
    updates.send_copy(message)
    parked.delete(message)


def test_a_provisional_failure_becomes_a_success(
    deployment: Deployment, api: Api, user: str, queue: Queue, dead_letters: Queue, parked: Queue, history: History
) -> None:
    accepted = dead_letter(deployment, api, user, dead_letters)
    assert status_of(deployment, accepted) == "failed"
    move(parked, queue)
    queue.is_empty_after("the redrive")
    assert status_of(deployment, accepted) == "succeeded"
    assert deployment.completed(accepted)["etag"] == f'"{accepted.json()["id"]}"'
    assert body_of(deployment, user) == '{"v":"dead"}'
    assert history.outcomes(accepted.json()["id"]) == ["failed", "succeeded"]
    # A second copy, or bury's late delivery, changes nothing any more.
    outcome = deployment.outcome(accepted.json()["id"])
    assert outcome is not None and "provisional" not in outcome


def test_newer_data_stays(
    deployment: Deployment, api: Api, user: str, queue: Queue, dead_letters: Queue, parked: Queue, history: History
) -> None:
    accepted = dead_letter(deployment, api, user, dead_letters)
    assert status_of(deployment, accepted) == "failed"
    newer = api.put(user, b'{"v":"newer"}')
    move(parked, queue)
    queue.is_empty_after("the redrive")
    assert status_of(deployment, accepted) == "superseded"
    assert history.operations(user) == [id_of(newer)]
    assert history.outcomes(accepted.json()["id"]) == ["failed", "superseded"]


def test_an_operation_that_was_carried_out_stays_so(
    deployment: Deployment, api: Api, user: str, queue: Queue, dead_letters: Queue, parked: Queue, history: History
) -> None:
    """A dead letter of an operation with a final outcome is dropped, and one that is redriven does nothing."""
    with deployment.mapping.off():
        accepted = api.put_later(user, b'{"v":1}')
        message = queue.message_of(user)
    assert status_of(deployment, accepted) == "succeeded"
    dead_letters.send_copy(message)
    dead_letters.is_empty_after("bury")
    queue.send_copy(message)
    queue.is_empty_after("the redrive")
    assert parked.size() == 0
    assert history.outcomes(accepted.json()["id"]) == ["succeeded"]
    assert history.operations(user) == [accepted.json()["id"]]
