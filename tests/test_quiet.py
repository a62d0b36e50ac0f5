"""Which lines of the SDK's log are told? Its time is an argument here."""

from __future__ import annotations

import logging

from dynamo_mcp.quiet import LINES, SECONDS_BETWEEN, Rarely


def record(level: int = logging.WARNING, line: int = 1, *, traceback: bool = False) -> logging.LogRecord:
    cause = (ValueError, ValueError(), None) if traceback else None
    return logging.LogRecord("mcp.server.runner", level, "runner.py", line, "said", (), cause)


def test_what_any_client_can_have_logged_is_told_a_few_times_and_then_rarely() -> None:
    now = [0.0]
    rarely = Rarely(lambda: now[0])
    assert sum(rarely.filter(record()) for _ in range(100)) == LINES
    assert rarely.filter(record(line=2))
    now[0] += SECONDS_BETWEEN
    assert [rarely.filter(record()) for _ in range(2)] == [True, False]


def test_no_fault_is_left_out() -> None:
    rarely = Rarely(lambda: 0.0)
    assert all(rarely.filter(record(logging.ERROR)) for _ in range(100))
    assert all(rarely.filter(record(traceback=True)) for _ in range(100))
