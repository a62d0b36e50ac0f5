"""What becomes of what a template made beside its project? It is left out; at trust `full` it is published too.

Cookiecutter leaves it in the output folder. Here too, where the template could write there anyway, but over nothing.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import anyio.to_thread
import msgspec

from dynamo_mcp.copying import BOUNDLESS, STRAYS, Copied, copy_tree
from dynamo_mcp.disk import rename_new, words
from dynamo_mcp.relocation import Move, repair
from dynamo_mcp.store import Store
from dynamo_mcp.text import plain

_TAKEN = "it is outside the project, and there is one already"


class Beside(msgspec.Struct):
    """What a template made beside its project.

    Attributes:
        copied: What of it is not published.
        folder: The folder that holds the project.
        staged: The folder that holds what is to be published.
        names: What that is.
        notes: What is worth knowing of it.
    """

    store: Store
    copied: Copied
    folder: Path
    staged: Path
    names: tuple[str, ...] = ()
    notes: list[str] = []

    @contextmanager
    def published(self) -> Iterator[None]:
        """Publish it; whatever fails in the context takes it back."""
        put: list[str] = []
        try:
            for name in self.names:
                try:
                    self.store.publish(self.staged / name, self.folder / name, force=False)
                    put.append(name)
                except FileExistsError:  # it came meanwhile
                    self.copied.left_out.append(plain(f"../{name}: {_TAKEN}"))
            self.notes += [plain(f"../{name}: it is beside the project, where a hook put it") for name in put[:STRAYS]]
            self.notes += [f"and {len(put) - STRAYS} more beside the project"] if len(put) > STRAYS else []
            yield
        except BaseException:  # also what is no error takes it back: it belongs to a project that is not there
            for name in put:
                with suppress(OSError):
                    rename_new(self.folder / name, self.staged / name)
            raise


@asynccontextmanager
async def looked_beside(store: Store, strays: Copied, move: Move, *, take: Path | None) -> AsyncIterator[Beside]:
    """Look at what a template made beside its project; nothing of it is published yet.

    Args:
        store: Where it is staged.
        strays: What is there, as `leave_strays` tells it.
        move: From where to where the project moves.
        take: The folder that holds the project's, to publish what else is in it; None only tells of it.

    Raises:
        StorageFailed: The disk is full, or the like.
    """
    folder = Path(move.published)
    if take is None or not strays.left_out:
        yield Beside(store, strays, folder, staged=folder)
        return
    async with store.staged(beside=folder) as staged:
        with words("write what is beside the project", folder):
            beside = await anyio.to_thread.run_sync(_take, store, take, staged, move)
        yield beside


def _take(store: Store, root: Path, staged: Path, move: Move) -> Beside:
    folder = Path(move.published)
    taken = sorted(name for name in os.listdir(root) if name != move.directory and os.path.lexists(folder / name))
    moving = msgspec.structs.replace(move, directory="")
    copied = copy_tree(root, staged, limits=BOUNDLESS, move=moving, without=frozenset({move.directory, *taken}))
    notes = repair(staged, copied.marked, moving, BOUNDLESS.bytes)
    copied.left_out = [plain(f"../{line}") for line in (*(f"{name}: {_TAKEN}" for name in taken), *copied.left_out)]
    names = tuple(sorted(os.listdir(staged)))
    return Beside(store, copied, folder, staged, names, [plain(f"../{note}") for note in notes])
