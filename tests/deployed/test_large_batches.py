"""A batch as large as ApplyBatchSize may ask for; MiniStack itself delivers ten at most."""

from __future__ import annotations

from .bodies import sample, sample_text
from .client import Api
from .deployment import Deployment
from .queues import Queue, record
from .resources import new_resource, path_of

RESOURCES, EACH = 4, 25


def test_one_hundred_at_once(deployment: Deployment, api: Api, queue: Queue) -> None:
    resources = [new_resource() for _ in range(RESOURCES)]
    with deployment.mapping.off():
        accepted = [
            api.put_later(resource, sample(turn)) for turn in range(EACH) for resource in resources
        ]
        messages = queue.receive_of(resources, RESOURCES * EACH)
        result = deployment.invoke("APPLY", {"Records": [record(message) for message in messages]})
        assert result == {"batchItemFailures": []}
        for message in messages:
            queue.delete(message)
        documents = [deployment.completed(each) for each in accepted]
    for resource in resources:
        *older, newest = [each for each in documents if each["resource"] == path_of(resource)]
        assert newest["status"] == "succeeded" and len(older) == EACH - 1
        assert {each["status"] for each in older} == {"superseded"}
        # All of it in one transaction.
        assert {each["completedAt"] for each in older} == {newest["completedAt"]}
        assert deployment.body_of(resource) == sample_text(EACH - 1)
