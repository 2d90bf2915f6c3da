"""docs/make-it-yours.md, followed step by step in copies of the repository."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from .stock import Stock, told

ROOT = Path(__file__).resolve().parent.parent.parent
pytestmark = pytest.mark.skipif(
    '"/users/{id}"' not in (ROOT / "crates/resource/src/lib.rs").read_text(),
    reason="this copy has another resource already",
)
PAGE = (ROOT / "docs" / "make-it-yours.md").read_text()
# All that a new resource needs; what the copies change beside the crate's own files.
EDITED = {"Cargo.lock", "Cargo.toml", "docs/openapi.yaml", "template.yaml"}
# What of the copy's deployed tests depends on a path, ids and bodies, in both modes; and on a
# setting and an update.
DEPLOYED = ["journeys", "routes", "events", "examples", "schema", "updates", "access"]
WITH_UPDATE = ["faults", "template", "documents"]
# Words of Rust, of this project and of HTTP that a resource may well be called.
NAMES = ("item", "event", "order", "request", "type", "box", "status", "key", "match", "operation")


def blocks(language: str) -> list[str]:
    """The code of this language on the page, as it stands in a list too."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```", PAGE, re.DOTALL | re.MULTILINE)
    return [re.sub(f"^{indent}", "", text, flags=re.MULTILINE) for indent, text in found]


def files(directory: Path) -> dict[str, bytes]:
    """Every file below the directory."""
    found = (path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): path.read_bytes() for path in found}


def run(command: Sequence[str | Path], directory: Path, **variables: str) -> str:
    """What the command prints; it must succeed."""
    target = os.environ.get("CARGO_TARGET_DIR", str(ROOT / "target"))
    # What is compiled of other projects' code is shared.
    environment = os.environ | {"CARGO_TARGET_DIR": target, "PYTHONPATH": str(directory)}
    done = subprocess.run(
        command,
        cwd=directory,
        env=environment | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=1800,
        check=False,
    )
    assert done.returncode == 0, f"{command} in {directory}:\n{done.stdout[-8000:]}"
    return done.stdout


def plain_copy(to: Path) -> Path:
    """The repository's files as they are now."""
    listed = run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], ROOT)
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name)
    return to


def test_a_new_project_begins_as_this_one(tmp_path: Path) -> None:
    """By the commands of the page, but for git's."""
    source = plain_copy(tmp_path / "async-put")
    shutil.make_archive(str(tmp_path / "async-put"), "zip", tmp_path, source.name)
    tools = tmp_path / "tools"
    tools.mkdir()
    for name, python in (("sam", "sam"), ("cargo-lambda", "cargo-lambda")):
        (tools / name).symlink_to(ROOT / ".tools" / python / "bin" / name)
    _, by_sam, by_cargo_lambda = blocks("sh")[0].splitlines()
    path = {"PATH": f"{tools}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    kept = {
        name: os.environ.get(name, str(Path.home() / f".{name[:-5].lower()}"))
        for name in ("CARGO_HOME", "RUSTUP_HOME")
    }
    for command in (by_sam, by_cargo_lambda):
        run(["bash", "-euc", command], tmp_path, SAM_CLI_TELEMETRY="0", **path, **kept)
        assert files(tmp_path / "mine") == files(source), command
        shutil.rmtree(tmp_path / "mine")


def replaced(file: Path, *pairs: tuple[str, str]) -> None:
    """Put each second text in the place of the first, which must be there."""
    text = file.read_text()
    for old, new in pairs:
        assert old in text, (file, old)
        text = text.replace(old, new)
    file.write_text(text)


def new_copy(directory: Path) -> Path:
    """A copy under version control, with the tools of this repository."""
    copy = plain_copy(directory)
    (copy / ".tools").symlink_to(ROOT / ".tools")
    run(["git", "init", "--quiet"], copy)
    run(["git", "add", "--all"], copy)
    author = ("-c", "user.name=test", "-c", "user.email=test@test.invalid")
    run(["git", *author, "commit", "--quiet", "--message", "as it came"], copy)
    return copy


def describe(copy: Path, number: int) -> None:
    """Step 2: the crate, with what the page says that it depends on."""
    (copy / "crates/resource/src/lib.rs").write_text(blocks("rust")[number])
    manifest = copy / "crates/resource/Cargo.toml"
    manifest.write_text(manifest.read_text() + blocks("toml")[number])


def changed(copy: Path) -> set[str]:
    """The files of a copy that are not as they came."""
    return set(run(["git", "status", "--porcelain", "--no-renames"], copy).split()[1::2])


FIRST_ORDER = (
    '{"state":"placed","placedAt":"2026-11-20T10:00:00Z","lines":[{"article":"bolt","quantity":3}]}'
)
UUID = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff"
DEVICE = """
      required: [name, firmware]
      additionalProperties: false
      properties:
        name: { type: string, minLength: 1, maxLength: 100 }
        firmware: { type: string, pattern: '^[1-9][0-9]{0,8}([.][1-9][0-9]{0,8}){2}$' }
"""
ORDER = """
      required: [state, placedAt, lines]
      additionalProperties: false
      properties:
        state: { type: string, enum: [placed, cancelled] }
        placedAt: { type: string, pattern: '^20[0-9]{2}-1[0-2]-[12][0-8]T[01][0-9]:00:00Z$' }
        lines:
          type: array
          minItems: 1
          items:
            type: object
            required: [article, quantity]
            additionalProperties: false
            properties:
              article: { type: string, minLength: 1 }
              quantity: { type: integer, minimum: 1, maximum: 1000 }
"""
CUSTOMER = """    Customer:
      name: customer
      in: path
      required: true
      description: 1 to 100 letters, digits and hyphens.
      schema: { type: string, pattern: "^[a-z0-9-]{1,100}$" }
      example: acme
"""


def describe_to_clients(copy: Path, pattern: str, example: str, schema: str, body: str) -> None:
    """Step 3 for docs/openapi.yaml: ids, the schema of a body and its example."""
    document = copy / "docs" / "openapi.yaml"
    text = document.read_text()
    (old,) = re.findall(r"\n    UserId:\n.*?        pattern: (.*?)\n", text, re.DOTALL)
    replaced(
        document,
        (old, pattern),
        ("      example: ada\n", f"      example: {example}\n"),
        ("\n      additionalProperties: true\n", schema),
        ("ada: { value: { name: Ada } }", f"ada: {{ value: {body} }}"),
    )


def devices(copy: Path) -> None:
    """A flat resource with UUIDs."""
    describe(copy, 0)
    run(["bash", "-euc", blocks("sh")[1]], copy)
    uuid = "'^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'"
    describe_to_clients(copy, uuid, UUID, DEVICE, '{ name: pump, firmware: "1.4.2" }')


def orders(copy: Path) -> None:
    """A nested resource with an update, and what that takes."""
    describe(copy, 1)
    paths = "s#/users/{id}#/customers/{customer}/orders/{id}#; "
    paths += "s#/users/ada#/customers/acme/orders/100000042#"
    run(["sed", "-i", paths, "template.yaml", "docs/openapi.yaml", "Cargo.toml"], copy)
    variable, parameter, statement = blocks("yaml")
    reference = '      - $ref: "#/components/parameters/UserId"\n'
    replaced(
        copy / "template.yaml",
        ("\nParameters:\n", f"\nParameters:\n{indented(parameter, 2)}"),
        ('{"name":"Ada"}', FIRST_ORDER),
        (
            queue := "          UPDATES_QUEUE_URL: !Ref UpdatesQueue\n",
            queue + indented(variable, 10),
        ),
        (
            policy := "        - PolicyName: apply\n          PolicyDocument:\n"
            '            Version: "2012-10-17"\n            Statement:\n',
            policy + indented(statement, 14),
        ),
    )
    for function in ("PutFunction", "ApplyFunction"):
        text = (copy / "template.yaml").read_text()
        before, name, after = text.partition(f"\n  {function}:\n")
        (copy / "template.yaml").write_text(
            before + name + after.replace("${Architecture}", "${StockUrl} ${Architecture}", 1)
        )
    replaced(
        copy / "docs" / "openapi.yaml",
        (reference, reference.replace("UserId", "Customer") + reference),
        ("    UserId:\n", f"{CUSTOMER}    UserId:\n"),
        (
            "parameters: { id: $request.path.id",
            "parameters: { customer: $request.path.customer, id: $request.path.id",
        ),
        (
            "another id; send one whose sub is the id",
            "another customer; send one whose sub is the customer",
        ),
    )
    body = '{ state: placed, placedAt: "2026-11-20T10:00:00Z", '
    body += "lines: [{ article: bolt, quantity: 3 }] }"
    describe_to_clients(copy, "'^[1-9][0-9]{0,11}$'", '"100000042"', ORDER, body)


def indented(text: str, by: int) -> str:
    """The lines so many blanks to the right."""
    return re.sub("^", " " * by, text.rstrip("\n"), flags=re.MULTILINE) + "\n"


# One after the other, since they share what is compiled.
@pytest.fixture(scope="module", params=[devices, orders], ids=lambda of: of.__name__)
def copy(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Each of the copies."""
    copy = new_copy(tmp_path_factory.mktemp("copy") / request.param.__name__)
    request.param(copy)
    run(["make", "events"], copy)
    return copy


of_devices = pytest.mark.parametrize("copy", [devices], indirect=True, ids=["devices"])
of_orders = pytest.mark.parametrize("copy", [orders], indirect=True, ids=["orders"])


@pytest.fixture
def stock() -> Iterator[Stock]:
    """The service that the orders' update calls."""
    stock = Stock()
    yield stock
    stock.stop()


def test_nothing_else_was_edited(copy: Path) -> None:
    names = changed(copy)
    own = {name for name in names if name.startswith(("crates/resource/", "events/"))}
    assert names - own <= EDITED and len(own) > 10, names
    assert not any(name.endswith((".rs", ".toml")) for name in own if name.startswith("events/"))


def test_the_rust_tests_pass(copy: Path) -> None:
    # The simulation has a resource of its own, so a few of its schedules are enough here.
    run(["make", "units"], copy, SIMULATION_SCHEDULES="2000")


@of_orders
def test_each_end_of_an_update_in_each_mode(copy: Path, stock: Stock) -> None:
    stack: list[str | Path] = [ROOT / ".tools/sam/bin/python", "-m", "scripts.stack"]
    options = ["--port", "0", "--local-dir", ".local/ends", "--parameters", f"StockUrl={stock.url}"]
    try:
        run([*stack, "up", *options], copy)
        lines = (copy / ".local/ends/stack.env").read_text().splitlines()
        (url,) = (
            shlex.split(line)[0].partition("=")[2] for line in lines if line.startswith("API_URL=")
        )
        told(url, stock)
    finally:
        run([*stack, "down", *options], copy)


def test_the_deployed_resource_passes(copy: Path, stock: Stock) -> None:
    python = ROOT / ".tools" / "checks" / "bin" / "python"
    has_update = "StockUrl" in (copy / "template.yaml").read_text()
    names = DEPLOYED + (WITH_UPDATE if has_update else [])
    files = [f"tests/deployed/test_{name}.py" for name in names]
    # make smoke has many of the same tests.
    command: list[str | Path] = [python, "-m", "pytest", "-q", "-k", "not make_smoke", *files]
    printed = run(command, copy, PARAMETERS=f"StockUrl={stock.url}" if has_update else "")
    assert re.search(r"\d+ passed", printed) and "failed" not in printed, printed


@of_devices
@pytest.mark.parametrize("name", NAMES)
def test_a_resource_may_be_called(copy: Path, name: str) -> None:
    """The crate alone, since nothing else knows the name."""
    crate = copy / "crates/resource/src/lib.rs"
    before = crate.read_text()
    renamed = before.replace("Devices", f"{name.capitalize()}s").replace(
        "Device", name.capitalize()
    )
    try:
        crate.write_text(renamed.replace("/devices/{id}", f"/{name}s/{{id}}"))
        run(["cargo", "check", "--quiet", "--package", "resource", "--package", "put"], copy)
    finally:
        crate.write_text(before)
