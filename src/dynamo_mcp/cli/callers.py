"""keys, users: who may call over a network, and what may they do?"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from dynamo_mcp.cli.running import INTERRUPTED, Json, emit, fail, fault, say, settings, warn
from dynamo_mcp.disk import words
from dynamo_mcp.errors import DynamoError, UsageError

if TYPE_CHECKING:
    from dynamo_mcp.auth.books import Entry

Result = TypeVar("Result")

Name = Annotated[str, typer.Argument(help="What you call it by: letters, digits and ._@+-", show_default=False)]
Scopes = Annotated[
    list[str] | None,
    typer.Option("--scope", help="templates:read, templates:write, projects:create, or admin; several may be given."),
]
_DAY_SECONDS = 86_400
_MOST_DAYS = 36_500
_MOST_BYTES = 4096


def register(app: typer.Typer) -> None:
    """Add the commands."""
    keys = typer.Typer(help="Keys by which programs call over a network (serve --auth keys).")
    keys.command("add")(add_key)
    keys.command("list")(list_keys)
    keys.command("revoke")(revoke_key)
    app.add_typer(keys, name="keys")
    users = typer.Typer(help="Users who call over a network (serve --auth basic).")
    users.command("add")(add_user)
    users.command("list")(list_users)
    users.command("remove")(remove_user)
    app.add_typer(users, name="users")


def add_key(
    name: Name,
    *,
    scope: Scopes = None,
    expires: Annotated[
        float | None, typer.Option(metavar="DAYS", help="Days that it is good for; for ever if left out.")
    ] = None,
    json: Json = False,
) -> None:
    """Make a key and print it, once: only a hash of it is kept."""

    def work() -> tuple[Entry, str]:
        from dynamo_mcp.auth import books, keys  # noqa: PLC0415 - no other command needs it

        if expires is not None and not 0 < expires <= _MOST_DAYS:
            raise UsageError(
                f"A key can't be good for `{expires:g}` days", hint=f"give more than 0 and at most {_MOST_DAYS}"
            )
        seconds = None if expires is None else expires * _DAY_SECONDS
        made = keys.new(books.checked_name(name, "key"), books.checked_scopes(scope or []), seconds)
        keys.book(settings(person=True)).add(made[0])
        return made

    entry, key = _do(work, as_json=json)
    if json:
        emit({**_told(entry), "key": key})
        return
    sys.stdout.write(f"{key}\n")
    sys.stdout.flush()
    warn(f"the key `{name}`: it is shown this once; clients send it as `Authorization: Bearer …`")


def list_keys(*, json: Json = False) -> None:
    """List keys: their names, scopes and when they expire."""

    def work() -> list[Entry]:
        from dynamo_mcp.auth import keys  # noqa: PLC0415 - no other command needs it

        return keys.book(settings(person=True)).entries()

    _list("keys", _do(work, as_json=json), as_json=json)


def revoke_key(name: Name, *, json: Json = False) -> None:
    """Have a key count no more, in a server that runs either."""

    def work() -> None:
        from dynamo_mcp.auth import keys  # noqa: PLC0415 - no other command needs it

        keys.book(settings(person=True)).remove(name)

    _do(work, as_json=json)
    if json:
        emit({"revoked": name})
    else:
        say(f"revoked {name}")


def add_user(
    name: Name,
    *,
    scope: Scopes = None,
    password_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Whose first line is the password; - is standard input.", show_default=False),
    ] = None,
    json: Json = False,
) -> None:
    """Make a user; the password is asked for, or read from a file or standard input, and only a hash of it is kept."""

    def work() -> Entry:
        from dynamo_mcp.auth import basic, books  # noqa: PLC0415 - no other command needs it

        checked, scopes = books.checked_name(name, "user"), books.checked_scopes(scope or [])
        book = basic.book(settings(person=True))
        book.refuse_taken(checked)
        made = basic.new(checked, scopes, _password(password_file))
        book.add(made)
        return made

    entry = _do(work, as_json=json)
    if json:
        emit(_told(entry))
    else:
        say(f"added {name}")


def list_users(*, json: Json = False) -> None:
    """List users: their names and scopes."""

    def work() -> list[Entry]:
        from dynamo_mcp.auth import basic  # noqa: PLC0415 - no other command needs it

        return basic.book(settings(person=True)).entries()

    _list("users", _do(work, as_json=json), as_json=json)


def remove_user(name: Name, *, json: Json = False) -> None:
    """Have a user known no more, by a server that runs either."""

    def work() -> None:
        from dynamo_mcp.auth import basic  # noqa: PLC0415 - no other command needs it

        basic.book(settings(person=True)).remove(name)

    _do(work, as_json=json)
    if json:
        emit({"removed": name})
    else:
        say(f"removed {name}")


def _do(work: Callable[[], Result], *, as_json: bool) -> Result:
    """Do it without a loop: nothing else goes on meanwhile, and a person can interrupt it at any time."""
    try:
        return work()
    except DynamoError as error:
        fail(error, as_json=as_json)
    except (EOFError, KeyboardInterrupt):
        warn("\ninterrupted; nothing was left behind")
        raise SystemExit(INTERRUPTED) from None
    except Exception as error:  # noqa: BLE001 - the edge: a person gets words, whatever it is
        fail(fault(error), as_json=as_json)


def _password(file: Path | None) -> str:
    given = _given(file)
    if not given:
        raise UsageError(
            "No password was given",
            hint="type one in a terminal, or have it in the first line of standard input or of a file: "
            "`--password-file FILE`",
        )
    return given


def _given(file: Path | None) -> str:
    if file is not None and str(file) != "-":
        with words("read the password", file, hint="name a file that you may read"), file.open("rb") as opened:
            return _line(opened.read(_MOST_BYTES))
    if file is not None or not sys.stdin.isatty():
        return _line(sys.stdin.buffer.readline(_MOST_BYTES))
    from getpass import getpass  # noqa: PLC0415 - only a person at a terminal is asked

    first = getpass("a password: ")
    if first != getpass("once more: "):
        raise UsageError("The two passwords differ", hint="type the same one twice")
    return first


def _line(content: bytes) -> str:
    try:
        return content.split(b"\n", 1)[0].removesuffix(b"\r").decode()
    except UnicodeDecodeError:
        raise UsageError("The password is not UTF-8", hint="write it in UTF-8") from None


def _list(noun: str, entries: list[Entry], *, as_json: bool) -> None:
    if as_json:
        emit({noun: [_told(entry) for entry in entries]})
        return
    for entry in entries:
        ends = "expired" if entry.expired() else "expires"
        until = "" if entry.expires is None else f", {ends} {_day(entry.expires)}"
        say(f"{entry.name}: {' '.join(entry.scopes)}, made {_day(entry.made)}{until}")
    if not entries:
        say(f"no {noun}")


def _told(entry: Entry) -> dict[str, object]:
    told: dict[str, object] = {"name": entry.name, "scopes": entry.scopes, "made": _moment(entry.made)}
    return told if entry.expires is None else {**told, "expires": _moment(entry.expires), "expired": entry.expired()}


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _day(seconds: float) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(seconds))
