"""How does the worker wait for a job's words, and look at what it uses? Without taking its time for looks."""

from __future__ import annotations

import os
import time
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from dynamo_mcp._in_environment.watching import EVERY, Lines, TooMuch

if TYPE_CHECKING:
    from collections.abc import Iterator

Pipe = tuple[int, int]


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """What a job writes to, and where it is read."""
    reader, writer = os.pipe()
    yield reader, writer
    os.close(reader)
    os.close(writer)


def test_looks_take_a_fifth_of_the_time_at_most(pipe: Pipe) -> None:
    looks: list[tuple[float, float]] = []

    def slow() -> None:
        began = time.monotonic()
        while time.monotonic() < began + EVERY:
            pass
        looks.append((began, time.monotonic()))

    Lines(pipe[0], [slow]).wait(15 * EVERY)
    assert len(looks) > 1
    for (began, ended), (again, _) in pairwise(looks):
        assert again - ended >= 4 * (ended - began) * 0.99


def test_a_look_is_taken_while_a_job_is_silent_and_while_it_is_not(pipe: Pipe) -> None:
    def talk() -> None:
        looked.append("talking")
        os.write(pipe[1], b"x\n")

    def end() -> None:
        raise TooMuch("memory", "too much", "memory_bytes")

    looked: list[str] = []
    assert Lines(pipe[0], [talk]).next(100) == b"x\n"
    assert looked == ["talking"]
    lines = Lines(pipe[0], [end])

    def listen() -> None:
        while True:
            os.write(pipe[1], b"y\n")
            assert lines.next(100) == b"y\n"

    with pytest.raises(TooMuch, match="too much"):
        listen()


def test_lines_come_one_at_a_time_and_one_that_is_too_long_is_cut(pipe: Pipe) -> None:
    lines = Lines(pipe[0], [])
    os.write(pipe[1], b"one\ntwo\nthree, without end")
    assert [lines.next(10) for _ in range(3)] == [b"one\n", b"two\n", b"three, wit"]
