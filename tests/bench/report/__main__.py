"""Put the results of `make bench` into docs/performance.md: its table, and pictures.

python -m tests.bench.report target/bench.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt

DOCS = Path(__file__).resolve().parents[3] / "docs"
PAGE = DOCS / "performance.md"
PICTURES = DOCS / "performance"
COLOURS = dict.fromkeys(("put", "read", "apply", "park"), "#b7410e")
COLOURS |= dict.fromkeys(("Express", "Flask", "plain Rust"), "#4c6a92")
COLOUR_OF_OTHERS = "#8a8f98"

Row = dict[str, Any]


def median(row: Row) -> float:
    return float(row["value"]["median"])


def bars(rows: list[Row], title: str, unit: str, name: str) -> str:
    """A picture with a bar for each row, as long as its median, on a logarithmic scale where they
    differ much; returns the Markdown that shows it.
    """
    rows = sorted(rows, key=median)
    figure, axes = plt.subplots(figsize=(7.5, 0.9 + 0.32 * len(rows)), layout="constrained")
    medians = [median(row) for row in rows]
    colours = [COLOURS.get(row["who"], COLOUR_OF_OTHERS) for row in rows]
    axes.bar_label(axes.barh(range(len(rows)), medians, color=colours), fmt="%.3g", padding=3)
    axes.set_yticks(range(len(rows)), [row["who"] for row in rows])
    axes.invert_yaxis()
    if medians[-1] > 20 * medians[0]:
        axes.set_xscale("log")
        axes.set_xlim(medians[0] / 3, medians[-1] * 2)
        axes.xaxis.set_major_formatter("{x:g}")
        unit += ", on a logarithmic scale"
    else:
        axes.set_xlim(0, medians[-1] * 1.12)
    axes.set(xlabel=unit)
    axes.set_title(title, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    PICTURES.mkdir(exist_ok=True)
    # The same for the same numbers.
    figure.savefig(PICTURES / f"{name}.svg", metadata={"Date": None})
    return f"![{title}](performance/{name}.svg)\n\n"


def latency(row: Row) -> int:
    """The latency of the tables in ms, as in "batch 100, 1 resource, 5 ms"."""
    return int(row["what"].rsplit(",", 1)[1].removesuffix(" ms"))


def larger_batches(rows: list[Row]) -> str:
    """Operations per second, and CPU of one, of `apply` with k of a resource in batches of 100."""
    lines = [
        "What `apply` does in a second of such batches, and what one operation takes of the",
        "processor, with bodies of 300 B on the machine above:\n",
        "| table latency | *k* = 1 | *k* = 10 | *k* = 100 |",
        "|--:|--:|--:|--:|",
    ]
    found = {(row["section"].split()[0], row["what"]): median(row) for row in rows}
    for ms in sorted({latency(row) for row in rows}):
        cells = []
        for resources in ("each another resource", "10 resources", "1 resource"):
            what = f"batch 100, {resources}, {ms} ms"
            cells.append(f"{found['Throughput', what]:,.0f}/s, {found['CPU', what]:,.0f} µs")
        lines.append(f"| {ms} ms | {' | '.join(cells)} |")
    return "\n".join(lines)


def replace(name: str, text: str) -> None:
    """Put a text between the two comments of this name in the page."""
    begin, end = f"<!-- {name} -->\n", f"<!-- End: {name} -->\n"
    before, rest = PAGE.read_text().split(begin, 1)
    PAGE.write_text(f"{before}{begin}\n{text}\n\n{end}{rest.split(end, 1)[1]}")


def main(results: Path) -> None:
    """Make the pictures and the tables of what was measured."""
    mpl.rcParams["svg.hashsalt"] = "async-put"
    mpl.rcParams["svg.fonttype"] = "none"
    measured = json.loads(results.read_text())

    def rows(section: str, what: str = "") -> list[Row]:
        return [
            row
            for row in measured["rows"]
            if row["section"].startswith(section) and row["what"].endswith(what)
        ]

    pictures = ""
    if starts := rows("Start-up to the first poll", "time"):
        # One of each: put stands beside two bare programs.
        once = {row["who"]: row for row in reversed(starts)}
        pictures += bars([*once.values()], "Start-up to the first poll", "ms", "start-up")
    if zips := rows("Size", "zip"):
        pictures += bars(zips, "Zip of each function", "MB", "size")
    if rates := rows("Throughput"):
        of_apply = [row for row in rates + rows("CPU of apply") if row["who"] == "apply"]
        replace("What make bench measured of it", larger_batches(of_apply))
    replace("The table of make bench", pictures + measured["table"].strip())


main(Path(sys.argv[1]))
