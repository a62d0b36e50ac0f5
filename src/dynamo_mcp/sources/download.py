"""How does a file of an https host get here? Whole or not at all, of a bounded size, tried again where that helps."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

import anyio
import anyio.to_thread

from dynamo_mcp.disk import words
from dynamo_mcp.errors import DynamoError, FetchFailed
from dynamo_mcp.progress import Progress
from dynamo_mcp.settings import Settings
from dynamo_mcp.sources import redirects
from dynamo_mcp.sources.hosts import Route
from dynamo_mcp.sources.redirects import Own, Unreachable
from dynamo_mcp.sources.tree import too_big

PAUSES = (0.5, 2.0)
"""Seconds before it is tried again."""
_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Answers that another try may change (RFC 9110, 15; RFC 8470, 5.2)."""
_SIGN_IN = frozenset({401, 403})
_ABSENT = frozenset({404, 410})
_OK = 200
_SECONDS_BETWEEN_REPORTS = 0.5
_MB = 1_000_000


class Absent(FetchFailed):
    """The host has nothing of that name."""


async def download(
    address: str,
    target: Path,
    *,
    settings: Settings,
    progress: Progress,
    own: Own | None = None,
    most: int | None = None,
    heard: Callable[[Mapping[str, str]], None] | None = None,
) -> str:
    """Fetch a file.

    Args:
        address: An https address, which `parse` has taken.
        target: The file to make.
        settings: How big it may be, and how the network is reached.
        progress: Told how much of it is there.
        own: The operator's server that has named the address, if one has.
        most: Bytes that it may have where it is no template.
        heard: Told the headers that it came with, when it is there.

    Returns:
        The address that it came from in the end.

    Raises:
        InvalidTemplate: It is too big.
        InvalidLocation: It leads where no address may.
        FetchFailed: It can't be had; Absent where the host has no such file, Unreachable where it could not be asked.
        StorageFailed: The disk is full, or the like.
    """
    await progress.detail(f"downloading `{redirects.called(address, own)}`")
    for pause in (*PAUSES, None):
        try:
            found = await redirects.follow(address, asking="", settings=settings, own=own)
            headers = await _fetch(address, found, target, settings=settings, progress=progress, own=own, most=most)
        except Unreachable as error:
            if pause is None:
                raise
            await progress.detail(f"{error.message}; trying again")
            await anyio.sleep(pause)
        else:
            if heard is not None:
                heard(headers)
            return found[0]
    raise AssertionError  # the last one is followed by no pause


async def _fetch(
    address: str,
    found: tuple[str, Route],
    target: Path,
    *,
    settings: Settings,
    progress: Progress,
    own: Own | None,
    most: int | None,
) -> Mapping[str, str]:
    import httpx2  # noqa: PLC0415 - starting up would pay for it

    shown = redirects.called(address, own)
    limit = settings.template_bytes if most is None else most
    async with redirects.answered(*found, settings, own=own) as answer:
        _check(shown, answer.status_code, own)
        whole = int(answer.headers["content-length"]) if answer.headers.get("content-length", "").isdecimal() else None
        if (whole or 0) > limit:
            raise _too_big(shown, settings, most)
        written, told = 0, time.monotonic()
        with words("keep what is downloaded", target):
            file = await anyio.open_file(target, "wb")
        async with file:
            try:
                # As it was sent: an archive is compressed once, and what a host does besides is undone by nobody.
                async for chunk in answer.aiter_raw():
                    written += len(chunk)
                    if written > limit:
                        raise _too_big(shown, settings, most)
                    with words("keep what is downloaded", target):
                        await file.write(chunk)
                    if time.monotonic() - told > _SECONDS_BETWEEN_REPORTS:
                        told = time.monotonic()
                        of = f" of {whole / _MB:.1f}" if whole else ""
                        await progress.detail(f"downloading `{shown}`: {written / _MB:.1f}{of} MB")
            except httpx2.HTTPError as error:
                raise _cut(shown) from error
        if whole is not None and written != whole:
            raise _cut(shown)
        return answer.headers


def _too_big(shown: str, settings: Settings, most: int | None) -> DynamoError:
    if most is None:
        return too_big(shown, settings)
    return FetchFailed(f"`{shown}` has more than {most} bytes", hint="no such file does; check the address")


def _cut(address: str) -> Unreachable:
    return Unreachable(f"`{address}` was cut off", hint="try again; the host or the network gave up in the middle")


def _check(shown: str, status: int, own: Own | None) -> None:
    if status == _OK:
        return
    said = f"`{shown}` can't be had: the host answers {status}"
    if status in _AGAIN:
        raise Unreachable(said, hint="try again later")
    if own is not None and status in _SIGN_IN:
        raise FetchFailed(said, hint="check the user and the password in the address of your index, or who may read it")
    if status in _SIGN_IN | _ABSENT:
        kind = Absent if status in _ABSENT else FetchFailed
        raise kind(
            said, hint="check the address; what needs a sign-in is to be fetched by yourself, then give the file's path"
        )
    raise FetchFailed(said, hint="check the address in a browser")
