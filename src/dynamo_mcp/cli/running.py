"""How does a command run? Settings, a progress bar, and errors as words and exit codes."""

from __future__ import annotations

import signal
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import anyio
import msgspec
import orjson
import typer

from dynamo_mcp.cli.wording import typed
from dynamo_mcp.dynamo import Dynamo, open_dynamo
from dynamo_mcp.errors import DynamoError, Failed, PasswordNeeded
from dynamo_mcp.progress import Sink, Step, ignore
from dynamo_mcp.settings import Settings, load

Result = TypeVar("Result")

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
OutputRoots = Annotated[
    list[Path] | None,
    typer.Option(envvar="DYNAMO_MCP_OUTPUT_ROOTS", help="A folder below which an MCP client may create projects."),
]
SourceRoots = Annotated[
    list[Path] | None,
    typer.Option(envvar="DYNAMO_MCP_SOURCE_ROOTS", help="A folder below which an MCP client may add local templates."),
]

INTERRUPTED = 130
PASSWORDS = 3
"""How often a person may type the password of an archive."""

_chosen: dict[str, Any] = {}


def choose(
    *,
    home: Path | None,
    output_roots: list[Path] | None,
    source_roots: list[Path] | None,
    user_config: Path | None,
    offline: bool | None = None,
) -> None:
    """Remember what the flags before the command say."""
    _chosen.clear()
    _chosen.update(
        home=home,
        offline=offline,
        output_roots=tuple(output_roots or ()) or None,
        source_roots=tuple(source_roots or ()) or None,
        user_config=user_config,
    )


def settings(*, person: bool, **chosen: object) -> Settings:
    """Read the settings, the flags winning.

    Args:
        person: A person at the shell speaks, whose own words count.
        chosen: Further flags; None leaves one as it is.
    """
    return load(**{**_chosen, **{name: value for name, value in chosen.items() if value is not None}}, person=person)


def perform(operation: Callable[[Dynamo], Awaitable[Result]], *, as_json: bool) -> Result:
    """Run one operation as the person at the shell, or end the process with its error's exit code."""

    async def whole() -> Result | PasswordNeeded:
        try:
            async with open_dynamo(settings(person=True)) as dynamo:
                return await operation(dynamo)
        except PasswordNeeded as error:
            return error

    found = conclude(whole, as_json=as_json)
    left = PASSWORDS
    while isinstance(found, PasswordNeeded):
        if as_json or not left or not sys.stdin.isatty():
            fail(found, as_json=as_json)
        warn(found.message)
        _chosen["archive_password"] = _password()
        left -= 1
        found = conclude(whole, as_json=as_json)
    return found


def _password() -> str:
    from getpass import getpass  # noqa: PLC0415 - hardly any archive needs one

    try:
        return getpass("its password: ")
    except (EOFError, KeyboardInterrupt):
        warn("\ninterrupted; what was done before stays, and nothing is left half done")
        raise SystemExit(INTERRUPTED) from None


def conclude(work: Callable[[], Awaitable[Result]], *, as_json: bool) -> Result:
    """Do some work to its end, or end the process with its error's exit code."""
    try:
        return anyio.run(_until_signal, work)
    except DynamoError as error:
        fail(error, as_json=as_json)
    except Exception as error:  # noqa: BLE001 - the edge: a person gets words, whatever it is
        fail(fault(error), as_json=as_json)
    except KeyboardInterrupt:
        warn("interrupted; what was done before stays, and nothing is left half done")
        raise SystemExit(INTERRUPTED) from None


async def _until_signal(work: Callable[[], Awaitable[Result]]) -> Result:
    """Do the work, or cancel it and let it clean up when a signal asks to end.

    Raises:
        KeyboardInterrupt: A signal did.
    """
    results: list[Result] = []
    failure: DynamoError | None = None
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with anyio.create_task_group() as tasks:

            async def watch() -> None:
                async for _ in signals:
                    tasks.cancel_scope.cancel()

            tasks.start_soon(watch)
            try:
                results.append(await work())
            except DynamoError as error:
                failure = error
            tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure
    if not results:
        raise KeyboardInterrupt
    return results[0]


def fail(error: DynamoError, *, as_json: bool = False) -> NoReturn:
    """Say what was wrong and end the process."""
    if as_json:
        emit({"error": told(error)})
    else:
        say_error(error)
    raise SystemExit(error.exit_code) from None


def told(error: DynamoError) -> dict[str, object]:
    """Return what was wrong, for JSON."""
    kind = type(error).__name__
    return {"kind": kind, "message": error.message, "hint": typed(error.hint), "problems": error.problems}


def say_error(error: DynamoError, name: str | None = None) -> None:
    """Say what was wrong, and with which of many, where it was one of them."""
    warn(f"error: {f'{name}: ' if name else ''}{error.message}\n\nhint: {typed(error.hint)}")


def fault(error: Exception) -> Failed:
    """Return the error for what should not have happened."""
    causes: BaseException = error
    while isinstance(causes, BaseExceptionGroup):
        causes = causes.exceptions[0]
    said = f"{type(causes).__name__}: {causes}"
    return Failed(f"A fault of dynamo-mcp itself: {said}", hint="report it, with the command")


def emit(value: object) -> None:
    """Print a value as JSON on standard output."""
    sys.stdout.buffer.write(
        orjson.dumps(msgspec.to_builtins(value), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    )
    sys.stdout.flush()


def visible(text: str) -> str:
    """Return text with nothing in it that a terminal would obey: much of it was written by strangers."""
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)


def say(text: str) -> None:
    """Print text on standard output."""
    sys.stdout.write(f"{visible(text)}\n")
    sys.stdout.flush()


def warn(text: str) -> None:
    """Print text on standard error."""
    sys.stderr.write(f"{visible(text)}\n")
    sys.stderr.flush()


@contextmanager
def bar(title: str) -> Iterator[Sink]:
    """Show a progress bar on standard error, where that is a terminal; yields what moves it."""
    with bars([title]) as ((sink, _),):
        yield sink


@contextmanager
def bars(titles: Sequence[str]) -> Iterator[list[tuple[Sink, Callable[[], None]]]]:
    """Show a progress bar for each of many, from its first step until it is done.

    Yields:
        For each, what moves its bar, and what says that it is done.
    """
    if not sys.stderr.isatty():
        yield [(ignore, lambda: None) for _ in titles]
        return
    from rich.console import Console  # noqa: PLC0415 - only a person at a terminal waits for it
    from rich.progress import (  # noqa: PLC0415 - likewise
        BarColumn,
        Progress,
        SpinnerColumn,
        TaskID,
        TextColumn,
        TimeElapsedColumn,
    )

    columns = (SpinnerColumn(), TextColumn("{task.fields[title]}"), BarColumn(), TextColumn("{task.description}"))
    errors = Console(stderr=True, highlight=False, soft_wrap=True)
    with Progress(*columns, TimeElapsedColumn(), console=errors, transient=True) as shown:

        def moving(task: TaskID) -> Sink:
            async def move(step: Step) -> None:
                # A terminal's escape codes can't come through: `plain` text and square brackets are shown as they are.
                message = step.message.replace("[", "\\[")[:80]
                shown.update(task, completed=step.position, total=step.total, description=message, visible=True)

            return move

        tasks = [shown.add_task("", title=title, total=None, visible=len(titles) == 1) for title in titles]
        yield [(moving(task), partial(shown.update, task, visible=False)) for task in tasks]
