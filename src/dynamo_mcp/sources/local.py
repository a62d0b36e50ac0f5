"""How is a folder on this machine taken in? Copied as it is found, or, when it is live, used in place.

What is copied is what is linted: each entry is read through its folder's descriptor, without following links, counted
as it is copied, and the links are checked in the copy. So a folder that changes meanwhile can't smuggle anything in.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import anyio.from_thread
import anyio.to_thread

from dynamo_mcp.disk import ignores_case
from dynamo_mcp.errors import FetchFailed, InvalidLocation, InvalidTemplate
from dynamo_mcp.progress import Progress
from dynamo_mcp.settings import Settings
from dynamo_mcp.sources.source import Brought
from dynamo_mcp.sources.tree import Entry, Lint, digest, is_beside, is_rendered
from dynamo_mcp.sources.wording import shown
from dynamo_mcp.store import Store
from dynamo_mcp.types import Checkout, Location

_CHUNK = 1 << 20
_BITS = stat.S_ISUID | stat.S_ISGID | stat.S_ISVTX
_TOLD = 20
_WHOLE_FILES = 20_000
_WHOLE_BYTES = 256 << 20


async def fetch(location: Location, tree: Path, *, store: Store, settings: Settings, progress: Progress) -> Brought:
    """Copy a folder, without history, environments and bytecode.

    Modes are kept, except that set-uid, set-gid and sticky bits are dropped and the owner can always read.

    Args:
        location: Where it is.
        tree: The folder to make.
        store: Not needed.
        settings: Its limits.
        progress: What the copying is reported to.

    Raises:
        InvalidTemplate: The folder is too big, or something in it can't be used.
        InvalidLocation: The folder, or the directory in it, is not there.
        FetchFailed: Something in it can't be read.
    """
    del store
    await progress.detail(f"copying `{location.address}`")
    return Brought(left_out=await copy(location, tree, called=location.address, settings=settings))


async def copy(location: Location, tree: Path, *, called: str, settings: Settings) -> tuple[str, ...]:
    """Look a folder over and copy it.

    Args:
        location: Where it is.
        tree: The folder to make.
        called: What errors call it.
        settings: Its limits.

    Returns:
        What was left out of a folder that projects are made of: each path, and why.

    Raises:
        InvalidTemplate: As `fetch`, and so are the others.
    """
    lint = Lint(called, settings, ignores_case=await anyio.to_thread.run_sync(ignores_case, tree.parent))
    return await anyio.to_thread.run_sync(partial(_copy, location, tree, lint))


async def inspect(location: Location, *, settings: Settings, progress: Progress) -> Checkout:
    """Lint a live folder and leave it where it is.

    Raises:
        InvalidTemplate: The folder is too big, or something in it can't be used.
        InvalidLocation: The folder, or the directory in it, is not there.
        FetchFailed: Something in it can't be read.
    """
    await progress.detail(f"checking `{location.address}`")
    lint = Lint(location.address, settings)
    return Checkout(
        Path(location.address),
        None,
        await anyio.to_thread.run_sync(partial(_inspect, location, lint)),
    )


async def digest_now(location: Location, settings: Settings) -> str:
    """Return the digest that a folder's copy would have if it were taken in now; whether it could be is not looked at.

    Raises:
        InvalidTemplate: The folder is too big.
        InvalidLocation: It is not there.
        FetchFailed: Something in it can't be read.
    """
    lint = Lint(location.address, settings)
    return await anyio.to_thread.run_sync(partial(_digest_now, location, lint))


def _digest_now(location: Location, lint: Lint) -> str:
    root = _root(location)
    with _words(location):
        _take(root, lint, lambda _entry, _name, _folder: anyio.from_thread.check_cancelled())
        return digest(root, leave_out=is_beside)


async def whole(location: Location) -> str:
    """Return the digest of all that lies in a live folder and may run: git's own alone is left out.

    Raises:
        InvalidTemplate: That is more than is looked through before every job.
        FetchFailed: Something in it can't be read.
    """
    return await anyio.to_thread.run_sync(_whole, location)


def _whole(location: Location) -> str:
    files, size = 0, 0
    with _words(location):
        for _, folders, names, descriptor in os.fwalk(location.address, onerror=_raise):
            anyio.from_thread.check_cancelled()
            folders[:] = [name for name in folders if not _is_history(name)]
            files += len(folders) + len(names)
            size += sum(os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_size for name in names)
            if files > _WHOLE_FILES or size > _WHOLE_BYTES:
                raise InvalidTemplate(
                    f"`{location.address}` holds more than {_WHOLE_FILES} files or {_WHOLE_BYTES >> 20} MiB, and with "
                    "more trust than every template gets all of a live folder is looked through before each job",
                    hint="move environments, such as `.venv`, out of it; or add it without `--live`, which leaves them "
                    "out; or trust it as `contained` without grants",
                )
        return digest(Path(location.address), leave_out=_is_history)


def _is_history(path: str) -> bool:
    return os.path.basename(path) == ".git"  # noqa: PTH119 - thousands of them


def _copy(location: Location, tree: Path, lint: Lint) -> tuple[str, ...]:
    told: list[str] = []
    with _words(location):
        tree.mkdir(mode=0o755)
        beside = _take(_root(location), lint, partial(_copy_entry, tree, told))
    lint.finish(location.directory)
    told += [f"{path}: a repository's own `.git` is no part of a template" for path in beside if is_rendered(path)]
    return (*told[:_TOLD], "and more") if len(told) > _TOLD else tuple(told)


def _inspect(location: Location, lint: Lint) -> str:
    root = _root(location)
    with _words(location):
        beside = _take(root, lint, lambda _entry, _name, _folder: anyio.from_thread.check_cancelled())
        for path in beside:
            if is_rendered(path):
                lint.refuse(f"{shown(path)} is a repository's own, which only a copy of the folder can leave out")
        for entry in lint.entries.values():
            # What is left out is there all the same, and a link may lead through it; links that circle lead nowhere.
            if entry.kind == "link" and not Path(os.path.realpath(root / entry.path)).is_relative_to(root):
                lint.refuse(f"the link {shown(entry.path)} leaves the folder")
    lint.finish(location.directory)
    with _words(location):
        return digest(root, leave_out=is_beside)


def _root(location: Location) -> Path:
    root = Path(location.address)
    if not root.is_dir():
        raise InvalidLocation(
            f"There is no folder `{location.address}`", hint="name a folder that holds a `cookiecutter.json`"
        )
    # The address was real when it was allowed; a link in its place may lead out of the allowed roots.
    real = os.path.realpath(root)
    if not location.bundled and real != location.address:
        raise InvalidLocation(
            f"`{location.address}` leads through a link to `{real}`", hint="add the folder it leads to instead"
        )
    return root


def _take(root: Path, lint: Lint, visit: Callable[[Entry, str, int], None]) -> list[str]:
    """Walk a folder without following links.

    Args:
        root: The folder.
        lint: Takes in every entry before it is visited.
        visit: Called with each entry, its name, and its folder's descriptor; folders before what they hold.

    Returns:
        The paths that were passed over, since they are no part of the template.
    """
    beside = []
    for folder, folders, files, descriptor in os.fwalk(root, onerror=_raise):
        for name in (*folders, *files):
            path = _relative(folder, name, root)
            if is_beside(path):
                beside.append(path)
                continue
            status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
            if stat.S_ISLNK(status.st_mode):
                entry = Entry(path, "link", target=os.readlink(name, dir_fd=descriptor))
            elif stat.S_ISDIR(status.st_mode):
                entry = Entry(path, "directory")
            elif stat.S_ISREG(status.st_mode):
                entry = Entry(path, "file", status.st_size)
            else:
                lint.refuse(f"{shown(path)} is a device, a pipe or a socket")
                continue
            lint.add(entry)
            visit(entry, name, descriptor)
        folders[:] = [name for name in folders if not is_beside(_relative(folder, name, root))]
    return beside


def _relative(folder: str, name: str, root: Path) -> str:
    return os.path.relpath(os.path.join(folder, name), root)  # noqa: PTH118 - bytes that are no UTF-8 stay


def _copy_entry(tree: Path, told: list[str], entry: Entry, name: str, folder: int) -> None:
    anyio.from_thread.check_cancelled()
    target = tree / entry.path
    if entry.kind == "link":
        target.symlink_to(entry.target)
        return
    if entry.kind == "directory":
        target.mkdir()
        mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
        target.chmod(mode & 0o777 | stat.S_IRWXU)
        return
    # O_NONBLOCK: a pipe that took the file's place must not make us wait for whoever writes into it.
    source = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    with open(source, "rb") as reader, target.open("xb") as writer:  # noqa: PTH123 - opened by descriptor
        left = entry.size
        while left and (chunk := reader.read(min(left, _CHUNK))):
            writer.write(chunk)
            left -= len(chunk)
        mode = os.fstat(source).st_mode
        os.fchmod(writer.fileno(), mode & 0o777 | stat.S_IRUSR)
    if mode & _BITS and is_rendered(entry.path):
        told.append(f"{entry.path}: no file gets a set-uid, set-gid or sticky bit")


def _raise(error: OSError) -> None:
    raise error


@contextmanager
def _words(location: Location) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        name = shown(os.fsdecode(error.filename or ""))
        raise FetchFailed(
            f"Can't take in `{location.address}`: {error.strerror or error}: {name}",
            hint="make every file of the folder readable, and see that the disk of the home has room",
        ) from error
