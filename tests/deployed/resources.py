"""The resource that the service serves, as its crate describes it: `make events` writes
events/resource.json. Its id is made of the parameters in its path, joined by slashes.
"""

from __future__ import annotations

import json
import re
import secrets
import uuid
from pathlib import Path
from urllib.parse import unquote

import pytest

FILE = Path(__file__).resolve().parent.parent.parent / "events" / "resource.json"
KNOWN = json.loads(FILE.read_text())
PATH: str = KNOWN["path"]
OPERATION_PATH = f"{PATH}/operations/{{receipt}}"
NAMES: list[str] = re.findall(r"\{(.*?)\}", PATH)
# The resources in the sample events.
SAMPLES: list[str] = KNOWN["samples"]
# The ids that the tests made.
MADE: set[str] = set()
# A receipt that has the right form and is nobody's.
RECEIPT = "A" * 38
# Ids of any text: another resource may have numbers, or a rule of its own.
any_id = pytest.mark.skipif(PATH != "/users/{id}", reason="asks for ids that only users may have")
# The calls before an update, in put and in apply.
LOOK, LOOKS = (["DynamoDB.GetItem"], ["DynamoDB.BatchGetItem"]) if KNOWN["hasUpdate"] else ([], [])
without_update = pytest.mark.skipif(
    KNOWN["hasUpdate"], reason="the read before an update makes it another story"
)


def path_of(resource: str) -> str:
    """The path of a resource, whose parameters stand in it as they are given."""
    values = iter(resource.split("/"))
    return re.sub(r"\{.*?\}", lambda _: next(values), PATH)


def operation_path(resource: str, receipt: str = RECEIPT) -> str:
    """The path of an operation's status."""
    return f"{path_of(resource)}/operations/{receipt}"


def parameters_of(resource: str) -> dict[str, str]:
    """The parameters of its path by name."""
    return dict(zip(NAMES, resource.split("/"), strict=True))


def owner_of(resource: str) -> str:
    """Who owns it: what the `sub` of a token must be."""
    return parameters_of(resource)[KNOWN["owner"]]


def spelled(resource: str, last: str) -> str:
    """The id with another last parameter."""
    return "".join([*resource.rpartition("/")[:2], last])


def new_resource() -> str:
    """The id of a resource that nobody else uses, and whose owner has no other."""
    free = {NAMES[-1], KNOWN["owner"]}
    values = (KNOWN["parameters"][name] for name in NAMES)
    pairs = zip(NAMES, values, strict=True)
    made = "/".join(_other(value) if name in free else value for name, value in pairs)
    MADE.add(made)
    return made


def resource_in(path: str) -> str | None:
    """The id of the resource that has the path, under whatever stage."""
    pattern = re.sub(r"\\\{.*?\\\}", "([^/]+)", re.escape(PATH))
    found = re.search(f"{pattern}$", path)
    return found and unquote("/".join(found.groups()))


def _other(value: str) -> str:
    """A value of the same form that nobody has used."""
    if value.isdecimal():
        assert len(value) >= 9, f"{value} in Resource::EXAMPLE has less than 9 digits: give more"
        return str(secrets.randbelow(9 * 10 ** (len(value) - 1)) + 10 ** (len(value) - 1))
    try:
        uuid.UUID(value)
    except ValueError:
        return f"{value}-{uuid.uuid4()}"
    return str(uuid.uuid4())
