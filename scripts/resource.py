"""Put another resource in the place of `users`, throughout a copy of this repository.

    python3 -m scripts.resource device devices '{"name":"pump VALUE","firmware":"1.4.2"}'

renames paths, files, types, tables and texts, and makes the body (VALUE stands where bodies
must differ) that of every test, sample event and example command. What a body may be, you
then write into crates/rules/src/device.rs. This file uses the standard library only.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BODIES = ROOT / "tests" / "bodies"
EVENTS = ROOT / "events"
# What is made from the sources.
MADE = {".git", ".tools", ".local", ".aws-sam", "target", "node_modules", "__pycache__"}
# They hold names of other projects, or what was measured here.
LEFT = ("LICENSE-", "Cargo.lock", "package-lock.json", "requirements/", "CHANGELOG.md")
LEFT_ALONE = ("scripts/resource.py", "tests/resource/test_resource.py")
# Words of HTTP, IAM and libraries that have nothing to do with the resource.
FOREIGN = r"""
    [Uu]ser[_-]?[Aa]gent | user_?[Aa]rn | UserName | [Uu]ser[\ -]?[Pp]ool | [Uu]serinfo | usermod
  | create_user | put_user_policy | delete_user\b | :user/ | ConnectorError::user | ::User\b
  | USER_PASSWORD_AUTH | USERNAME | --username\b | UserSub | IAM\ users? | \$USER | --user\b
  | /UserGuide/
"""
WORD = re.compile(rf"(?P<foreign>{FOREIGN})|(?P<an>\b[Aa]\ )?(?P<word>[Uu]ser|USER)", re.VERBOSE)
PLURAL = re.compile(r"s(?![a-rt-z])|S(?![A-RT-Z])")


class Refused(Exception):
    """It cannot be done; the text says why and what to do."""


def renamed(text: str, one: str, many: str) -> str:
    """The text with the resource's names in the place of `user` and `users`."""
    parts, at = [], 0
    for found in WORD.finditer(text):
        if found["foreign"] or found.start() < at:
            continue
        word, end = found["word"], found.end()
        is_plural = PLURAL.match(text, end) is not None
        new = many if is_plural else one
        new = {"U": new.capitalize() if word == "User" else new.upper()}.get(word[0], new)
        article = found["an"] or ""
        if article and one[0] in "aeio":
            article = f"{article.rstrip()}n "
        parts += [text[at : found.start()], article, new]
        at = end + is_plural
    return "".join([*parts, text[at:]])


def sources() -> list[Path]:
    """The files in which the resource has a name."""
    found = []
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in MADE]
        found += [Path(folder, name) for name in names]
    left = [ROOT / name for name in LEFT_ALONE]
    return [path for path in found if path not in left and not any(map(str(path).count, LEFT))]


def rename(one: str, many: str) -> None:
    """Rename the resource in every file, and the files."""
    for path in sources():
        try:
            old = path.read_text()
        except UnicodeDecodeError:
            continue
        new = renamed(old, one, many)
        if new != old:
            path.write_text(new)
        name = renamed(path.name, one, many)
        if name != path.name:
            path.rename(path.with_name(name))


def use_body(body: str, one: str) -> None:
    """Make `body` that of the tests, the sample events and the commands in the documents."""
    for path in BODIES.glob("*.json"):
        path.unlink()
    (BODIES / "sample.json").write_text(body)
    sent = ("put-inline", "put-inline-rest", "put-deferred", "put-deferred-rest")
    for number, name in enumerate(sent, 1):
        set_body(EVENTS / f"{name}.json", body.replace("VALUE", str(number)))
    for name, number in {"put-inline": 1, "put-inline-rest": 2, f"get-{one}": 2}.items():
        set_body(EVENTS / "expected" / f"{name}.json", body.replace("VALUE", str(number)))
    shown = json.dumps(json.loads(body.replace("VALUE", "1")), ensure_ascii=False)
    for name in ("README.md", "events/README.md"):
        path = ROOT / name
        path.write_text(re.sub(r'\{"name":"Ada[^"]*"\}', lambda _: shown, path.read_text()))
    path = ROOT / "openapi.yaml"
    path.write_text(path.read_text().replace("{ name: Ada }", shown))


def set_body(path: Path, body: str) -> None:
    """Put `body` into a sample event, or into what is expected of one."""
    event = json.loads(path.read_text())
    is_encoded = event.get("isBase64Encoded", False)
    event["body"] = base64.b64encode(body.encode()).decode() if is_encoded else body
    length = str(len(body.encode()))
    for fields in (event.get("headers") or {}, event.get("multiValueHeaders") or {}):
        for name, value in fields.items():
            if name.lower() == "content-length":
                fields[name] = [length] if isinstance(value, list) else length
    path.write_text(json.dumps(event, indent=2, ensure_ascii=False) + "\n")


def format_code() -> None:
    """Let the formatters order imports and wrap lines anew; what is not installed is left out."""
    ruff = ROOT / ".tools" / "checks" / "bin" / "ruff"
    for command in (["cargo", "fmt", "--all"], [str(ruff), "format", "--quiet"]):
        if shutil.which(command[0]):
            subprocess.run(command, cwd=ROOT, check=True)


def check(one: str, many: str, body: str) -> None:
    """Refuse names and bodies that cannot do."""
    for name in (one, many):
        if not re.fullmatch(r"[a-z][a-z0-9]*", name):
            raise Refused(f"{name!r}: a name is lower-case ASCII letters and digits, as in device")
    if one == many or one in ("user", "operation"):
        raise Refused(f"{one!r} and {many!r}: give two names of your own, as in device devices")
    if "VALUE" not in body:
        raise Refused("the body lacks VALUE, which stands where bodies must differ")
    try:
        is_object = isinstance(json.loads(body), dict)
    except ValueError as error:
        raise Refused(f"the body is not JSON: {error}") from None
    if not is_object:
        raise Refused("the body is not a JSON object")
    if not (ROOT / "crates" / "rules" / "src" / "user.rs").exists():
        raise Refused("the resource of this copy has been renamed before: start from a fresh copy")


def main() -> int:
    """Rename, and say what is left to do."""
    parser = argparse.ArgumentParser(description="Put another resource in the place of users.")
    parser.add_argument("one", help="the resource's name, such as device")
    parser.add_argument("many", help="its plural, as it stands in paths, such as devices")
    parser.add_argument("body", help="a body of it, with VALUE where bodies must differ")
    given = parser.parse_args()
    try:
        check(given.one, given.many, given.body)
    except Refused as refused:
        print(f"error: {refused}", file=sys.stderr)
        return 1
    rename(given.one, given.many)
    use_body(given.body, given.one)
    format_code()
    print(
        f"/users is /{given.many} now. Next:\n"
        f"  crates/rules/src/{given.one}.rs       what a body may be\n"
        f"  functions/apply/src/update.rs   slow work before the write\n"
        f"  openapi.yaml                    the schema {given.one.capitalize()}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
