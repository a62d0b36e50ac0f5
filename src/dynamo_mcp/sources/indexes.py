"""What do the operator's package indexes have of a package? Asked in uv's order, and kept for when they are away.

The indexes are those that uv gets (`UV_INDEX`, then `UV_DEFAULT_INDEX` or `UV_INDEX_URL`, else PyPI), and as for uv the
first that has a package is the only one that counts for it, so that no other can offer another package of that name.
"""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

import anyio.to_thread
import msgspec

from dynamo_mcp.disk import words
from dynamo_mcp.errors import FetchFailed
from dynamo_mcp.index_secrets import address_of, masked, opened, sealed, secrets_of
from dynamo_mcp.progress import Progress
from dynamo_mcp.settings import Settings
from dynamo_mcp.sources import pages, wording
from dynamo_mcp.sources.download import Absent, download
from dynamo_mcp.sources.pages import File
from dynamo_mcp.sources.redirects import Own, Unreachable, called, same_server
from dynamo_mcp.sources.wording import safe_address
from dynamo_mcp.store import Store
from dynamo_mcp.uses import Uses
from dynamo_mcp.uv import Uv

LONGEST_PAGE = 64 << 20
"""Bytes of what an index says of one package; the longest on PyPI has some 20 MB."""
ONLINE = f"{wording.ONLINE} and `UV_OFFLINE`,"
_TRUE = frozenset({"1", "true", "t", "yes", "y", "on"})
_CONFIGURE = "set `UV_INDEX` or `UV_DEFAULT_INDEX` to the https address of a package index, or to a folder's"


class Offer(msgspec.Struct, frozen=True):
    """What an index has of a package.

    Attributes:
        index: Its server, and how it is asked, which vouches for the files unless another server has named them, to
            which it led; None where it is a folder.
    """

    index: Own | None
    files: tuple[File, ...]


class _Page(msgspec.Struct, frozen=True):
    """What was said of a package, also as it is kept.

    Attributes:
        elsewhere: By another server than the index, which led to it.
    """

    files: tuple[File, ...]
    elsewhere: bool = False


def offline(settings: Settings) -> bool:
    """Tell whether the operator said that nothing is to be asked."""
    return settings.offline or settings.passed.get("UV_OFFLINE", "").lower() in _TRUE


async def configured(settings: Settings) -> tuple[Own, ...]:
    """Return the indexes, in the order in which they are asked; where none is configured, the one that uv asks.

    Raises:
        FetchFailed: One of them is no address that an index has.
        EnvironmentFailed: uv failed; with its message.
    """
    passed = settings.passed
    default = passed.get("UV_DEFAULT_INDEX") or passed.get("UV_INDEX_URL") or await Uv(settings).default_index()
    return tuple(_index(text) for text in (*passed.get("UV_INDEX", "").split(), default))


def _index(text: str) -> Own:
    address = address_of(text)
    if address.startswith("/"):
        address = Path(address).as_uri()
    try:
        parts = urlsplit(address.strip())
        user, password, _ = parts.username, parts.password, parts.port
    except ValueError as error:
        raise FetchFailed("An index of yours has an address that can't be read", hint=_CONFIGURE) from error
    if parts.scheme not in {"https", "http", "file"} or not (parts.hostname or parts.scheme == "file"):
        shown = masked(safe_address(address), secrets_of(address))
        raise FetchFailed(f"Your index `{shown}` is none that can be asked", hint=_CONFIGURE)
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="")
    authorization = None
    if user is not None:
        secret = f"{unquote(user)}:{unquote(password or '')}".encode()
        authorization = f"Basic {base64.b64encode(secret).decode()}"
    secrets = secrets_of(address)
    return Own(bare.geturl().rstrip("/"), authorization, pages.ACCEPTED, secrets=secrets)


async def find(name: str, *, store: Store, settings: Settings, progress: Progress) -> Offer:
    """Ask the indexes for a package.

    Args:
        name: In its normal form.
        store: Where answers are kept, for when an index is away.
        settings: The indexes, and how the network is reached.
        progress: Told who is asked.

    Raises:
        FetchFailed: None has it, or one could not be asked and nothing is kept of it.
    """
    indexes = await configured(settings)
    for index in indexes:
        page = await _ask(index, name, store, settings, progress)
        if page is None and offline(settings) and not index.address.startswith("file:"):
            break  # it may have the package, and then no other index's is meant
        if page is not None and index.address.startswith("file:"):
            return Offer(None, page.files)
        if page is not None:
            return Offer(msgspec.structs.replace(index, vouches=not page.elsewhere), page.files)
    asked = ", ".join(f"`{called(index.address, index)}`" for index in indexes)
    if offline(settings):
        raise FetchFailed(
            f"Nothing is kept of what an index says of `pypi:{name}`, and nobody is asked offline ({asked})",
            hint=f"{ONLINE} until it was added once; what is needed of it is kept from then on",
        )
    raise FetchFailed(
        f"No index has a package `pypi:{name}`: asked were {asked}", hint=f"check its name's spelling, or {_CONFIGURE}"
    )


async def _ask(index: Own, name: str, store: Store, settings: Settings, progress: Progress) -> _Page | None:
    """Return what an index has of a package; None where it has nothing."""
    address = f"{index.address}/{name}/"
    if address.startswith("file:"):
        await progress.detail(f"looking in `{address}`")
        return await anyio.to_thread.run_sync(_look, address)
    kept = store.home / "packages" / f"{hashlib.sha256(address.encode()).hexdigest()}.json"
    if offline(settings):
        return await _recall(kept, index, store)
    async with store.staged() as page:
        try:
            at = await download(address, page, settings=settings, progress=progress, own=index, most=LONGEST_PAGE)
        except Absent:
            return None
        except Unreachable as error:
            said = await _recall(kept, index, store)
            if said is None:
                raise
            await progress.detail(f"{error.message}; going by what it said last")
            return said
        said = _Page(await anyio.to_thread.run_sync(_read, page, at, index), not same_server(at, index.address))
    await anyio.to_thread.run_sync(_remember, kept, said, index, store)
    return said


def _remember(kept: Path, said: _Page, index: Own, store: Store) -> None:
    """Keep what an index said, without the queries and the secrets of addresses: some let whoever has them in."""
    urls = (sealed(safe_address(file.url), index.secrets) for file in said.files)
    bare = tuple(msgspec.structs.replace(file, url=url) for file, url in zip(said.files, urls, strict=True))
    store.write(kept, msgspec.json.encode(_Page(bare, said.elsewhere)), force=False)


def _look(address: str) -> _Page | None:
    """Read the page of an index that is a folder."""
    folder = path_of(address)
    for name in ("index.json", "index.html"):
        try:
            with (folder / name).open("rb") as file:
                return _Page(pages.read(file.read(LONGEST_PAGE), address))
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise FetchFailed(
                f"Can't read `{folder / name}`: {error.strerror or error}", hint="make it a readable file"
            ) from error
    return None


def path_of(address: str) -> Path:
    """Return the path of a `file:` address."""
    return Path(url2pathname(urlsplit(address).path))


def _read(page: Path, at: str, index: Own) -> tuple[File, ...]:
    with words("read what an index says", page):
        return pages.read(page.read_bytes(), at, called=called(at, index))


async def _recall(kept: Path, index: Own, store: Store) -> _Page | None:
    """Return what an index said last; None where that is not known, or can't be read."""
    await Uses(store).note(kept)
    return await anyio.to_thread.run_sync(_recalled, kept, index)


def _recalled(kept: Path, index: Own) -> _Page | None:
    try:
        said = msgspec.json.decode(kept.read_bytes(), type=_Page)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None
    files = (msgspec.structs.replace(file, url=opened(file.url, index.secrets)) for file in said.files)
    return msgspec.structs.replace(said, files=tuple(files))
