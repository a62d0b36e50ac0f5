"""How is it measured? In turns, on fresh paths; medians, their spread, and ratios to a baseline of the same run."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import anyio
import msgspec

RUN_SECONDS = 600.0
"""Seconds that one run of one subject may take."""


class Subject(msgspec.Struct, frozen=True):
    """Something that is measured.

    Attributes:
        name: What the tables call it.
        run: Does it once. It gets a path that does not exist and that no other run gets.
    """

    name: str
    run: Callable[[Path], Awaitable[object]]


class Sample(msgspec.Struct, frozen=True):
    """What one subject took.

    Attributes:
        seconds: Seconds of each run, in the order of the rounds.
    """

    name: str
    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """Seconds of the middle run."""
        return statistics.median(self.seconds)


class Ratio(msgspec.Struct, frozen=True):
    """How many times faster than the baseline a subject is.

    Attributes:
        subject: The subject's name.
        median: The baseline's median by the subject's median.
        lowest: The lowest of the ratios of single rounds.
        highest: The highest of them.
    """

    subject: str
    median: float
    lowest: float
    highest: float


class Comparison(msgspec.Struct, frozen=True):
    """Subjects that were measured in turns.

    Attributes:
        title: What was done.
        baseline: The name of the sample that the others are compared with.
        samples: One for each subject.
        ratios: One for each subject but the baseline.
    """

    title: str
    baseline: str
    samples: tuple[Sample, ...]
    ratios: tuple[Ratio, ...]


class Amount(msgspec.Struct, frozen=True):
    """Something that was measured and is no time of a subject.

    Attributes:
        name: What was measured.
        values: Each reading.
        unit: Of every reading, such as `MB`.
    """

    name: str
    values: tuple[float, ...]
    unit: str

    @property
    def median(self) -> float:
        """The middle reading."""
        return statistics.median(self.values)


class Claim(msgspec.Struct, frozen=True):
    """What must hold, and what was found.

    Attributes:
        words: What is claimed, with its bound.
        found: The same quantity as it was measured.
        holds: It is within the bound.
    """

    words: str
    found: str
    holds: bool


class Result(msgspec.Struct, frozen=True):
    """What one benchmark found.

    Attributes:
        benchmark: Its name.
        comparisons: What was compared.
        confinement: How Dynamo confined the templates; empty where nothing was rendered.
        breakdown: Where Dynamo's time goes: milliseconds by step (medians), for each title.
        claims: What must hold of it.
        amounts: What was measured besides times.
    """

    benchmark: str
    comparisons: tuple[Comparison, ...]
    confinement: str = ""
    breakdown: dict[str, dict[str, float]] = {}
    claims: tuple[Claim, ...] = ()
    amounts: tuple[Amount, ...] = ()


async def interleave(
    subjects: Sequence[Subject],
    *,
    rounds: int,
    folder: Path,
    clock: Callable[[], float] = time.perf_counter,
    seconds: float = RUN_SECONDS,
) -> tuple[Sample, ...]:
    """Run every subject once a round, one after the other, so that a slow minute of the machine is slow for all.

    Nothing is deleted between runs: on ext4 a deletion makes the next runs slower, and not equally.

    Args:
        subjects: What is measured, in the order of each round.
        rounds: How often.
        folder: An existing folder; the runs get paths in it.
        clock: Tells seconds.
        seconds: Seconds that one run may take.

    Returns:
        One sample for each subject, in their order.

    Raises:
        TimeoutError: A run took too long.
    """
    taken: list[list[float]] = [[] for _ in subjects]
    for round_number in range(rounds):
        for place, subject in enumerate(subjects):
            path = folder / f"run-{round_number}-{place}"
            with anyio.fail_after(seconds):
                began = clock()
                await subject.run(path)
                taken[place].append(clock() - began)
    return tuple(Sample(subject.name, tuple(times)) for subject, times in zip(subjects, taken, strict=True))


def compare(title: str, samples: Sequence[Sample], *, baseline: str) -> Comparison:
    """Compare every sample with the baseline.

    Args:
        title: What was done.
        samples: Samples of the same rounds.
        baseline: The name of one of them.
    """
    base = next(sample for sample in samples if sample.name == baseline)
    ratios = tuple(ratio(base, sample) for sample in samples if sample is not base)
    return Comparison(title, baseline, tuple(samples), ratios)


def ratio(baseline: Sample, sample: Sample) -> Ratio:
    """Say how many times faster than the baseline a sample is.

    Raises:
        ValueError: They are not of the same rounds.
    """
    rounds = [base / own for base, own in zip(baseline.seconds, sample.seconds, strict=True)]
    return Ratio(sample.name, baseline.median / sample.median, min(rounds), max(rounds))


def added(baseline: Sample, sample: Sample) -> float:
    """Say how many seconds longer than the baseline a sample is: the median of its rounds' differences.

    Raises:
        ValueError: They are not of the same rounds.
    """
    return statistics.median(own - base for base, own in zip(baseline.seconds, sample.seconds, strict=True))


def times(baseline: Sample, sample: Sample) -> float:
    """Say how many times as long as the baseline a sample is: the median of its rounds' ratios.

    Raises:
        ValueError: They are not of the same rounds.
    """
    return statistics.median(own / base for base, own in zip(baseline.seconds, sample.seconds, strict=True))


def of_each(sample: Sample, count: int) -> Sample:
    """Return what each of several equal things took that one run did one after the other.

    Args:
        sample: Seconds of all of them.
        count: How many there were in each run.
    """
    return Sample(sample.name, tuple(seconds / count for seconds in sample.seconds))


def faster(what: str, comparison: Comparison, subject: str, least: float, *, than: str | None = None) -> Claim:
    """Claim that something is many times faster, by the medians of one run.

    Args:
        what: The subject in words.
        comparison: Where both were measured.
        subject: The name of the sample that is claimed of.
        least: How many times faster it is at least.
        than: What it is compared with; the comparison's baseline when None.
    """
    than = than or comparison.baseline
    samples = {sample.name: sample for sample in comparison.samples}
    found = samples[than].median / samples[subject].median
    return Claim(f"{what} is at least {least:g} times faster than {than}", f"{found:.1f} times", found >= least)


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that at least so many percent of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def median_of_each(runs: Sequence[dict[str, float]]) -> dict[str, float]:
    """Return the median of each name that the first of several runs has."""
    return {name: statistics.median(run[name] for run in runs if name in run) for name in runs[0]}
