"""AuthMode iam, set by an update of the running stack: the callers' own policies say what they may.

MiniStack lets a header `Authorization` pass that is no signature: then the functions refuse.
And it verifies no signature that names the account's own keys, which may do everything.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess

import pytest

from .access import (
    by_the_gateway,
    deploy,
    let_a_preflight_pass,
    refuse_what_no_authorizer_saw,
    to_every_route,
)
from .answers import id_of
from .bodies import sample
from .client import Api
from .credentials import bearer, signed
from .deployment import Deployment
from .make_smoke import make_smoke
from .resources import new_resource, path_of

pytestmark = pytest.mark.changes_stack(closes_api=True)


@dataclasses.dataclass
class Accounts:
    """The API behind AWS credentials, and who has some."""

    api: Api
    deployment: Deployment

    def root(self) -> Api:
        """With the keys of the account itself."""
        environment = self.deployment.environment
        return self.signed_by(
            environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"]
        )

    def signed_by(self, key: str, secret: str, token: str | None = None) -> Api:
        """With these keys."""
        region = self.deployment.environment["AWS_REGION"]
        return self.api.seen_by(signed(key, secret, token, region))

    def policy(self, *paths: str) -> str:
        """A policy to call the API at these paths, such as PUT/users/ada."""
        api = f"arn:aws:execute-api:*:*:{self.deployment.environment['API_ID']}/*"
        resources = [f"{api}/{path}" for path in paths]
        allow = {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": resources}
        return json.dumps({"Version": "2012-10-17", "Statement": [allow]})


@pytest.fixture(scope="module")
def accounts(deployment: Deployment, api: Api) -> Accounts:
    return Accounts(deploy(deployment, {"AuthMode": "iam"}), deployment)


def test_unsigned(deployment: Deployment, accounts: Accounts, resource: str) -> None:
    for answer in to_every_route(accounts.api, resource):
        by_the_gateway(answer, 403)
    assert accounts.api.seen_by(bearer("a.b.c")).put(resource, sample()).status == 403
    assert deployment.resource(resource) is None
    let_a_preflight_pass(accounts.api, resource)


def test_signed(accounts: Accounts, resource: str) -> None:
    api = accounts.root()
    put = api.put(resource, sample(1))
    assert put.status == 201, put
    assert api.get(resource).headers["etag"] == put.headers["etag"]
    accepted = api.put_later(resource, sample(2))
    assert api.status(accepted).status == 200
    answers = to_every_route(api, resource)
    statuses = [200, 200, 200, 405, 405, 204, 404, 404, 405, 405, 405, 404]
    assert [answer.status for answer in answers] == statuses


def test_a_callers_own_policy(deployment: Deployment, accounts: Accounts, resource: str) -> None:
    iam = deployment.client("iam")
    iam.create_user(UserName=resource)
    made = iam.create_access_key(UserName=resource)["AccessKey"]
    api = accounts.signed_by(made["AccessKeyId"], made["SecretAccessKey"])
    assert api.put(resource, sample()).status == 403
    policy = accounts.policy(f"PUT{path_of(resource)}")
    iam.put_user_policy(UserName=resource, PolicyName="own", PolicyDocument=policy)
    assert api.put(resource, sample()).status == 201
    other = new_resource()
    assert api.put(other, sample()).status == 403
    assert api.get(resource).status == api.delete(resource).status == 403
    assert deployment.resource(other) is None
    forged = accounts.signed_by(made["AccessKeyId"], "another secret")
    assert forged.put(resource, sample()).status == 403


def test_a_key_is_the_roles_whatever_its_session(
    deployment: Deployment, accounts: Accounts, resource: str, key: str
) -> None:
    iam, sts = deployment.client("iam"), deployment.client("sts")
    trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    made = iam.create_role(RoleName=key, AssumeRolePolicyDocument=document)
    policy = accounts.policy("PUT/*")
    iam.put_role_policy(RoleName=key, PolicyName="any", PolicyDocument=policy)
    operations = []
    for session in ("first", "second"):
        reply = sts.assume_role(RoleArn=made["Role"]["Arn"], RoleSessionName=session)
        given = reply["Credentials"]
        api = accounts.signed_by(
            given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"]
        )
        answer = api.put(resource, sample(), {"Idempotency-Key": f'"{key}"'})
        operations.append(id_of(answer))
    by_root = accounts.root().put(resource, sample(), {"Idempotency-Key": f'"{key}"'})
    assert operations[0] == operations[1] != id_of(by_root)


def test_the_command_of_the_output_first_put(
    deployment: Deployment, accounts: Accounts, key: str
) -> None:
    stack = {"StackName": deployment.environment["STACK_NAME"]}
    stacks = deployment.client("cloudformation").describe_stacks(**stack)["Stacks"]
    outputs = {it["OutputKey"]: it["OutputValue"] for it in stacks[0]["Outputs"]}
    command = outputs["FirstPut"].replace(outputs["ApiUrl"], deployment.environment["API_URL"])
    iam = deployment.client("iam")
    iam.create_user(UserName=key)
    (path,) = re.findall(r"-X PUT \S+?://[^/]+(\S+)", command)
    policy = accounts.policy(f"PUT{path}")
    iam.put_user_policy(UserName=key, PolicyName="first", PolicyDocument=policy)
    made = iam.create_access_key(UserName=key)["AccessKey"]
    # Without a session token curl leaves its header out.
    for secret, status in ((made["SecretAccessKey"], 202), ("another secret", 403)):
        keys = {"AWS_ACCESS_KEY_ID": made["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": secret}
        shell = ["bash", "-c", command]
        done = subprocess.run(
            shell, env=keys | {"PATH": os.environ["PATH"]}, capture_output=True, check=True
        )
        assert done.stdout.startswith(f"HTTP/1.1 {status} ".encode()), done


def test_the_functions_look_again(
    deployment: Deployment, accounts: Accounts, resource: str
) -> None:
    refuse_what_no_authorizer_saw(deployment, resource)


def test_make_smoke_passes_says_what_the_stack_does_and_leaves_nothing(
    deployment: Deployment, accounts: Accounts
) -> None:
    deployment.queue.is_empty_after("the other tests")
    before = deployment.footprint()
    status, printed = make_smoke(deployment)
    assert status == 0 and "skipped" not in printed
    for told in (
        r"a body that is not UTF-8: \d+",
        r"Content-Length of GET: \d+; of HEAD: \d+",
        "a preflight, unsigned: 204, access-control-allow-headers",
        "OPTIONS without Origin, unsigned: 403",
        r"as a dead letter, the receive count \d",
        r"as assumed: .* to its function: .*to its decision: \d+ to \d+ ms, .* of 40$",
        r"^- async-put \S+; Python [\d.]+, boto3 [\d.]+$",
        r"^- us-east-1, \w+_COMPLETE: AuthMode iam, DefaultMode inline, Architecture \w+,",
        "as assumed: sam validate --lint: exit status 0",
        "as assumed: warnings of API Gateway at the import: none",
        r"as assumed: park: Active, \w+, provided.al2023, version \d+",
        r"ID%252Fv2 in a path: \d+, refused by the",
        r"as assumed: ID\+v2 in a path: 202, the function saw the id 'ID\+v2'",
        r'a raw " in a query: \d+',
        "moved back by StartMessageMoveTask",
        r"the first PUT after 1 s without any: 200 in \d+ ms",
    ):
        assert re.search(told, printed, re.MULTILINE), told
    assert printed.index("sam validate") < printed.index("%252Fv2 in a path")
    assert not re.search(r"\d{12}", printed.partition("paste into an issue")[2])
    found = re.search(r"^deleted: (\d+) resources and (\d+) operations", printed, re.MULTILINE)
    assert found is not None and min(map(int, found.groups())) > 10
    deployment.queue.is_empty_after("make smoke")
    after = deployment.footprint()
    assert after["RESOURCES_TABLE"] == before["RESOURCES_TABLE"]
    # The claim of the one idempotency key.
    assert after["OPERATIONS_TABLE"] == before["OPERATIONS_TABLE"] + 1


def test_make_smoke_of_a_caller_who_may_do_little(
    deployment: Deployment, accounts: Accounts, resource: str
) -> None:
    """What cannot be deleted is listed; where the API may not be called it fails."""
    iam = deployment.client("iam")
    iam.create_user(UserName=resource)
    made = iam.create_access_key(UserName=resource)["AccessKey"]
    policy = '{"Statement":{"Effect":"Allow","Action":"cloudformation:*","Resource":"*"}}'
    iam.put_user_policy(UserName=resource, PolicyName="stacks", PolicyDocument=policy)

    def smoke(path: str) -> tuple[int, str]:
        policy = accounts.policy(path)
        iam.put_user_policy(UserName=resource, PolicyName="api", PolicyDocument=policy)
        return make_smoke(
            deployment,
            "PYTEST=-k test_the_examples",
            AWS_ACCESS_KEY_ID=made["AccessKeyId"],
            AWS_SECRET_ACCESS_KEY=made["SecretAccessKey"],
        )

    status, printed = smoke("*")
    assert status == 0 and "left behind, of 1 resources and 1 operations" in printed
    status, printed = smoke("GET/nothing")
    assert status != 0 and "1 failed" in printed
