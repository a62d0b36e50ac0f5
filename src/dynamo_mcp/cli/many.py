"""How is one thing done to many at once? A bar and an outcome for each, and none keeps another from its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

import anyio
import msgspec

from dynamo_mcp.cli.running import bars, emit, fault, say_error, told
from dynamo_mcp.errors import DynamoError
from dynamo_mcp.progress import Sink

Result = TypeVar("Result")

TOGETHER = 8
"""Things that are done at once; the others wait for their turn."""
FAILED = 1


class Outcome(msgspec.Struct, Generic[Result], frozen=True):
    """What became of one of many: a result, or why there is none."""

    name: str
    result: Result | None
    error: DynamoError | None


async def each(
    title: str, names: Sequence[str], act: Callable[[str, Sink], Awaitable[Result]]
) -> tuple[Outcome[Result], ...]:
    """Do something to each, a bounded number at once.

    Args:
        title: What is done, as the bars say it.
        names: To what; one that is named twice is done once.
        act: Does it to one.

    Returns:
        An outcome for each, in the order of the names.
    """
    wanted = list(dict.fromkeys(names))
    outcomes: dict[str, Outcome[Result]] = {}
    limiter = anyio.CapacityLimiter(TOGETHER)

    async def one(name: str, sink: Sink, done: Callable[[], None]) -> None:
        async with limiter:
            try:
                outcomes[name] = Outcome(name, await act(name, sink), None)
            except DynamoError as error:
                outcomes[name] = Outcome(name, None, error)
            except Exception as error:  # noqa: BLE001 - the edge: a fault in one fails nothing else
                outcomes[name] = Outcome(name, None, fault(error))
            done()

    with bars([f"{title} {name}" for name in wanted]) as shown:
        async with anyio.create_task_group() as tasks:
            for name, (sink, done) in zip(wanted, shown, strict=True):
                tasks.start_soon(one, name, sink, done)
    return tuple(outcomes[name] for name in wanted)


def conclude(
    outcomes: Sequence[Outcome[Result]],
    say_result: Callable[[str, Result], None],
    *,
    as_json: bool,
    of: Callable[[Result], object] = lambda result: result,
) -> None:
    """Say what became of each, and end the process with an exit code where any has failed.

    Args:
        outcomes: In the order in which they are said.
        say_result: Says one that was done, for a person.
        as_json: Print all of them as JSON instead.
        of: What of a result is printed so.
    """
    if as_json:
        emit({"results": [_as_json(outcome, of) for outcome in outcomes]})
    else:
        for outcome in outcomes:
            if outcome.error is not None:
                say_error(outcome.error, outcome.name)
            elif outcome.result is not None:
                say_result(outcome.name, outcome.result)
    if any(outcome.error is not None for outcome in outcomes):
        raise SystemExit(FAILED)


def _as_json(outcome: Outcome[Result], of: Callable[[Result], object]) -> dict[str, object]:
    if outcome.error is not None or outcome.result is None:
        return {"name": outcome.name, "error": outcome.error and told(outcome.error)}
    return {"name": outcome.name, "result": of(outcome.result)}
