"""A batch as large as ApplyBatchSize may ask for; MiniStack itself delivers ten at most."""

from __future__ import annotations

from collections.abc import Callable

from .bodies import sample, sample_text
from .client import Api
from .deployment import Deployment
from .queues import Queue, record

USERS, EACH = 4, 25


def test_one_hundred_at_once(
    deployment: Deployment, api: Api, queue: Queue, new_user: Callable[[], str]
) -> None:
    users = [new_user() for _ in range(USERS)]
    with deployment.mapping.off():
        accepted = [api.put_later(user, sample(turn)) for turn in range(EACH) for user in users]
        messages = queue.receive_of(users, USERS * EACH)
        result = deployment.invoke("APPLY", {"Records": [record(message) for message in messages]})
        assert result == {"batchItemFailures": []}
        for message in messages:
            queue.delete(message)
        documents = [deployment.completed(each) for each in accepted]
    for user in users:
        *older, newest = [each for each in documents if each["userId"] == user]
        assert newest["status"] == "succeeded" and len(older) == EACH - 1
        assert {each["status"] for each in older} == {"superseded"}
        # All of it in one transaction.
        assert {each["completedAt"] for each in older} == {newest["completedAt"]}
        assert deployment.body_of(user) == sample_text(EACH - 1)
