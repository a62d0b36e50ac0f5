"""How does a test that runs as root do something as an ordinary user?

An ordinary user can't look into root's home (mode 0700), where the Python and the uv that run the tests may live, nor
into pytest's folders. The command runs in a mount namespace of its own: each closed folder that it needs something of
is covered by an empty, open one, and what it needs is there at its own path. Nothing of the machine is changed.
"""

from __future__ import annotations

import os
import stat
import struct
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest
import uv

USER = 5001
"""Of nobody, in no file of the machine: users need no name."""

ONLY_ROOT = pytest.mark.skipif(
    os.name == "nt" or os.getuid() != 0, reason="only root can become an ordinary user, and CI is root"
)

ZONE = "+0545"
ZONE_FILE = struct.pack(">4s16x6llBB4s", b"TZif", 0, 0, 0, 0, 1, 4, (5 * 60 + 45) * 60, 0, 0, b"FAR\0")
"""As tzfile(5) says: six counts, of which one kind of local time and four characters; then its seconds and its name."""
MOVABLE = os.name != "nt" and os.getuid() == 0 and Path("/etc/localtime").exists()
"""Whether `in_zone` can do what it is for."""

REPOSITORY = Path(__file__).resolve().parent.parent

_SCRIPT = """\
set -e
umask 022
user=$1; shift
mount -t tmpfs -o mode=0700 tmpfs /mnt
while [ "$1" != -- ]; do
  closed=$1; shift
  mkdir -p "/mnt$closed"
  mount --rbind "$closed" "/mnt$closed"
  mount -t tmpfs -o mode=0755 tmpfs "$closed"
  while [ "$1" != / ]; do
    if [ -d "/mnt$1" ]; then mkdir -p "$1"; else mkdir -p "$(dirname "$1")"; touch "$1"; fi
    mount --rbind "/mnt$1" "$1"
    shift
  done
  shift
done
shift
umount --lazy /mnt
exec setpriv --reuid="$user" --regid="$user" --clear-groups -- "$@"
"""
"""Arguments: the user; for each closed folder its path, what is needed of it, and `/`; then `--` and the command."""


def as_user(command: Sequence[str | Path], *reached: Path, user: int = USER) -> list[str]:
    """Return the command that runs another as an ordinary user; it keeps descriptors, environment and folder.

    Args:
        command: What is to run.
        reached: Files and folders that it must be able to reach, besides this repository, Python and uv. Who owns
            them is not changed: what it is to write in belongs to the user already (`give`).
        user: The number of the user.
    """
    needed = [REPOSITORY, Path(sys.prefix), Path(os.path.realpath(sys.executable)).parent.parent, uv_binary(), *reached]
    wanted: dict[Path, list[Path]] = {}
    for path in dict.fromkeys(needed):
        if (closed := _closed(path)) is not None:
            wanted.setdefault(closed, []).append(path)
    words = [word for closed, paths in wanted.items() for word in (closed, *paths, "/")]
    script = ["sh", "-c", _SCRIPT, "as-user", str(user), *words, "--", *command]
    return [str(word) for word in ["unshare", "--mount", "--propagation", "private", *script]]


def in_zone(command: Sequence[str | Path], folder: Path) -> list[str]:
    """Return the command that runs another where the time zone is `ZONE`; most machines are on UTC.

    Args:
        command: What is to run.
        folder: Where the file of the zone is made.
    """
    file = folder / "zone"
    file.write_bytes(ZONE_FILE)
    script = 'mount --bind "$0" /etc/localtime && exec "$@"'
    outer = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, file]
    return [str(word) for word in [*outer, *command]]


def give(*folders: Path, user: int = USER) -> None:
    """Make folders, and all that is in them, the user's."""
    for folder in folders:
        for path in _within(folder):
            os.chown(path, user, user, follow_symlinks=False)


def uv_binary() -> Path:
    """Return the executable that the `uv` package brings."""
    return Path(uv.find_uv_bin())


def _within(folder: Path) -> Iterable[Path]:
    yield folder
    yield from folder.rglob("*")


def _closed(path: Path) -> Path | None:
    """Return the first folder on the way that others may not enter."""
    for parent in reversed(path.parents):
        if not stat.S_IMODE(parent.stat().st_mode) & stat.S_IXOTH:
            return parent
    return None
