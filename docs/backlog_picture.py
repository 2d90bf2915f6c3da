"""The picture of docs/scale.md."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl

mpl.use("svg")
from matplotlib import pyplot as plt

from docs.backlog import CALM, OUTAGE

if TYPE_CHECKING:
    from docs.backlog import Run

# One point in so many seconds, for a small file.
EVERY = 30


def draw(runs: list[Run], path: Path) -> None:
    """Draw how many messages wait, one panel for each load."""
    mpl.rcParams["svg.hashsalt"] = "async-put"  # the same file each time
    rates = sorted({done.setting.rate for done in runs})
    figure, panels = plt.subplots(1, len(rates), figsize=(11, 4.2), layout="constrained")
    for rate, panel in zip(rates, panels, strict=True):
        panel.axvspan(0, OUTAGE / 60, color="0.9", label="tables throttle every write")
        for done in (done for done in runs if done.setting.rate == rate):
            setting = done.setting
            points = range(0, len(done.backlog), EVERY)
            panel.plot(
                [(second - CALM) / 60 for second in points],
                [done.backlog[second] / 1e6 for second in points],
                label=f"{setting.concurrency:,} x {setting.batch:,}, tables {setting.tables} x",
            )
        panel.set(
            title=f"{rate:,} PUT/s",
            xlabel="minutes since the outage began",
            ylabel="messages that wait, in millions",
            xlim=(-CALM / 60, 180),
            ylim=(0, 1.6 * rate * OUTAGE / 1e6),
        )
        panel.legend(title="invocations x batch", loc="upper right", fontsize="small")
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
