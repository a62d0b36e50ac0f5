"""What did a server that was killed leave waiting? Whoever writes its errors where that server kept what it was making.

bubblewrap waits, with nothing started yet, until it is told who is who in its user namespace. When a server dies just
then, nobody will tell it, and it does not see that its parent has gone.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

_PROCESSES = Path("/proc")


def sweep(scratch: Path) -> None:
    """End the processes that servers of one home have left; for a thread.

    Args:
        scratch: Has the folder of each server that lives.
    """
    if not _PROCESSES.is_dir():
        return
    inside = f"{os.path.realpath(scratch)}/"
    for entry in os.scandir(_PROCESSES):
        if not entry.name.isdigit():
            continue
        with suppress(OSError):  # it has ended, or is somebody else's
            log = str(Path(entry.path, "fd", "2").readlink())
            if log.startswith(inside) and not os.path.lexists(inside + log.removeprefix(inside).split("/")[0]):
                os.kill(int(entry.name), signal.SIGKILL)
