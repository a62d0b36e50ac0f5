"""How is a template fetched as an archive? The file is had first, whole and of a bounded size, then it is unpacked."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import BinaryIO

import anyio.from_thread
import anyio.to_thread

from dynamo_mcp.disk import words
from dynamo_mcp.errors import FetchFailed, InvalidLocation
from dynamo_mcp.progress import Progress
from dynamo_mcp.settings import Settings
from dynamo_mcp.sources import redirects
from dynamo_mcp.sources.download import download
from dynamo_mcp.sources.source import Brought
from dynamo_mcp.sources.tree import too_big
from dynamo_mcp.sources.unpacking import unpack
from dynamo_mcp.sources.wording import ONLINE
from dynamo_mcp.store import Store
from dynamo_mcp.text import plain
from dynamo_mcp.types import Location

_CHUNK = 1 << 20
_OK = 200
LONGEST_VALIDATOR = 300
"""Characters of it that are kept."""


async def fetch(location: Location, tree: Path, *, store: Store, settings: Settings, progress: Progress) -> Brought:
    """Fetch an archive and unpack it.

    Args:
        location: A file on this machine, or an https address.
        tree: The folder to make.
        store: Where the file is kept meanwhile.
        settings: Limits, the password, and how the network is reached.
        progress: What the steps are reported to.

    Returns:
        Pinned by the file's SHA-256, in hexadecimal, with what its host calls this version of it (`validator`).

    Raises:
        InvalidTemplate: It is too big, or something in it can't be used.
        InvalidLocation: The file, or the directory in it, is not there.
        PasswordNeeded: It is encrypted.
        FetchFailed: It can't be had, or is damaged.
        StorageFailed: The disk of the home is full, or the like.
    """
    if settings.offline and not location.address.startswith("/"):
        raise FetchFailed(
            f"`{location.address}` would have to be downloaded, and nothing is offline",
            hint=f"{ONLINE}, or give the path of a file",
        )
    came: list[str] = []
    async with store.staged() as folder:
        folder.mkdir(mode=0o700)
        file = folder / "archive"
        if location.address.startswith("/"):
            await progress.detail(f"copying `{location.address}`")
            await anyio.to_thread.run_sync(partial(_copy, location.address, file, settings))
        else:
            await download(
                location.address,
                file,
                settings=settings,
                progress=progress,
                heard=lambda headers: came.append(validator(headers)),
            )
        digest = await anyio.to_thread.run_sync(_sha256, file)
        await progress.detail("unpacking")
        left_out = await anyio.to_thread.run_sync(
            partial(unpack, file, tree, where=location.address, directory=location.directory, settings=settings)
        )
    # A host hands out archives of commits that are on no branch of a repository, a stranger's among them.
    listed = location.address.startswith("/")
    return Brought(digest, left_out, listed, validator=came[0] if came else "")


def validator(headers: Mapping[str, str]) -> str:
    """Return what a host calls one version of a file (RFC 9110, 8.8), and by which header; empty where by none."""
    for header in ("etag", "last-modified"):
        if value := headers.get(header):
            return f"{header}: {plain(value, LONGEST_VALIDATOR)}"
    return ""


async def validator_now(location: Location, settings: Settings) -> str:
    """Return the same of what is at an https address now; its content is not read.

    Raises:
        FetchFailed: It is there no more, or can't be asked.
        InvalidLocation: It leads where no address may.
    """
    found = await redirects.follow(location.address, asking="", settings=settings)
    async with redirects.answered(*found, settings) as answer:
        if answer.status_code != _OK:
            raise FetchFailed(
                f"`{location.address}` can't be asked: the host answers {answer.status_code}",
                hint="try again later; what was fetched is used as before",
            )
        return validator(answer.headers)


def _copy(address: str, target: Path, settings: Settings) -> None:
    """Copy a file that somebody may change meanwhile, or put something else in the place of."""
    with _opened(address) as reader, words("keep a copy of the archive", target), target.open("xb") as writer:
        written = 0
        while chunk := reader.read(_CHUNK):
            anyio.from_thread.check_cancelled()
            written += len(chunk)
            if written > settings.template_bytes:
                raise too_big(address, settings)
            writer.write(chunk)


def _opened(address: str) -> BinaryIO:
    try:
        # Neither through a link, nor waiting for whoever writes into a pipe.
        reader = open(address, "rb", opener=lambda path, flags: os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK))  # noqa: SIM115
    except OSError as error:
        raise FetchFailed(
            f"Can't read `{address}`: {error.strerror or error}",
            hint="make it a readable file or put it back; where it is elsewhere now, add the template from there",
        ) from error
    if not stat.S_ISREG(os.fstat(reader.fileno()).st_mode):
        reader.close()
        raise InvalidLocation(f"`{address}` is no file", hint="give the path of an archive, or of a folder")
    return reader


def _sha256(file: Path) -> str:
    with file.open("rb") as reader:
        return hashlib.file_digest(reader, "sha256").hexdigest()
