"""How does a file of an https host get here? Whole or not at all, of a bounded size, tried again where that helps."""

from __future__ import annotations

import time
from pathlib import Path

import anyio
import anyio.to_thread

from dynamo_mcp.errors import FetchFailed
from dynamo_mcp.progress import Progress
from dynamo_mcp.settings import Settings
from dynamo_mcp.sources import redirects
from dynamo_mcp.sources.hosts import Route
from dynamo_mcp.sources.tree import too_big
from dynamo_mcp.sources.wording import safe_address

PAUSES = (0.5, 2.0)
"""Seconds before it is tried again."""
_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Answers that another try may change (RFC 9110, 15; RFC 8470, 5.2)."""
_ABSENT = frozenset({401, 403, 404, 410})
_OK = 200
_SECONDS_BETWEEN_REPORTS = 0.5
_MB = 1_000_000


class _TryAgain(FetchFailed):
    """What another try may mend."""


async def download(address: str, target: Path, *, settings: Settings, progress: Progress) -> None:
    """Fetch a file.

    Args:
        address: An https address, which `parse` has taken.
        target: The file to make.
        settings: How big it may be, and how the network is reached.
        progress: Told how much of it is there.

    Raises:
        InvalidTemplate: It is too big.
        InvalidLocation: It leads where no address may.
        FetchFailed: It can't be had.
    """
    await progress.detail(f"downloading `{address}`")
    for pause in (*PAUSES, None):
        try:
            found = await redirects.follow(address, asking="", settings=settings)
            await _fetch(address, found, target, settings, progress)
        except _TryAgain as error:
            if pause is None:
                raise FetchFailed(error.message, hint=error.hint) from error
            await progress.detail(f"{error.message}; trying again")
            await anyio.sleep(pause)
        else:
            return


async def _fetch(address: str, found: tuple[str, Route], target: Path, settings: Settings, progress: Progress) -> None:
    import httpx2  # noqa: PLC0415 - starting up would pay for it

    async with redirects.answered(*found, settings) as answer:
        _check(address, answer.status_code)
        whole = int(answer.headers["content-length"]) if answer.headers.get("content-length", "").isdecimal() else None
        if (whole or 0) > settings.template_bytes:
            raise too_big(address, settings)
        written, told = 0, time.monotonic()
        async with await anyio.open_file(target, "wb") as file:
            try:
                # As it was sent: an archive is compressed once, and what a host does besides is undone by nobody.
                async for chunk in answer.aiter_raw():
                    written += len(chunk)
                    if written > settings.template_bytes:
                        raise too_big(address, settings)
                    await file.write(chunk)
                    if time.monotonic() - told > _SECONDS_BETWEEN_REPORTS:
                        told = time.monotonic()
                        of = f" of {whole / _MB:.1f}" if whole else ""
                        await progress.detail(f"downloading `{address}`: {written / _MB:.1f}{of} MB")
            except httpx2.HTTPError as error:
                raise _cut(address) from error
        if whole is not None and written != whole:
            raise _cut(address)


def _cut(address: str) -> _TryAgain:
    return _TryAgain(f"`{address}` was cut off", hint="try again; the host or the network gave up in the middle")


def _check(address: str, status: int) -> None:
    if status == _OK:
        return
    said = f"`{safe_address(address)}` can't be had: the host answers {status}"
    if status in _AGAIN:
        raise _TryAgain(said, hint="try again later")
    if status in _ABSENT:
        raise FetchFailed(
            said, hint="check the address; what needs a sign-in is to be fetched by yourself, then give the file's path"
        )
    raise FetchFailed(said, hint="check the address in a browser")
