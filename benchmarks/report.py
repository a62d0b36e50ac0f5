"""How is a result told? As tables of medians with their spread, and ratios."""

from __future__ import annotations

from benchmarks.measuring import Comparison, Result

MILLISECONDS = 1000.0


def words(result: Result) -> str:
    """Return a result as text for a terminal."""
    lines = [""]
    if result.confinement:
        lines += [f"confined by Dynamo: {result.confinement}", ""]
    for comparison in result.comparisons:
        lines += [*table(comparison), ""]
    for title, steps in result.breakdown.items():
        lines.append(f"where Dynamo's time goes, {title}: milliseconds, medians")
        lines += [f"  {step:<38}{milliseconds:>8.1f}" for step, milliseconds in steps.items()]
        lines.append("")
    for amount in result.amounts:
        spread = f" ({min(amount.values):.1f} to {max(amount.values):.1f})" if len(amount.values) > 1 else ""
        lines.append(f"  {amount.name:<58}{amount.median:>10.1f} {amount.unit}{spread}")
    lines += [""] if result.amounts else []
    for claim in result.claims:
        lines.append(f"{'holds' if claim.holds else 'MISSED':<8}{claim.words}: {claim.found}")
    return "\n".join(lines if result.claims else lines[:-1])


def table(comparison: Comparison) -> list[str]:
    """Return one comparison as lines; a ratio is told as `12.3 times (11.0 to 13.1)`, and more is faster."""
    rounds = len(comparison.samples[0].seconds)
    ratios = {ratio.subject: ratio for ratio in comparison.ratios}
    lines = [
        f"{comparison.title} ({rounds} interleaved round{'s' if rounds > 1 else ''})",
        f"  {'':<26}{'median':>10}  {'lowest to highest':<24}as fast as {comparison.baseline} (rounds)",
    ]
    for sample in comparison.samples:
        spread = f"{_time(min(sample.seconds))} to {_time(max(sample.seconds))}"
        ratio = ratios.get(sample.name)
        told = f"{ratio.median:.1f} times ({ratio.lowest:.1f} to {ratio.highest:.1f})" if ratio else "1, the baseline"
        lines.append(f"  {sample.name:<26}{_time(sample.median):>10}  {spread:<24}{told}")
    return lines


def _time(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * MILLISECONDS:.1f} ms"
