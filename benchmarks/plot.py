"""What do the figures look like? `python -m benchmarks.plot FOUND.json FOLDER` draws every comparison, as SVG and PNG.

Each picture shows what a run took, on a scale of powers of ten, with the lowest and the highest round; what nobody can
be faster than is a dashed line.
"""

from __future__ import annotations

import argparse
import sys
import textwrap
from pathlib import Path

import msgspec

from benchmarks.__main__ import Document
from benchmarks.measuring import Comparison, Sample

FLOORS = frozenset({"copying the files", "a bare SDK server, the same bytes", "hard-linking a ready environment"})
OURS, OTHERS = "#0b6e4f", "#9aa5b1"
INCHES_WIDE, INCHES_OF_BAR, INCHES_AROUND = 8.0, 0.42, 1.5
DOTS_PER_INCH = 120
CHARACTERS = 180


def main() -> int:
    """Draw what is asked for; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plot", description="Draw what a run found.")
    parser.add_argument("found", type=Path, help="what `python -m benchmarks --json` wrote")
    parser.add_argument("folder", type=Path, help="where the pictures go")
    asked = parser.parse_args()
    document = msgspec.json.decode(asked.found.read_bytes(), type=Document)
    asked.folder.mkdir(parents=True, exist_ok=True)
    for result in document.results:
        for number, comparison in enumerate(result.comparisons):
            path = asked.folder / f"{result.benchmark}-{number}"
            draw(comparison, path, f"{document.machine}; {document.command}")
            print(path.with_suffix(".svg"))
    return 0


def draw(comparison: Comparison, path: Path, beneath: str) -> None:
    """Draw one comparison.

    Args:
        comparison: What is drawn.
        path: Where, without a suffix.
        beneath: A line of small print: on what it was measured.
    """
    # An ordinary run needs no matplotlib.
    import matplotlib as mpl  # noqa: PLC0415

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = path.name  # the same figures give the same file
    from matplotlib import pyplot as plt  # noqa: PLC0415 - likewise

    bars = [sample for sample in comparison.samples if sample.name not in FLOORS]
    floors = [sample for sample in comparison.samples if sample.name in FLOORS]
    figure, axes = plt.subplots(figsize=(INCHES_WIDE, INCHES_AROUND + INCHES_OF_BAR * len(bars)), layout="constrained")
    for place, sample in enumerate(reversed(bars)):
        color = OURS if sample.name.lower().startswith("dynamo") else OTHERS
        # Points, since a bar's length means nothing on such a scale.
        axes.plot([min(sample.seconds), max(sample.seconds)], [place, place], color=color, linewidth=3, alpha=0.4)
        axes.plot(sample.median, place, "o", color=color, markersize=9)
        axes.annotate(
            _told(comparison, sample), (max(sample.seconds), place), (9, 0), textcoords="offset points", va="center"
        )
    for floor in floors:
        axes.axvline(floor.median, color="black", linestyle="--", linewidth=1)
        axes.annotate(
            floor.name,
            (floor.median, 1),
            (3, 3),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            fontsize=8,
        )
    axes.set_yticks(range(len(bars)), [sample.name for sample in reversed(bars)])
    axes.set_xscale("log")
    axes.set_ylim(-0.6, len(bars) - 0.4)
    axes.grid(axis="x", color="#e5e7eb")
    axes.set_axisbelow(True)
    axes.set_xlim(right=axes.get_xlim()[1] * 8)  # room for what is written beside the longest
    axes.set_xlabel("seconds, medians, and the lowest to the highest round; less is better")
    axes.set_title(comparison.title, loc="left", pad=16 if floors else 6)
    axes.spines[["top", "right"]].set_visible(False)
    figure.text(0.01, -0.02, textwrap.fill(beneath, CHARACTERS), fontsize=6, color="#555555", va="top")
    for suffix, more in ((".svg", {"metadata": {"Date": None}}), (".png", {"dpi": DOTS_PER_INCH})):
        figure.savefig(path.with_suffix(suffix), bbox_inches="tight", **more)
    plt.close(figure)


def _told(comparison: Comparison, sample: Sample) -> str:
    seconds = f"{sample.median:.2f} s" if sample.median >= 1 else f"{sample.median * 1000:.1f} ms"
    ratio = next((each for each in comparison.ratios if each.subject == sample.name), None)
    return f"{seconds}, {ratio.median:.3g} times as fast" if ratio else seconds


if __name__ == "__main__":
    sys.exit(main())
