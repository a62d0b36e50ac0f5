"""What of a template need not be worked out again by every job? Kept here as a job left it, and never looked into.

A job of its own makes it, which is told no answers. Only jobs of the same template, trust, grants and environment load
it, confined as they are (`_in_environment/compiled.py`).
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path

import anyio.to_thread
import msgspec

from dynamo_mcp.errors import StorageFailed
from dynamo_mcp.jobs import Job
from dynamo_mcp.last_words import left
from dynamo_mcp.store import Store

LEFT = ".compiled"
"""Where a job leaves it, in its temporary folder (`_in_environment/compiled.py`)."""
BYTES = 16 << 20
ALL_BYTES = 512 << 20
KEPT = 500
"""Templates that it is kept of; the least recently used goes first."""


class Compiled:
    """What a home keeps."""

    def __init__(self, store: Store) -> None:
        """Make its folder."""
        self._folder = store.home / "compiled"
        self._store = store
        self._folder.mkdir(exist_ok=True)

    @property
    def folder(self) -> Path:
        """Where all of it is."""
        return self._folder

    def place(self, job: Job) -> Path | None:
        """Return where that of a job is, or would be; None where its template may change in place."""
        template = job.template
        if template.location.live or template.configuration is not None:
            return None
        made_of = (
            template.digest,
            str(template.path.relative_to(template.checkout)),
            job.environment.key,
            job.environment.packages,
            job.environment.plain.name,
            "inert" if job.trust == "inert" else "",
            "full" if job.trust == "full" else "",
            "confined" if job.confined else "",
            job.grants,
        )
        return self._folder / hashlib.sha256(msgspec.json.encode(made_of)).hexdigest()

    def found(self, place: Path | None) -> bool:
        """Tell whether it is there, and note that it is used."""
        if place is None:
            return False
        try:
            os.utime(place)
        except OSError:
            return False
        return True

    async def keep(self, place: Path, temporary: Path | None) -> None:
        """Keep what a job has left in its temporary folder; it is but a help, so nothing is said of failure.

        Args:
            place: Where; that a job has left nothing is kept, too, so that no other one is asked.
            temporary: The folder; None for a job that never came to an end.
        """
        await anyio.to_thread.run_sync(self._keep, place, temporary)

    def _keep(self, place: Path, temporary: Path | None) -> None:
        with suppress(OSError, StorageFailed):
            self._store.write(place, (left(temporary, LEFT, BYTES) if temporary else None) or b"")
            self._evict()

    def discard(self, place: Path) -> None:
        """Forget one with which a job has died."""
        with suppress(OSError):
            place.unlink()

    def _evict(self) -> None:
        with os.scandir(self._folder) as entries:
            used = sorted(((status := entry.stat()).st_mtime_ns, status.st_size, entry.path) for entry in entries)
        room = ALL_BYTES
        for number, (_, size, path) in enumerate(reversed(used)):
            room -= size
            if number >= KEPT or room < 0:
                Path(path).unlink(missing_ok=True)
