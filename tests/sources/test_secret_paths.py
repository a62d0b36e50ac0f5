"""Is an index opened by a token in the path of its address, which nobody is shown and nothing keeps?"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest

from dynamo_mcp.errors import DynamoError, EnvironmentFailed
from dynamo_mcp.progress import Step
from dynamo_mcp.settings import Settings
from dynamo_mcp.sources import download
from dynamo_mcp.sources.indexes import configured
from dynamo_mcp.store import Store
from dynamo_mcp.types import Location
from dynamo_mcp.uv import Uv
from sources.index_server import TEMPLATE, Index, serving, wheel
from sources.repositories import Fetch

pytestmark = pytest.mark.anyio

SECRET = "swordfish"  # noqa: S105 - it opens an index of a test
TMPL = Location("pypi", "pypi:tmpl")
WHEEL = "tmpl-1.0-py3-none-any.whl"
PAGE = f"/{SECRET}/simple/tmpl/"
FILE = f"/{SECRET}/files/{WHEEL}"


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "PAUSES", (0.0, 0.0))


@pytest.fixture
def index() -> Iterator[Index]:
    with serving() as index:
        index.prefix = f"/{SECRET}"
        index.put(WHEEL, wheel(TEMPLATE))
        yield index


@pytest.fixture
def asking(index: Index) -> dict[str, str]:
    return {"UV_DEFAULT_INDEX": index.url}


async def test_it_is_in_no_step_and_no_record_and_what_is_kept_is_used_while_the_index_is_away(
    fetch: Fetch, index: Index, asking: dict[str, str], *, steps: list[Step], store: Store
) -> None:
    checkout = await fetch(TMPL, passed=asking)
    assert index.paths().count(FILE) == 2
    assert checkout.origin is not None
    assert checkout.origin.startswith(f"{index.url.partition('/swordfish')[0]}/***/files/{WHEEL}#sha256=")
    assert await fetch(TMPL, passed=asking, offline=True) == checkout
    for kept in (store.home / "packages").iterdir():
        if kept.suffix != ".json":
            kept.unlink()
    index.ways[PAGE] = ["500"]
    assert await fetch(TMPL, passed=asking) == checkout  # the file is where the index said
    assert index.paths().count(FILE) == 4
    said = "\n".join(step.message for step in steps)
    assert "downloading `http://127.0.0.1" in said
    assert SECRET not in said + repr(checkout)
    assert not any(SECRET.encode() in path.read_bytes() for path in store.home.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("path", "way"),
    [(path, way) for path in (PAGE, FILE) for way in ("500", "401", "404", "cut", "http://127.0.0.1:9/swordfish/x")]
    + [(PAGE, "https://me@127.0.0.1/swordfish/x"), (FILE, f"http://127.0.0.1:9{FILE}")],
)
async def test_no_error_says_it(path: str, way: str, fetch: Fetch, index: Index, asking: dict[str, str]) -> None:
    index.ways[path] = [way]
    with pytest.raises(DynamoError) as raised:
        await fetch(TMPL, passed=asking)
    assert "***" in raised.value.message
    assert SECRET not in str(raised.value) + raised.value.hint


async def test_no_error_of_a_page_that_is_none_says_it(fetch: Fetch, index: Index, asking: dict[str, str]) -> None:
    index.html["tmpl"] = "{"
    with pytest.raises(DynamoError, match="no page of a package index") as raised:
        await fetch(TMPL, passed=asking)
    assert SECRET not in str(raised.value)
    index.html.clear()
    index.pages["tmpl"][0]["url"] = f"ftp://host/{SECRET}/{WHEEL}"
    with pytest.raises(DynamoError, match="which is not https") as raised:
        await fetch(TMPL, passed=asking)
    for wrong in (f"ftp://host/{SECRET}/simple", f"https:///{SECRET}/simple"):
        with pytest.raises(DynamoError) as raised:
            await fetch(TMPL, passed={"UV_DEFAULT_INDEX": wrong})
        assert "UV_DEFAULT_INDEX" in raised.value.hint


async def test_the_setting_itself_says_nothing_of_it(settings: Settings, asking: dict[str, str]) -> None:
    (own,) = await configured(msgspec.structs.replace(settings, passed=asking))
    assert SECRET in own.address
    assert SECRET not in repr(own)


async def test_what_uv_says_of_an_index_is_told_without_it(settings: Settings, index: Index) -> None:
    index.ways[f"/{SECRET}/simple/no-such-thing/"] = ["500"]
    given = msgspec.structs.replace(settings, passed={"UV_DEFAULT_INDEX": index.url, "UV_HTTP_RETRIES": "0"})
    folder = settings.home / "asked"
    folder.mkdir(parents=True)
    with pytest.raises(EnvironmentFailed) as raised:
        await Uv(given).resolve(folder, ("no-such-thing",))
    assert "/***/simple/no-such-thing" in raised.value.message
    assert SECRET not in str(raised.value)
