"""What changed on disk? One watcher for the records and for every live template."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import anyio

STEP_MILLISECONDS = 5
DEBOUNCE_MILLISECONDS = 20
"""Half the changes are told within 9 ms; the defaults take 81."""
HEARTBEAT_MILLISECONDS = 1_000


async def changes(files: Path, watched: Iterable[Path], again: anyio.Event) -> AsyncIterator[frozenset[Path]]:
    """Yield the paths that changed, some at a time; none at each heartbeat, so that nothing is missed for long.

    Args:
        files: A folder whose own files are watched.
        watched: Folders of which only `cookiecutter.json` is watched.
        again: Ends the iteration when set.

    Raises:
        OSError: There is no watcher, or no descriptor, left for this user.
    """
    from watchfiles import awatch  # noqa: PLC0415 - commands that serve nobody watch nothing
    from watchfiles._rust_notify import WatchfilesRustInternalError  # noqa: PLC0415 - likewise

    folders = [folder for folder in dict.fromkeys(watched) if folder.is_dir()]

    def relevant(_change: object, path: str) -> bool:
        return Path(path).parent == files or Path(path).name == "cookiecutter.json"

    try:
        async for found in awatch(
            files,
            *folders,
            watch_filter=relevant,
            step=STEP_MILLISECONDS,
            debounce=DEBOUNCE_MILLISECONDS,
            recursive=False,
            stop_event=again,
            rust_timeout=HEARTBEAT_MILLISECONDS,
            yield_on_timeout=True,
        ):
            yield frozenset(Path(path) for _, path in found)
    except WatchfilesRustInternalError as error:
        raise OSError(*error.args) from error
