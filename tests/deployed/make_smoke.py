"""`make smoke`, run as somebody would run it against a stack on AWS."""

from __future__ import annotations

import os
import subprocess

from .deployment import ROOT, Deployment

# What make hands down of its own run, and what a shell may have for another stack.
NOT_OURS = ("MAKE", "MFLAGS", "PYTEST", "AWS_", "TOKEN")


def make_smoke(deployment: Deployment, *options: str, **credentials: str) -> tuple[int, str]:
    """Its exit status and what it prints, on this stack as it is now."""
    environment = deployment.environment
    aws = {key: value for key, value in environment.items() if key.startswith("AWS_")}
    # Whoever uses the command line of AWS may have AWS_REGION alone.
    del aws["AWS_DEFAULT_REGION"]
    others = {key: value for key, value in os.environ.items() if not key.startswith(NOT_OURS)}
    line = ["make", "smoke", f"STACK={environment['STACK_NAME']}"]
    # The output ApiUrl is an address of AWS.
    line += [f"API_URL={environment['API_URL']}", "IDLE=1", *options]
    done = subprocess.run(
        line,
        cwd=ROOT,
        env=others | aws | credentials,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
        check=False,
    )
    print(done.stdout)
    return done.returncode, done.stdout
