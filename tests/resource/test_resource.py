"""docs/make-it-yours.md, followed step by step in copies of the repository."""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.environment import ROOT, TOOLS, settings_in, target, tool_environment
from tests.deployed.shell import run

from .stock import Stock, check_each_end_of_an_update

pytestmark = pytest.mark.skipif(
    '"/users/{id}"' not in (ROOT / "crates/resource/src/lib.rs").read_text(),
    reason="this copy has another resource already",
)
PAGE = (ROOT / "docs" / "make-it-yours.md").read_text()
# Everything that a new resource changes beside the crate's own files.
EDITED = {"Cargo.lock", "Cargo.toml", "docs/openapi.yaml", "template.yaml"}
PYTEST = (TOOLS / "checks/bin/python", "-m", "pytest", "-q")
STACK = (TOOLS / "sam/bin/python", "-m", "scripts.stack")
# The deployed tests that depend most on a path, ids and bodies.
DEPLOYED = "events or routes or examples or schema or access"


def blocks(language: str) -> list[str]:
    """The code of this language on the page, also in lists."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```", PAGE, re.DOTALL | re.MULTILINE)
    return [re.sub(f"^{indent}", "", text, flags=re.MULTILINE) for indent, text in found]


def files(directory: Path) -> dict[str, bytes]:
    """Every file below the directory."""
    found = (path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): path.read_bytes() for path in found}


def run_in(directory: Path, *command: str | Path, **variables: str) -> str:
    """What the command prints; it must succeed."""
    environment = os.environ | {"PYTHONPATH": str(directory)} | variables
    return run(*command, cwd=directory, env=environment)


def plain_copy(to: Path) -> Path:
    """The current files of the repository."""
    listed = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name)
    return to


def test_a_new_project_begins_as_this_one(tmp_path: Path) -> None:
    """Run the commands of the page, except those of git."""
    source = plain_copy(tmp_path / "async-put")
    shutil.make_archive(str(tmp_path / "async-put"), "zip", tmp_path, source.name)
    _, by_sam, by_cargo_lambda = blocks("sh")[0].splitlines()
    environment = tool_environment(tmp_path)
    environment["PATH"] = f"{TOOLS / 'sam' / 'bin'}{os.pathsep}{environment['PATH']}"
    for command in (by_sam, by_cargo_lambda):
        run_in(tmp_path, "bash", "-euc", command, **environment)
        assert files(tmp_path / "mine") == files(source), command
        shutil.rmtree(tmp_path / "mine")


class Copy:
    """A copy of the repository under version control, with this one's tools, but its own
    compiled files: cargo does not distinguish a crate from the same crate in a copy, and
    would link the copy's crate here.
    """

    def __init__(self, path: Path) -> None:
        self.path = plain_copy(path)
        self.target = target() / "copies" / path.name
        (path / ".tools").symlink_to(TOOLS)
        author = ("-c", "user.name=test", "-c", "user.email=test@test.invalid")
        self.run("git", "init", "--quiet")
        self.run("git", "add", "--all")
        self.run("git", *author, "commit", "--quiet", "--message", "as it came")
        shutil.rmtree(self.target, ignore_errors=True)
        for folder in {Path("debug"), Path(os.environ.get("CARGO_BUILD_TARGET", ""), "debug")}:
            if (ours := target() / folder).is_dir():
                theirs = self.target / folder
                shutil.copytree(
                    ours, theirs, ignore=shutil.ignore_patterns("incremental"), copy_function=take
                )

    def run(self, *command: str | Path, **variables: str) -> str:
        """Run a command in it."""
        return run_in(self.path, *command, CARGO_TARGET_DIR=str(self.target), **variables)

    def replace(self, name: str, *pairs: tuple[str, str]) -> None:
        """Replace the first text of each pair, which must be in the file, by the second."""
        text = (self.path / name).read_text()
        for old, new in pairs:
            assert old in text, (name, old)
            text = text.replace(old, new)
        (self.path / name).write_text(text)

    def describe(self, number: int) -> None:
        """Step 2: the crate, with the dependencies that the page names."""
        (self.path / "crates/resource/src/lib.rs").write_text(blocks("rust")[number])
        manifest = self.path / "crates/resource/Cargo.toml"
        manifest.write_text(manifest.read_text() + blocks("toml")[number])

    def changed(self) -> set[str]:
        """The files that have changed."""
        return set(self.run("git", "status", "--porcelain", "--no-renames").split()[1::2])


def take(source: str, to: str) -> None:
    """A link if nothing is ever written in it, else a copy."""
    if source.endswith((".rlib", ".rmeta", ".so")):
        os.link(source, to)
    else:
        shutil.copy2(source, to)


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


def describe_to_clients(copy: Copy, pattern: str, example: str, schema: str, body: str) -> None:
    """Step 3 for docs/openapi.yaml: ids, the schema of a body and its example."""
    text = (copy.path / "docs" / "openapi.yaml").read_text()
    (old,) = re.findall(r"\n    UserId:\n.*?        pattern: (.*?)\n", text, re.DOTALL)
    copy.replace(
        "docs/openapi.yaml",
        (old, pattern),
        ("      example: ada\n", f"      example: {example}\n"),
        ("\n      additionalProperties: true\n", schema),
        ("ada: { value: { name: Ada } }", f"ada: {{ value: {body} }}"),
    )


def devices(copy: Copy) -> None:
    """A flat resource with UUIDs."""
    copy.describe(0)
    copy.run("bash", "-euc", blocks("sh")[1])
    uuid = "'^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'"
    describe_to_clients(copy, uuid, UUID, DEVICE, '{ name: pump, firmware: "1.4.2" }')


def orders(copy: Copy) -> None:
    """A nested resource with an update and its dependencies."""
    copy.describe(1)
    paths = "s#/users/{id}#/customers/{customer}/orders/{id}#; "
    paths += "s#/users/ada#/customers/acme/orders/100000042#"
    copy.run("sed", "-i", paths, "template.yaml", "docs/openapi.yaml", "Cargo.toml")
    variable, parameter, statement = blocks("yaml")
    reference = '      - $ref: "#/components/parameters/UserId"\n'
    copy.replace(
        "template.yaml",
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
    template = copy.path / "template.yaml"
    for function in ("PutFunction", "ApplyFunction"):
        before, name, after = template.read_text().partition(f"\n  {function}:\n")
        after = after.replace("${Architecture}", "${StockUrl} ${Architecture}", 1)
        template.write_text(before + name + after)
    copy.replace(
        "docs/openapi.yaml",
        (reference, reference.replace("UserId", "Customer") + reference),
        ("    UserId:\n", f"{CUSTOMER}    UserId:\n"),
        (
            "parameters: { id: $request.path.id",
            "parameters: { customer: $request.path.customer, id: $request.path.id",
        ),
        (
            "another id; send one with a sub that equals the id in the path",
            "another customer; send one with a sub that equals the customer in the path",
        ),
    )
    body = '{ state: placed, placedAt: "2026-11-20T10:00:00Z", '
    body += "lines: [{ article: bolt, quantity: 3 }] }"
    describe_to_clients(copy, "'^[1-9][0-9]{0,11}$'", '"100000042"', ORDER, body)


def indented(text: str, by: int) -> str:
    """The lines, indented by so many blanks."""
    return re.sub("^", " " * by, text.rstrip("\n"), flags=re.MULTILINE) + "\n"


# One after the other, since they use the same disk and processors.
@pytest.fixture(scope="module", params=[devices, orders], ids=lambda of: of.__name__)
def copy(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Copy]:
    """Each of the copies."""
    copy = Copy(tmp_path_factory.mktemp("copy") / request.param.__name__)
    request.param(copy)
    copy.run("make", "events")
    yield copy
    shutil.rmtree(copy.target)


of_devices = pytest.mark.parametrize("copy", [devices], indirect=True, ids=["devices"])
of_orders = pytest.mark.parametrize("copy", [orders], indirect=True, ids=["orders"])


def test_nothing_else_was_edited(copy: Copy) -> None:
    names = copy.changed()
    own = {name for name in names if name.startswith(("crates/resource/", "events/"))}
    assert names - own <= EDITED and len(own) > 10, names
    assert not any(name.endswith((".rs", ".toml")) for name in own if name.startswith("events/"))


@of_devices
def test_the_rust_tests_pass(copy: Copy) -> None:
    """All except the simulation, which has its own resource."""
    files = (copy.path / "tests").glob("*.rs")
    targets = [word for file in files for word in ("--test", file.stem)]
    # All packages, as in `make units`: otherwise cargo compiles with other features.
    copy.run("cargo", "test", "--quiet", "--workspace", "--lib", *targets)


@of_orders
def test_it_works_when_it_is_deployed(copy: Copy) -> None:
    """Each end of its update, and the deployed tests that depend on the resource."""
    stock = Stock()
    place = ["--port", "0", "--local-dir", ".local/ends"]
    try:
        copy.run(*STACK, "up", *place, "--parameters", f"StockUrl={stock.url}")
        file = copy.path / ".local/ends/stack.env"
        check_each_end_of_an_update(settings_in(file)["API_URL"], stock)
        stock.status = 204
        copy.run(*PYTEST, "-k", DEPLOYED, STACK_ENV=str(file))
    finally:
        copy.run(*STACK, "down", *place)


def test_the_whole_suites(copy: Copy) -> None:
    """Not in the gate, which runs these tests here; most of them do not depend on the resource."""
    copy.run("make", "units")
    has_update = "StockUrl" in (copy.path / "template.yaml").read_text()
    copy.run(*PYTEST, PARAMETERS=f"StockUrl={Stock().url}" if has_update else "")
