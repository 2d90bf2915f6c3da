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
TABLE, LARGER = "The table of make bench", "What make bench measured of it"
OURS = ("put", "read", "apply", "park")
PEERS = ("Express", "Flask", "plain Rust")
COLOUR, COLOUR_OF_PEERS, COLOUR_OF_OTHERS = "#b7410e", "#4c6a92", "#8a8f98"

Row = dict[str, Any]


def colour(who: str) -> str:
    """The functions, the peers and the bare programs each have one."""
    if who in OURS:
        return COLOUR
    return COLOUR_OF_PEERS if who in PEERS or "partial" in who else COLOUR_OF_OTHERS


def bars(rows: list[Row], title: str, unit: str, name: str) -> str:
    """A bar for each row, as long as its median, over a range of decades."""
    figure, axes = plt.subplots(figsize=(7.5, 0.9 + 0.32 * len(rows)), layout="constrained")
    medians = [row["value"]["median"] for row in rows]
    drawn = axes.barh(range(len(rows)), medians, color=[colour(row["who"]) for row in rows])
    axes.bar_label(drawn, fmt="%.3g", padding=3)
    axes.set_yticks(range(len(rows)), [row["who"] for row in rows])
    axes.invert_yaxis()
    if max(medians) > 20 * min(medians):
        axes.set_xscale("log")
        axes.set_xlim(min(medians) / 3, max(medians) * 2)
        axes.xaxis.set_major_formatter("{x:g}")
        unit += ", on a logarithmic scale"
    else:
        axes.set_xlim(0, max(medians) * 1.12)
    axes.set_xlabel(unit)
    axes.set_title(title, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    return save(figure, name, title)


def throughput(rows: list[Row]) -> str:
    """Operations per second over the size of the batch, a panel for each latency."""
    latencies = sorted({latency(row) for row in rows})
    figure, panels = plt.subplots(
        1, len(latencies), figsize=(10, 3.8), sharey=True, layout="constrained", squeeze=False
    )
    for axes, ms in zip(panels[0], latencies, strict=True):
        for who in dict.fromkeys(row["who"] for row in rows):
            for users, style in (("each another user", "-"), ("1 user", "--")):
                if users == "1 user" and who != "apply":
                    continue
                points = [
                    (int(row["what"].split(",")[0].split()[1]), row["value"]["median"])
                    for row in rows
                    if latency(row) == ms and row["who"] == who
                    if f", {users}," in row["what"] or row["what"].startswith("batch 1,")
                ]
                label = f"{who}, all of one user" if users == "1 user" else who
                axes.plot(
                    *zip(*points, strict=True), style, marker="o", color=colour(who), label=label
                )
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel("messages in a batch")
        axes.xaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_major_formatter("{x:,.0f}")
        axes.set_title(f"{ms} ms table latency", loc="left")
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(visible=True, axis="y", color="#e4e4e4")
    panels[0][0].set_ylabel("operations/s")
    lines, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(lines, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    return save(figure, "throughput", "Operations per second by size of the batch")


def latency(row: Row) -> int:
    """The table latency of a row of the throughput, in ms."""
    return int(row["what"].rsplit(",", 1)[1].split()[0])


def save(figure: Any, name: str, title: str) -> str:
    """Write a picture that is the same for the same numbers; the Markdown that shows it."""
    PICTURES.mkdir(exist_ok=True)
    figure.savefig(PICTURES / f"{name}.svg", metadata={"Date": None})
    return f"![{title}](performance/{name}.svg)\n\n"


def replace(name: str, text: str) -> None:
    """Put a text between the two comments of this name in the page."""
    begin, end = f"<!-- {name} -->\n", f"<!-- End: {name} -->\n"
    before, rest = PAGE.read_text().split(begin, 1)
    PAGE.write_text(f"{before}{begin}\n{text}\n\n{end}{rest.split(end, 1)[1]}")


def larger_batches(rows: list[Row]) -> str:
    """Operations per second, and CPU of one, of `apply` with k of one user in batches of 100."""
    together = {"each another user": 1, "10 users": 10, "1 user": 100}
    cells: dict[tuple[int, int], list[str]] = {}
    for row in rows:
        if row["who"] == "apply" and row["what"].startswith("batch 100, "):
            place = latency(row), together[row["what"].split(", ")[1]]
            cells.setdefault(place, []).append(f"{row['value']['median']:,.0f}")
    if not cells:
        return ""
    lines = [
        "What `apply` does in a second of such batches, and what one operation takes of the",
        "processor, with bodies of 300 B on the machine above:",
        "",
    ]
    lines += ["| table latency | *k* = 1 | *k* = 10 | *k* = 100 |", "|--:|--:|--:|--:|"]
    for ms in sorted({ms for ms, _ in cells}):
        texts = ["{}/s, {} µs".format(*cells[ms, k]) for k in (1, 10, 100)]
        lines.append(f"| {ms} ms | {' | '.join(texts)} |")
    return "\n".join(lines)


def start_ups(rows: list[Row]) -> list[Row]:
    """One of each: the bare programs, the functions, the peers; put stands beside two of them."""
    times = [row for row in rows if row["section"].startswith("Start-up to")]
    times = [row for row in times if row["what"].endswith("time")]
    once = {row["who"]: row for row in reversed(times)}
    return sorted(once.values(), key=lambda row: row["value"]["median"])


def main(results: Path) -> None:
    """Make the pictures and the table."""
    mpl.rcParams["svg.hashsalt"] = "async-put"
    mpl.rcParams["svg.fonttype"] = "none"
    measured = json.loads(results.read_text())
    rows: list[Row] = measured["rows"]

    pictures = ""
    if starts := start_ups(rows):
        pictures += bars(starts, "Start-up to the first poll", "ms", "start-up")
    zips = [row for row in rows if row["section"] == "Size" and row["what"] == "zip"]
    if zips:
        zips.sort(key=lambda row: row["value"]["median"])
        pictures += bars(zips, "Zip of each function", "MB", "size")
    if rates := [row for row in rows if row["section"].startswith("Throughput")]:
        pictures += throughput(rates)
    replace(TABLE, pictures + measured["table"].strip())
    if together := larger_batches(rows):
        replace(LARGER, together)


main(Path(sys.argv[1]))
