"""Put the results of `make bench` into docs/performance.md: its table, and pictures.

python -m benches.report target/bench.json target/bench.md
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = DOCS / "performance.md"
PICTURES = DOCS / "performance"
BEGIN, END = "<!-- The table of make bench -->\n", "<!-- End of the table -->\n"
COLOURS = {"put": "#b7410e", "read": "#b7410e", "apply": "#b7410e", "park": "#b7410e"}
OTHERS = "#8a8f98"

Row = dict[str, Any]


def bars(rows: list[Row], title: str, unit: str, name: str) -> None:
    """A bar for each row, as long as its median."""
    if not rows:
        return
    figure, axes = plt.subplots(figsize=(7, 0.6 + 0.36 * len(rows)), layout="constrained")
    labels = [f"{row['what'].split(':')[0]}: {row['who']}" for row in rows]
    medians = [row["value"]["median"] for row in rows]
    colours = [COLOURS.get(row["who"], OTHERS) for row in rows]
    drawn = axes.barh(range(len(rows)), medians, color=colours)
    axes.bar_label(drawn, fmt="%.3g", padding=3)
    axes.set_yticks(range(len(rows)), labels)
    axes.invert_yaxis()
    axes.set_xlabel(unit)
    axes.set_title(title, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    save(figure, name)


def throughput(rows: list[Row]) -> None:
    """Operations per second over the size of the batch, a panel for each latency."""
    if not rows:
        return
    latencies = sorted({latency(row) for row in rows})
    figure, panels = plt.subplots(
        1, len(latencies), figsize=(10, 3.4), sharey=True, layout="constrained"
    )
    for axes, ms in zip(panels, latencies, strict=True):
        for who in dict.fromkeys(row["who"] for row in rows):
            for users, style in (("each another user", "-"), ("1 user", "--")):
                if users == "1 user" and who != "apply":
                    continue
                points = [
                    (int(row["what"].split(",")[0].split()[1]), row["value"]["median"])
                    for row in rows
                    if latency(row) == ms and row["who"] == who
                    if users in row["what"] or row["what"].startswith("batch 1,")
                ]
                label = f"{who}, one user" if users == "1 user" else who
                colour = COLOURS.get(who, "#4c6a92" if "partial" in who else OTHERS)
                axes.plot(*zip(*points, strict=True), style, marker="o", color=colour, label=label)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel("messages in a batch")
        axes.set_title(f"{ms} ms table latency", loc="left")
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("operations/s")
    panels[0].legend(fontsize="small", frameon=False)
    save(figure, "throughput")


def latency(row: Row) -> int:
    """The table latency of a row of the throughput, in ms."""
    return int(row["what"].rsplit(",", 1)[1].split()[0])


def save(figure: Any, name: str) -> None:
    """Write a picture that is the same for the same numbers."""
    PICTURES.mkdir(exist_ok=True)
    figure.savefig(PICTURES / f"{name}.svg", metadata={"Date": None})


def main(results: Path) -> None:
    """Make the pictures and the table."""
    mpl.rcParams["svg.hashsalt"] = "async-put"
    mpl.rcParams["svg.fonttype"] = "none"
    measured = json.loads(results.read_text())
    rows: list[Row] = measured["rows"]

    def section(name: str, ending: str = "") -> list[Row]:
        found = [row for row in rows if row["section"].startswith(name)]
        return [row for row in found if row["what"].endswith(ending)]

    starts = section("Start-up to", "time")
    bars(starts, "Start-up to the first poll", "ms", "start-up")
    bars(section("Size", "zip"), "Zip of each function", "MB", "size")
    throughput(section("Throughput"))
    page = PAGE.read_text()
    before, rest = page.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    PAGE.write_text(before + BEGIN + measured["table"] + "\n" + END + after)


main(Path(sys.argv[1]))
