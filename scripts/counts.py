"""Count what the repository contains beside the product; fails if it is too much.

    python3 -m scripts.counts

A Rust file is product up to its first `#[cfg(test)]`. A file below tests/, or with a name for
tests, contains no product.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def tracked(suffix: str = "") -> list[str]:
    """The files under version control with one of these suffixes."""
    listed = ["git", "ls-files", "-z", "--", f"*{suffix}"]
    done = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in done.stdout.split("\0") if (ROOT / name).is_file()]


def lines(name: str) -> list[str]:
    return (ROOT / name).read_text().splitlines()


def product_lines(name: str) -> int:
    """The number of lines of a Rust file that are product."""
    is_test = re.search(r"\btests/|tests\.rs$", name)
    text = [] if is_test else [line.strip() for line in lines(name)]
    return text.index("#[cfg(test)]") if "#[cfg(test)]" in text else len(text)


def main() -> int:
    """Print the table."""
    rust = tracked(".rs")
    product = sum(map(product_lines, rust))
    tests = sum(len(lines(name)) for name in rust) - product
    python = sum(len(lines(name)) for name in tracked(".py"))
    targets = [line for line in lines("Makefile") if re.match(r"[a-z-]+:.*## ", line)]
    counts = (  # name, number, limit
        ("entries at the top", len({name.split("/")[0] for name in tracked()}), 22),
        ("targets that make lists", len(targets), 15),
        ("lines of Rust tests per line of product", round(tests / product, 2), 2.0),
        ("lines of Python", python, 5_000),
    )
    print(f"{'':40}{'now':>8}{'limit':>8}")
    for what, count, limit in counts:
        print(f"{what:40}{count:>8,}{limit:>8,}{'  too many' if count > limit else ''}")
    return any(count > limit for _, count, limit in counts)


if __name__ == "__main__":
    sys.exit(main())
