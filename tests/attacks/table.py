"""What does each tier stop? The table of `SECURITY.md`, made from what came of the attacks."""

from __future__ import annotations

from collections.abc import Mapping

from attacks.attack import Attack
from attacks.configurations import CONFIGURATIONS
from attacks.corpus import ATTACKS
from attacks.running import Results

SHOWN = {name: configuration.shown for name, configuration in CONFIGURATIONS.items() if configuration.shown}
MARKS = {"stopped": "✓", "worked": "**no**", "not run": "✓", "refused": "refused", "untried": "?"}
BEGIN, END = "<!-- made by `PYTHONPATH=tests uv run python -m attacks` -->\n", "<!-- until here -->\n"


def table(found: Mapping[str, Results]) -> str:
    """Write the table, in Markdown.

    Args:
        found: What came of the attacks, by configuration; those that have a column must be there.
    """
    lines = ["| a template tries to | " + " | ".join(SHOWN.values()) + " | known from |"]
    lines.append("|---|" + "---|" * len(SHOWN) + "---|")
    for attack in ATTACKS:
        cells = [_cell(attack, found[name]) for name in SHOWN]
        lines.append(f"| {attack.tries} | {' | '.join(cells)} | {attack.source} |")
    return "\n".join(lines) + "\n"


def replaced(text: str, new: str) -> str:
    """Put the table into a text, in place of the one that is there."""
    before, _, rest = text.partition(BEGIN)
    return before + BEGIN + new + END + rest.partition(END)[2]


def _cell(attack: Attack, results: Results) -> str:
    verdict, _ = results.verdicts.get(attack.name, ("not run", ""))
    return MARKS[verdict]
