"""How is a template fetched from a package index? A wheel, else what it was built from, is unpacked, never installed.

Nothing of a package runs and nothing that it says of itself counts: it is an archive like any other, which the index
has told the digest of. The one folder in it that holds a `cookiecutter.json` becomes the tree.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from functools import partial
from pathlib import Path

import anyio.from_thread
import anyio.to_thread
import msgspec

from dynamo_mcp.disk import words
from dynamo_mcp.errors import FetchFailed, InvalidLocation, NotATemplate
from dynamo_mcp.progress import Progress
from dynamo_mcp.settings import Settings
from dynamo_mcp.sources import indexes
from dynamo_mcp.sources.choosing import Choice, choose, parse_before
from dynamo_mcp.sources.download import Absent, download
from dynamo_mcp.sources.indexes import Offer
from dynamo_mcp.sources.packages import PREFIX
from dynamo_mcp.sources.pages import File
from dynamo_mcp.sources.redirects import Own, called, same_server
from dynamo_mcp.sources.source import Brought
from dynamo_mcp.sources.tree import Entry, Lint, too_big
from dynamo_mcp.sources.unpacking import unpack
from dynamo_mcp.sources.wording import shown
from dynamo_mcp.store import Store
from dynamo_mcp.text import plain
from dynamo_mcp.types import Location
from dynamo_mcp.uses import Uses

CONFIGURATION = "cookiecutter.json"
_DEPTH = 8
_SHOWN = 8
_REASON = 200
_CHUNK = 1 << 20
_SHA256 = re.compile(r"[0-9a-f]{64}")
_ABOUT = (".dist-info", ".egg-info")
"""Endings of the folders in which a package tells of itself."""


async def fetch(location: Location, tree: Path, *, store: Store, settings: Settings, progress: Progress) -> Brought:
    """Fetch a package and unpack the template in it.

    Args:
        location: The package, and the version where one is wanted.
        tree: The folder to make.
        store: Where files are kept, meanwhile and for when the index is away.
        settings: The indexes, limits, and how the network is reached.
        progress: What the steps are reported to.

    Raises:
        InvalidLocation: There is no such version, or no such directory in it.
        NotATemplate: It holds no template, or several.
        InvalidTemplate: It is too big, or something in it can't be used.
        FetchFailed: It can't be had, is damaged, or is not what the index says.
        StorageFailed: The disk of the home is full, or the like.
    """
    choice, offer = await _chosen(location, store=store, settings=settings, progress=progress)
    where = f"{location.address}=={choice.version}"
    if choice.yanked is not None:
        why = f": {plain(choice.yanked, _REASON)}" if choice.yanked else ""
        await progress.detail(f"`{where}` was withdrawn by its author{why}; it is used since it was named")
    async with store.staged() as folder:
        folder.mkdir(mode=0o700)
        for number, file in enumerate(choice.files):
            last = number == len(choice.files) - 1
            archive, unpacked = folder / f"file-{number}", folder / f"tree-{number}"
            digest = await _obtain(file, archive, offer, store=store, settings=settings, progress=progress)
            await progress.detail(f"unpacking {shown(file.name)}")
            try:
                left_out = await anyio.to_thread.run_sync(
                    partial(unpack, archive, unpacked, where=where, directory=location.directory, settings=settings)
                )
            except InvalidLocation:  # what a wheel lacks may be in what it was built from
                if last:
                    raise
                continue
            holder = await anyio.to_thread.run_sync(_holder, unpacked, location.directory, where)
            if holder is None and not last:
                await progress.detail(
                    f"{shown(file.name)} holds no `{CONFIGURATION}`; looking into what it was built from"
                )
                continue
            if holder is None:
                raise _none(where, choice)
            await anyio.to_thread.run_sync(partial(_narrow, unpacked, holder, tree, where, settings))
            if _SHA256.fullmatch(file.sha256 or "") and not file.url.startswith("file:"):
                await anyio.to_thread.run_sync(_keep, archive, _kept(store, digest))
            origin = f"{called(file.url, offer.index)}#sha256={digest}"
            return Brought(choice.version, _within(left_out, holder), origin=origin)
    raise AssertionError  # a choice has a file


async def newest(location: Location, *, store: Store, settings: Settings) -> str:
    """Return the version that `fetch` would take now; an index that is away is remembered.

    Args:
        location: As there.
        store: As there.
        settings: As there.

    Raises:
        InvalidLocation: There is no such version.
        FetchFailed: No index can be asked.
    """
    choice, _ = await _chosen(location, store=store, settings=settings, progress=Progress(()))
    return choice.version


async def _chosen(location: Location, *, store: Store, settings: Settings, progress: Progress) -> tuple[Choice, Offer]:
    name = location.address.removeprefix(PREFIX)
    offer = await indexes.find(name, store=store, settings=settings, progress=progress)
    before = parse_before(settings.passed.get("UV_EXCLUDE_NEWER"))
    choose_one = partial(choose, offer.files, name, location.revision, before=before)
    return await anyio.to_thread.run_sync(choose_one), offer


def _kept(store: Store, digest: str) -> Path:
    return store.home / "packages" / digest


async def _obtain(
    file: File, target: Path, offer: Offer, *, store: Store, settings: Settings, progress: Progress
) -> str:
    """Bring a file here, from where it was kept or from the index; return its SHA-256.

    Raises:
        FetchFailed: It can't be had, or is not what the index says.
    """
    if file.sha256 is not None and _SHA256.fullmatch(file.sha256):
        kept = _kept(store, file.sha256)
        await Uses(store).note(kept)
        if await anyio.to_thread.run_sync(_take, kept, target, file.sha256):
            await progress.detail(f"taking {shown(file.name)}, which was downloaded before")
            return file.sha256
    if file.url.startswith("file:"):
        if offer.index is not None:
            raise _not_there(file, offer)
        await progress.detail(f"copying {shown(file.name)}")
        await anyio.to_thread.run_sync(_copy, file, target, settings)
    elif indexes.offline(settings):
        raise FetchFailed(
            f"{shown(file.name)} is not kept, and nothing is downloaded offline",
            hint=f"{indexes.ONLINE} until it was added once; the file is kept from then on",
        )
    else:
        # A folder has no server of its own: what it names is the operator's word as well.
        own = offer.index or Own(file.url)
        in_clear = offer.index is not None and own.vouches and same_server(file.url, own.address)
        if not file.url.startswith("https://") and not in_clear:
            raise _not_there(file, offer)
        if not own.vouches:
            settings = msgspec.structs.replace(settings, person=False, tokens=())
        try:
            plainly = msgspec.structs.replace(own, accept=None)
            await download(file.url, target, settings=settings, progress=progress, own=plainly)
        except Absent as error:
            raise FetchFailed(
                f"The index names {shown(file.name)}, which is not there: `{called(file.url, own)}`",
                hint="try again later, since its author may just have deleted it, or name another version",
            ) from error
    digest = await anyio.to_thread.run_sync(_sha256, target)
    if file.sha256 is not None and digest != file.sha256:
        raise FetchFailed(
            f"{shown(file.name)} is not what the index says: its SHA-256 is `{digest}`, not {shown(file.sha256)}",
            hint="try again; if it stays so, somebody between you and the index changes files, or the index is broken",
        )
    return digest


def _not_there(file: File, offer: Offer) -> FetchFailed:
    return FetchFailed(
        f"The index says that {shown(file.name)} is at `{called(file.url, offer.index)}`, which is not https",
        hint="ask who runs the index to serve its files by https",
    )


def _take(kept: Path, target: Path, digest: str) -> bool:
    """Copy a file that was kept, if it is there and still what it was."""
    if kept.is_symlink():
        return False
    try:
        shutil.copyfile(kept, target)
        if _sha256(target) == digest:
            return True
        kept.unlink()
    except OSError:
        pass
    target.unlink(missing_ok=True)
    return False


def _copy(file: File, target: Path, settings: Settings) -> None:
    path = indexes.path_of(file.url)
    try:
        reader = path.open("rb")
    except OSError as error:
        raise FetchFailed(
            f"Can't read `{path}`: {error.strerror or error}", hint="make it a readable file, or mend the index"
        ) from error
    with reader, words("keep a copy of the package", target), target.open("xb") as writer:
        written = 0
        while chunk := reader.read(_CHUNK):
            anyio.from_thread.check_cancelled()
            written += len(chunk)
            if written > settings.template_bytes:
                raise too_big(str(path), settings)
            writer.write(chunk)


def _keep(archive: Path, kept: Path) -> None:
    with words("keep a package", kept):
        archive.replace(kept)


def _sha256(file: Path) -> str:
    with words("read what was downloaded", file), file.open("rb") as reader:
        return hashlib.file_digest(reader, "sha256").hexdigest()


def _holder(unpacked: Path, directory: str | None, where: str) -> str | None:
    """Return the folder that holds the template; empty is the root, None that there is none.

    Raises:
        NotATemplate: There are several.
    """
    if directory is not None or (unpacked / CONFIGURATION).is_file():
        return ""
    found: list[str] = []
    for folder, folders, files in os.walk(unpacked):
        path = os.path.relpath(folder, unpacked)
        if CONFIGURATION in files:
            found.append(path)
            folders.clear()  # what lies in a template is a part of it
        if path.count("/") >= _DEPTH:
            folders.clear()
        # What is to be rendered is no template, and hidden folders are nobody's.
        folders[:] = [name for name in folders if not name.startswith((".", "{")) and not name.endswith(_ABOUT)]
    if len(found) > 1:
        names = [shown(plain(path, _REASON)) for path in sorted(found, key=lambda path: (path.count("/"), path))]
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        raise NotATemplate(
            f"There is no `{CONFIGURATION}` in the root of `{where}`, but in the folders "
            f"{', '.join(names[:_SHOWN])}{more}",
            hint="name one of them with `directory`",
        )
    return found[0] if found else None


def _none(where: str, choice: Choice) -> NotATemplate:
    files = " nor ".join(shown(file.name) for file in choice.files)
    return NotATemplate(
        f"There is no `{CONFIGURATION}` in `{where}`: {'neither ' if len(choice.files) > 1 else ''}{files} holds one",
        hint="give a package that holds a template; one that only fetches it says from where, and can be added by that",
    )


def _narrow(unpacked: Path, holder: str, tree: Path, where: str, settings: Settings) -> None:
    """Make a folder of what was unpacked the tree, unless a link in it leads to what is left away."""
    root = unpacked / holder
    if holder:
        lint = Lint(where, settings)
        for folder, folders, files in os.walk(root):
            for name in (*folders, *files):
                path = Path(folder, name)
                target = os.readlink(path) if path.is_symlink() else ""  # noqa: PTH115 - a Path would tidy it
                kind = "link" if path.is_symlink() else "directory" if path.is_dir() else "file"
                lint.add(Entry(str(path.relative_to(root)), kind, target=target))  # type: ignore[arg-type]
        lint.finish(None)
    with words("keep what was unpacked", tree):
        root.rename(tree)


def _within(left_out: tuple[str, ...], holder: str) -> tuple[str, ...]:
    """Return what was left out of a folder, by the paths that it has there."""
    if not holder:
        return left_out
    return tuple(
        told.removeprefix(f"{holder}/") for told in left_out if told.startswith(f"{holder}/") or ": " not in told
    )
