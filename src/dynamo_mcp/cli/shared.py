"""export, import, sync: which templates does a team share?"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from dynamo_mcp.cli import many
from dynamo_mcp.cli.running import Json, emit, perform, say, warn
from dynamo_mcp.cli.wording import typed
from dynamo_mcp.dynamo import Dynamo
from dynamo_mcp.errors import StorageFailed
from dynamo_mcp.manifest import Manifest, encode, read
from dynamo_mcp.progress import Sink
from dynamo_mcp.syncing import Action, Synced, act, plan
from dynamo_mcp.text import counted

DONE = {"add": "added", "update": "updated", "keep": "as it is", "remove": "removed"}

File = Annotated[Path, typer.Argument(metavar="FILE", help="A file that `export` has written.", show_default=False)]
Vouched = Annotated[
    bool, typer.Option("--trust", help="Give each the trust and the grants that the file names, as your own word.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("export")(export)
    app.command("import")(import_)
    app.command("sync")(sync)


def export(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="Standard output without it.", show_default=False)
    ] = None,
    *,
    json: Json = False,
) -> None:
    """Write all that is registered to one file, for a team to commit: pinned, and nothing secret in it."""

    async def operation(dynamo: Dynamo) -> Manifest:
        if damaged := dynamo.damaged_records():
            # Whoever makes their registry match the file would lose them.
            lost = ", ".join(f"`{name}`" for name in damaged)
            raise StorageFailed(
                f"The records of {lost} can't be read, and the file would lack them",
                hint=f"`dynamo-mcp info {damaged[0]}` says what to do",
            )
        manifest = dynamo.export(file.absolute().parent if file else None)
        if file is not None:
            _write(file, encode(manifest))
        return manifest

    manifest = perform(operation, as_json=json)
    if json:
        emit(manifest)
    elif file is None:
        sys.stdout.write(encode(manifest).decode())
    else:
        say(f"wrote {counted(len(manifest.template), 'template')} to {file}")


def _write(file: Path, content: bytes) -> None:
    """Write a file whole or not at all.

    Raises:
        StorageFailed: It can't be written.
    """
    beside: str | None = None
    try:
        mode = file.stat().st_mode & 0o777 if file.exists() else 0o644
        descriptor, beside = tempfile.mkstemp(dir=file.absolute().parent, prefix=f".{file.name}-")
        with open(descriptor, "wb") as writer:  # noqa: PTH123 - opened by descriptor
            writer.write(content)
        Path(beside).chmod(mode)
        Path(beside).replace(file)
    except OSError as error:
        if beside is not None and os.path.exists(beside):  # noqa: PTH110 - it is text
            Path(beside).unlink()
        raise StorageFailed(
            f"Can't write `{file}`: {error.strerror or error}", hint="name a file in a folder that you may write to"
        ) from error


def import_(file: File, *, trust: Vouched = False, dry_run: DryRun = False, json: Json = False) -> None:
    """Add the templates of a file that are not registered; those that are stay as they are."""
    _bring(file, lambda action: action.kind == "add", trust=trust, dry_run=dry_run, json=json)


def sync(
    file: File,
    *,
    prune: Annotated[bool, typer.Option("--prune", help="Remove what the file does not name.")] = False,
    trust: Vouched = False,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Make the registry match a file: add what is missing, bring the others to what is pinned."""
    _bring(file, lambda _: True, prune=prune, trust=trust, dry_run=dry_run, json=json)


def _bring(
    file: Path, wanted: Callable[[Action], bool], *, prune: bool = False, trust: bool, dry_run: bool, json: bool
) -> None:
    async def operation(dynamo: Dynamo) -> tuple[many.Outcome[Synced], ...]:
        manifest = read(file)
        decided = plan(manifest, dynamo.export(), prune=prune, settings=dynamo.settings)
        actions = {action.name: action for action in decided}

        async def one(name: str, sink: Sink) -> Synced:
            action = actions[name]
            if dry_run or action.kind == "keep" or not wanted(action):
                return Synced(name, action.kind if wanted(action) else "keep", action.why)
            return await act(dynamo, action, vouched=trust, sink=sink)

        return await many.each("bring", list(actions), one)

    def tell(name: str, synced: Synced) -> None:
        differs = f" ({', '.join(synced.why)})" if synced.why else ""
        would = dry_run and synced.did != "keep"
        say(f"{f'would {synced.did}' if would else DONE[synced.did]}: {name}{differs}")
        for note in synced.notes:
            warn(f"note: {name}: {typed(note)}")

    many.conclude(perform(operation, as_json=json), tell, as_json=json)
