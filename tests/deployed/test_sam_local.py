"""The functions under the real `sam local`, in Docker: `make sam-local`.

They use the tables and queues of the stack, which the containers reach as every client does.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from scripts.processes import Failure, last_lines, running
from scripts.sam_local import SamLocal, ready

from .answers import id_of, problem_in
from .bodies import sample, sample_text
from .client import Api
from .deployment import ROOT, Deployment
from .events import EVENTS, run_all
from .names import FUNCTIONS
from .polling import until
from .ports import free_ports
from .resources import SAMPLES

pytestmark = pytest.mark.sam_local
LOGICAL_IDS = {binary: logical_id for logical_id, binary in FUNCTIONS.items()}
# Starting a container may take a while, and the first also makes sam's image.
SECONDS = 180


@pytest.fixture(scope="module")
def sam_local(deployment: Deployment) -> Iterator[SamLocal]:
    """`sam local` on the stack. Where it cannot run, that is an error and never a skip."""
    with contextlib.ExitStack() as stack:
        try:
            ours = stack.enter_context(ready(deployment.local, deployment.environment))
        except Failure as failure:
            log = failure.log and "\n".join(last_lines(failure.log, 30))
            pytest.exit(f"{failure}\n{log or ''}\nnext: {failure.next_step}", 3)
        yield ours


def run(command: list[str], environment: Mapping[str, str]) -> Any:
    """What a command prints, as JSON. sam exits with 0 whatever a function answers."""
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, timeout=SECONDS, check=False
    )
    print(done.stderr.decode(errors="replace"))
    assert done.returncode == 0 and done.stdout.strip(), (command, done.returncode, done.stdout)
    result = json.loads(done.stdout)
    assert "errorType" not in result, result
    return result


def test_every_sample_event(
    deployment: Deployment, samples: Path, clean: None, sam_local: SamLocal
) -> None:
    def invoke(function: str, event: Path) -> Any:
        command = sam_local.command("invoke", LOGICAL_IDS[function], "--event", event)
        return run(command, sam_local.environment)

    run_all(deployment, samples, invoke)


def test_a_deferred_sample_is_carried_out_by_the_stack(
    deployment: Deployment, sam_local: SamLocal
) -> None:
    event = EVENTS / "put-deferred.json"
    result = run(
        sam_local.command("invoke", "PutFunction", "--event", event), sam_local.environment
    )
    assert result["statusCode"] == 202, result
    operation = json.loads(result["body"])["id"]
    until("its outcome", lambda: deployment.outcome(operation))
    deployment.forget(resources=(SAMPLES[0],), operations=(operation,))


@contextlib.contextmanager
def start_api(sam_local: SamLocal, log: Path) -> Iterator[Api]:
    """`sam local start-api`, for the time of the block."""
    (port,) = free_ports(1)
    command: list[str | Path] = [*sam_local.command("start-api", "--port", str(port))]
    with running(command, log, sam_local.environment, ROOT) as child:
        try:
            until("start-api", lambda: "Running on" in log.read_text() or child.poll() is not None)
            yield Api(f"http://127.0.0.1:{port}")
        finally:
            print(*last_lines(log, 60), sep="\n")


def test_a_put_through_start_api(
    deployment: Deployment, resource: str, sam_local: SamLocal, tmp_path: Path
) -> None:
    with start_api(sam_local, tmp_path / "start-api.log") as api:
        put = api.put(resource, sample(1))
        assert (put.status, put.body) == (201, sample(1)), put
        assert deployment.body_of(resource) == sample_text(1)
        # The stack carries out what was accepted here.
        accepted = api.put_later(resource, sample(2))
        until("its outcome", lambda: deployment.outcome(id_of(accepted)))
        assert api.get(resource).body == sample(2)
        problem_in(api.put(resource, b"[]"), 422, "invalid-body")


def test_the_line_in_the_readme(deployment: Deployment, clean: None, sam_local: SamLocal) -> None:
    """It is for the stack in .local; here for that of the tests."""
    page = (EVENTS / "README.md").read_text()
    (line,) = re.findall(r"^make -C events invoke .*$", page, re.MULTILINE)
    command = ["sh", "-c", f"{line} --silent LOCAL_DIR='{deployment.local}'"]
    result = run(command, dict(os.environ))
    assert result["statusCode"] == 201, result
