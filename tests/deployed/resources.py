"""The service's resource as its crate describes it: `make events` writes
events/resource.json. Its id consists of the parameters in its path, joined by slashes.
"""

import json
import re
import secrets
import uuid
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
KNOWN = json.loads((ROOT / "events" / "resource.json").read_text())
PATH: str = KNOWN["path"]
OPERATION_PATH = f"{PATH}/operations/{{receipt}}"
NAMES: list[str] = re.findall(r"\{(.*?)\}", PATH)
# The resources in the sample events.
SAMPLES: list[str] = KNOWN["samples"]
# The ids that the tests made.
MADE: set[str] = set()
# A receipt of the right form that the service never issued.
RECEIPT = "A" * 38
MAX_BYTES = 262144
# For ids that may be any text: another resource may have numbers, or its own rule.
any_id = pytest.mark.skipif(PATH != "/users/{id}", reason="asks for ids that only users may have")


def path_of(resource: str) -> str:
    """The path of a resource. The parameters are in it as they are given."""
    values = iter(resource.split("/"))
    return re.sub(r"\{.*?\}", lambda _: next(values), PATH)


def operation_path(resource: str, receipt: str = RECEIPT) -> str:
    """The path of an operation's status."""
    return f"{path_of(resource)}/operations/{receipt}"


def parameters_of(resource: str) -> dict[str, str]:
    """The parameters of its path by name."""
    return dict(zip(NAMES, resource.split("/"), strict=True))


def owner_of(resource: str) -> str:
    """Its owner: what the `sub` of a token must be."""
    return parameters_of(resource)[KNOWN["owner"]]


def spelled(resource: str, last: str) -> str:
    """The id with another last parameter."""
    return "".join([*resource.rpartition("/")[:2], last])


def new_resource() -> str:
    """The id of a resource that no other test uses, of an owner who has no other resource."""
    free = {NAMES[-1], KNOWN["owner"]}
    values = {name: KNOWN["parameters"][name] for name in NAMES}
    made = "/".join(_other(value) if name in free else value for name, value in values.items())
    MADE.add(made)
    return made


def resource_in(path: str) -> str | None:
    """The id of the resource at a path, below any stage."""
    pattern = re.sub(r"\\\{.*?\\\}", "([^/]+)", re.escape(PATH))
    found = re.search(f"{pattern}$", path)
    return found and unquote("/".join(found.groups()))


def _other(value: str) -> str:
    """A new value of the same form."""
    if value.isdecimal():
        assert len(value) >= 9, f"{value} in Resource::EXAMPLE has less than 9 digits: give more"
        return str(secrets.randbelow(9 * 10 ** (len(value) - 1)) + 10 ** (len(value) - 1))
    is_uuid = re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", value)
    return str(uuid.uuid4()) if is_uuid else f"{value}-{uuid.uuid4()}"


def sample(value: int = 1) -> bytes:
    """A body that the service accepts: the resource's example with this number, from 1 on."""
    return str(KNOWN["body"]).replace("VALUE", str(value)).encode()


def padded(size: int = MAX_BYTES) -> bytes:
    """A body of exactly so many bytes, most of them blanks."""
    return sample().ljust(size)
