"""What does an index's page count for that another server has given? It names files as any stranger does."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from dynamo_mcp.errors import FetchFailed, InvalidLocation
from dynamo_mcp.sources import download
from dynamo_mcp.store import Store
from dynamo_mcp.types import Location
from sources.index_server import TEMPLATE, Index, serving, wheel
from sources.repositories import Fetch, Server

pytestmark = pytest.mark.anyio

TMPL = Location("pypi", "pypi:tmpl")
WHEEL = "tmpl-1.0-py3-none-any.whl"
PAGE = "/simple/tmpl/"
PAGE_ALONE = ("localhost",)
"""The host that gives the page: it may be asked, and no other one of this machine's addresses."""
BOTH = ("localhost", "127.0.0.0/8")


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "PAUSES", (0.0, 0.0))


def led(index: Index, elsewhere: Index) -> None:
    """Let the page of an index lead to the page of another server."""
    index.ways[PAGE] = [elsewhere.url.replace("127.0.0.1", "localhost") + PAGE.removeprefix("/simple")]


async def test_a_file_that_another_server_names_is_looked_at_like_any_strangers(
    fetch: Fetch, server: Server, trusting: dict[str, str]
) -> None:
    content = wheel(TEMPLATE)
    (server.folder / WHEEL).write_bytes(content)
    with serving() as index, serving(server.certificate) as elsewhere:
        passed = {"UV_DEFAULT_INDEX": index.url, **trusting}
        elsewhere.put(WHEEL, content, url=f"{server.url}/dumb/{WHEEL}")
        led(index, elsewhere)
        for _ in range(2):  # what it said is remembered as what it is
            with pytest.raises(InvalidLocation, match="not public"):
                await fetch(TMPL, passed=passed, allowed_hosts=PAGE_ALONE)
            index.ways[PAGE] = ["500"]
        assert server.paths == []
        led(index, elsewhere)
        assert (await fetch(TMPL, passed=passed, allowed_hosts=BOTH)).revision == "1.0"


async def test_a_file_that_the_index_itself_names_elsewhere_is_the_operators_word(
    fetch: Fetch, server: Server, trusting: dict[str, str]
) -> None:
    content = wheel(TEMPLATE)
    (server.folder / WHEEL).write_bytes(content)
    with serving() as index:
        index.put(WHEEL, content, package="moved", url=f"{server.url}/dumb/{WHEEL}")
        index.ways[PAGE] = [f"{index.url}/moved/"]
        checkout = await fetch(TMPL, passed={"UV_DEFAULT_INDEX": index.url, **trusting})
    assert checkout.revision == "1.0"


async def test_what_signs_in_to_an_index_is_not_sent_to_it_for_what_another_server_names(
    fetch: Fetch, server: Server, trusting: dict[str, str], store: Store
) -> None:
    with serving(server.certificate) as index, serving(server.certificate) as elsewhere:
        passed = {"UV_DEFAULT_INDEX": index.url.replace("//", "//me:swordfish@"), **trusting}
        content = wheel(TEMPLATE)
        index.put(WHEEL, content, package="mine")
        elsewhere.put(WHEEL, content, url=f"{index.url.removesuffix('/simple')}/files/{WHEEL}")
        led(index, elsewhere)
        with pytest.raises(InvalidLocation, match="not public"):
            await fetch(TMPL, passed=passed, allowed_hosts=PAGE_ALONE)
        await fetch(TMPL, passed=passed, allowed_hosts=BOTH)
        assert {signed for path, signed in index.asked if path.startswith("/files/")} == {None}
        assert {signed for _, signed in elsewhere.asked} == {None}
        assert {signed is None for path, signed in index.asked if path == PAGE} == {False}
    assert not any(b"swordfish" in path.read_bytes() for path in store.home.rglob("*") if path.is_file())


async def test_another_server_names_nothing_that_is_not_encrypted(
    fetch: Fetch, server: Server, trusting: dict[str, str]
) -> None:
    with serving() as index, serving(server.certificate) as elsewhere:
        content = wheel(TEMPLATE)
        index.put(WHEEL, content, package="mine")
        entry = elsewhere.put(WHEEL, content, url=f"{index.url.removesuffix('/simple')}/files/{WHEEL}")
        led(index, elsewhere)
        passed = {"UV_DEFAULT_INDEX": index.url, **trusting}
        with pytest.raises(FetchFailed, match="which is not https"):
            await fetch(TMPL, passed=passed, allowed_hosts=BOTH)
        (server.folder / WHEEL).write_bytes(content)
        entry["url"] = f"{server.url}/leads/{WHEEL}"
        server.leads = f"{index.url.removesuffix('/simple')}/files/{{}}"
        with pytest.raises(InvalidLocation, match="which is not https"):
            await fetch(msgspec.structs.replace(TMPL, revision="1.0"), passed=passed, allowed_hosts=BOTH)


async def test_a_folder_names_nothing_that_is_not_encrypted(fetch: Fetch, tmp_path: Path) -> None:
    page = tmp_path / "own" / "tmpl" / "index.html"
    page.parent.mkdir(parents=True)
    with serving() as index:
        index.put(WHEEL, wheel(TEMPLATE))
        page.write_text(f'<a href="{index.url.removesuffix("/simple")}/files/{WHEEL}">x</a>')
        with pytest.raises(FetchFailed, match="which is not https"):
            await fetch(TMPL, passed={"UV_DEFAULT_INDEX": str(page.parent.parent)})
        assert index.asked == []
