"""Put the results of `make bench` into docs/performance.md.

python -m tests.bench.report target/bench.json
"""

import json
import sys
from pathlib import Path
from typing import Any

PAGE = Path(__file__).resolve().parents[2] / "docs" / "performance.md"


def larger_batches(rows: list[dict[str, Any]]) -> str:
    """Operations per second, and CPU of one, of `apply` with k of a resource in batches of 100."""
    found = {
        (row["section"], row["what"]): row["value"]["median"]
        for row in rows
        if row["who"] == "apply"
    }
    lines = [
        "What `apply` does in a second of such batches, and what one operation takes of the",
        "processor, with bodies of 300 B on the machine above:\n",
        "| table latency | *k* = 1 | *k* = 10 | *k* = 100 |",
        "|--:|--:|--:|--:|",
    ]
    for latency in ("0 ms", "5 ms", "20 ms"):
        cells = []
        for resources in ("each another resource", "10 resources", "1 resource"):
            what = f"batch 100, {resources}, {latency}"
            rate, used = found["Throughput of apply", what], found["CPU of apply", what]
            cells.append(f"{rate:,.0f}/s, {used:,.0f} µs")
        lines.append(f"| {latency} | {' | '.join(cells)} |")
    return "\n".join(lines)


def replace(name: str, text: str) -> None:
    """Put a text between the two comments of this name in the page."""
    begin, end = f"<!-- {name} -->\n", f"<!-- End: {name} -->\n"
    before, rest = PAGE.read_text().split(begin, 1)
    PAGE.write_text(f"{before}{begin}\n{text}\n\n{end}{rest.split(end, 1)[1]}")


measured = json.loads(Path(sys.argv[1]).read_text())
replace("The table of make bench", measured["table"].strip())
if any(row["section"] == "Throughput of apply" for row in measured["rows"]):
    replace("What make bench measured of it", larger_batches(measured["rows"]))
