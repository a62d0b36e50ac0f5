"""How much has a job written so far? Asked from time to time where no file system of its own limits it."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

SECONDS = 0.2
"""Between two looks at least; looking takes at most a fifth of the time."""
DEPTH = 60
"""Folders within folders that a project may have (`copying.py`)."""


class TooMuch(Exception):
    """More was written than may be; in words, and the setting that may allow it."""


@contextlib.contextmanager
def watched(most: dict[str, Any] | None, kill: Callable[[], object]) -> Iterator[list[dict[str, Any]]]:
    """Kill a job that writes too much while the caller stays in the context.

    Args:
        most: "files", the number of files, folders and links that there may be; "bytes", by folder, that may be in it.
            None where nothing has to be watched.
        kill: Ends the job, and with it what the caller waits for.

    Yields:
        A list that will hold what was too much: "message" in words, and "setting".
    """
    found: list[dict[str, Any]] = []
    if most is None:
        yield found
        return
    done = threading.Event()

    def look() -> None:
        pause = SECONDS
        while not done.wait(pause):
            started = time.monotonic()
            try:
                for folder, limit in most["bytes"].items():
                    measure(folder, limit, most["files"])
            except TooMuch as error:
                found.append({"message": error.args[0], "setting": error.args[1]})
                kill()
                return
            pause = max(SECONDS, 4 * (time.monotonic() - started))

    # It starts after the job was forked and ends before another is, so that a fork never meets a second thread.
    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield found
    finally:
        done.set()
        watcher.join()


def measure(folder: str, most_bytes: int, most_files: int) -> tuple[int, int]:
    """Add up what is in a folder, without following a link.

    Returns:
        How many bytes its files take on the disk, and how many files, folders and links there are.

    Raises:
        TooMuch: It is more than may be.
    """
    used = files = 0

    def add(descriptor: int, depth: int) -> None:
        nonlocal used, files
        if depth > DEPTH:
            raise TooMuch(f"more than {DEPTH} folders within each other", None)
        with os.scandir(descriptor) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):  # gone meanwhile, or no folder any more
                    used += entry.stat(follow_symlinks=False).st_blocks * 512
                    files += 1
                    if used > most_bytes:
                        raise TooMuch(f"more than {most_bytes} bytes", "output_bytes")
                    if files > most_files:
                        raise TooMuch(f"more than {most_files} files", "output_files")
                    if entry.is_dir(follow_symlinks=False):
                        below(entry.name, descriptor, depth + 1)

    def below(name: str, within: int | None, depth: int) -> None:
        opened = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=within)
        try:
            add(opened, depth)
        finally:
            os.close(opened)

    with contextlib.suppress(OSError):
        below(folder, None, 0)
    return used, files
