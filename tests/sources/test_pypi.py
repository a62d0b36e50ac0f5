"""How does a template come out of a package index: the real one, and one on loopback that breaks and lies?"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import resource
import stat
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import anyio
import anyio.to_thread
import msgspec
import pytest

from dynamo_mcp.errors import (
    FetchFailed,
    InvalidLocation,
    InvalidTemplate,
    NotATemplate,
    StorageFailed,
    TimedOut,
)
from dynamo_mcp.progress import Step
from dynamo_mcp.settings import PASSED_TO_FETCHERS, Settings
from dynamo_mcp.source_settings import parse_tokens
from dynamo_mcp.sources import download, pages, redirects
from dynamo_mcp.sources.indexes import configured
from dynamo_mcp.store import Store
from dynamo_mcp.types import Location
from sources.index_server import TEMPLATE, Index, inside, sdist, serving, wheel
from sources.repositories import SECONDS, Fetch, Server

pytestmark = pytest.mark.anyio

README = "{{cookiecutter.slug}}/README.md"
TMPL = Location("pypi", "pypi:tmpl")
WHEEL = "tmpl-1.0-py3-none-any.whl"
SDIST = "tmpl-1.0.tar.gz"
PAGE = "/simple/tmpl/"


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "PAUSES", (0.0, 0.0))


@pytest.fixture
def index() -> Iterator[Index]:
    with serving() as index:
        yield index


@pytest.fixture
def asking(index: Index) -> dict[str, str]:
    """What uv and we get of the environment of an operator of this index."""
    return {"UV_DEFAULT_INDEX": index.url}


def names(path: Path) -> set[str]:
    return {str(each.relative_to(path)) for each in path.rglob("*") if not each.is_dir()}


def told(steps: list[Step]) -> str:
    return "\n".join(step.message for step in steps)


def untouched(store: Store) -> None:
    """Nothing came of it, and nothing is left of it."""
    assert list(store.scratch.iterdir()) == []
    assert list((store.home / "checkouts").iterdir()) == []
    assert [path for path in (store.home / "packages").iterdir() if path.suffix != ".json"] == []


async def test_a_template_comes_from_the_real_index_and_once_more_without_it(fetch: Fetch) -> None:
    passed = {name: os.environ[name] for name in PASSED_TO_FETCHERS if os.environ.get(name)}
    passed.pop("UV_OFFLINE", None)
    passed.pop("UV_EXCLUDE_NEWER", None)
    wanted = Location("pypi", "pypi:cookiecutter-kustomize-deployment", "0.1.1")
    checkout = await fetch(wanted, passed=passed)
    assert checkout.revision == "0.1.1"
    assert json.loads((checkout.path / "cookiecutter.json").read_text())
    assert checkout.origin is not None
    assert checkout.origin.endswith(
        "-py3-none-any.whl#sha256=b57dd3f609668cda13d4b37ae35a41f80cb497ffc3f24b638c0aac7a56bf703f"
    )
    assert await fetch(wanted, passed={**passed, "UV_OFFLINE": "1"}) == checkout
    newest = await fetch(msgspec.structs.replace(wanted, revision=None), passed=passed)
    assert newest.revision is not None
    with pytest.raises(InvalidLocation, match="no version `0.0.0.1`") as raised:  # noqa: RUF043 - it is that text
        await fetch(msgspec.structs.replace(wanted, revision="0.0.0.1"), passed=passed)
    assert "`0.1.1`" in raised.value.hint


@pytest.mark.parametrize(
    ("what", "files"),
    [
        ("wheel", TEMPLATE),
        ("wheel", {"tmpl/__init__.py": "raise SystemExit", **inside("tmpl/template")}),
        ("wheel", inside("tmpl-1.0.data/data/share/templates/tmpl")),
        ("sdist", TEMPLATE),
        ("sdist", {"setup.py": "raise SystemExit", **inside("src/tmpl/template")}),
    ],
)
async def test_the_template_is_the_root_or_the_one_folder_that_holds_it(
    what: str, files: dict[str, str], fetch: Fetch, index: Index, asking: dict[str, str], *, store: Store
) -> None:
    content = wheel(files) if what == "wheel" else sdist(files)
    file = index.put(WHEEL if what == "wheel" else SDIST, content)
    checkout = await fetch(TMPL, passed=asking)
    assert (checkout.path / README).read_text() == TEMPLATE[README]
    assert names(checkout.path) >= set(TEMPLATE)
    if files is not TEMPLATE:
        assert names(checkout.path) == set(TEMPLATE)  # the package itself is left away
    assert checkout.revision == "1.0"
    sha256 = hashlib.sha256(content).hexdigest()
    assert checkout.origin == f"{index.url.removesuffix('/simple')}/files/{file['filename']}#sha256={sha256}"
    assert (store.home / "packages" / sha256).read_bytes() == content


async def test_a_wheel_without_the_template_sends_to_what_it_was_built_from(
    fetch: Fetch, index: Index, asking: dict[str, str], steps: list[Step]
) -> None:
    index.put(WHEEL, wheel({"tmpl.py": ""}))
    index.put(SDIST, sdist({**inside("lib/one"), **inside("lib/two")}))
    with pytest.raises(NotATemplate, match="in the folders `lib/one`, `lib/two`") as raised:
        await fetch(TMPL, passed=asking)
    assert "`directory`" in raised.value.hint
    checkout = await fetch(msgspec.structs.replace(TMPL, directory="lib/two"), passed=asking)
    assert (checkout.path / "lib/two" / README).is_file()
    assert "holds no `cookiecutter.json`" in told(steps)
    with pytest.raises(InvalidLocation, match="no folder `lib/six`") as gone:
        await fetch(msgspec.structs.replace(TMPL, directory="lib/six"), passed=asking)
    assert "`lib/one`" in gone.value.hint


async def test_a_package_of_no_template_is_told(
    fetch: Fetch, index: Index, asking: dict[str, str], store: Store
) -> None:
    index.put(WHEEL, wheel({"tmpl.py": ""}))
    index.put(SDIST, sdist({"tmpl.py": ""}))
    with pytest.raises(NotATemplate, match=f"neither `{WHEEL}` nor `{SDIST}` holds one"):
        await fetch(TMPL, passed=asking)
    untouched(store)


async def test_what_an_address_is_signed_with_is_kept_nowhere(
    fetch: Fetch, index: Index, asking: dict[str, str], *, steps: list[Step], store: Store
) -> None:
    index.put(WHEEL, wheel(TEMPLATE), url=f"../../files/{WHEEL}?signed=swordfish")
    index.files[f"{WHEEL}?signed=swordfish"] = index.files.pop(WHEEL)
    checkout = await fetch(TMPL, passed=asking)
    assert await fetch(TMPL, passed={**asking, "UV_OFFLINE": "1"}) == checkout
    assert "swordfish" not in told(steps) + repr(checkout)
    assert not any(b"swordfish" in path.read_bytes() for path in store.home.rglob("*") if path.is_file())
    index.ways[f"/files/{WHEEL}?signed=swordfish"] = ["http://127.0.0.1:9/x"]
    for kept in (store.home / "packages").iterdir():
        kept.unlink()
    with pytest.raises(InvalidLocation, match="is redirected") as raised:
        await fetch(TMPL, passed=asking)
    assert "swordfish" not in str(raised.value)


async def test_an_update_goes_to_the_newest_version_unless_one_was_named(
    fetch: Fetch, index: Index, asking: dict[str, str]
) -> None:
    index.put(WHEEL, wheel(TEMPLATE))
    pinned = msgspec.structs.replace(TMPL, revision="1.0")
    first = await fetch(TMPL, passed=asking)
    newer = index.put("tmpl-2.0-py3-none-any.whl", wheel({**TEMPLATE, README: "two"}, version="2.0"))
    index.put("tmpl-3.0rc1-py3-none-any.whl", wheel({**TEMPLATE, README: "three"}, version="3.0rc1"))
    assert (await fetch(TMPL, passed=asking)).revision == "2.0"
    assert (await fetch(pinned, passed=asking)).digest == first.digest
    newer["yanked"] = "harms"
    assert (await fetch(TMPL, passed=asking)).revision == "1.0"


async def test_a_version_that_was_withdrawn_is_used_where_it_was_named_and_that_is_said(
    fetch: Fetch, index: Index, asking: dict[str, str], steps: list[Step]
) -> None:
    index.put(WHEEL, wheel(TEMPLATE), yanked="it\x1b[2J harms")
    with pytest.raises(InvalidLocation, match="withdrawn by its author"):
        await fetch(TMPL, passed=asking)
    assert (await fetch(msgspec.structs.replace(TMPL, revision="1.0"), passed=asking)).revision == "1.0"
    assert "`pypi:tmpl==1.0` was withdrawn by its author: it" in told(steps)
    assert "\x1b" not in told(steps)


async def test_a_file_that_is_gone_from_the_index_is_told(
    fetch: Fetch, index: Index, asking: dict[str, str], store: Store
) -> None:
    index.put(WHEEL, wheel(TEMPLATE))
    del index.files[WHEEL]
    with pytest.raises(FetchFailed, match="which is not there"):
        await fetch(TMPL, passed=asking)
    untouched(store)


@pytest.mark.parametrize("path", [PAGE, f"/files/{WHEEL}"])
@pytest.mark.parametrize("way", ["cut", "503", "429"])
async def test_what_breaks_off_in_the_middle_is_fetched_again(
    path: str, way: str, fetch: Fetch, index: Index, asking: dict[str, str], *, steps: list[Step]
) -> None:
    index.put(WHEEL, wheel(TEMPLATE))
    index.ways[path] = [way, way, way, ""]  # it is asked where it leads, then asked for it
    assert (await fetch(TMPL, passed=asking)).revision == "1.0"
    assert "trying again" in told(steps)


@pytest.mark.parametrize("path", [PAGE, f"/files/{WHEEL}"])
async def test_what_breaks_off_each_time_leaves_nothing_and_is_added_later(
    path: str, fetch: Fetch, index: Index, asking: dict[str, str], store: Store
) -> None:
    index.put(WHEEL, wheel({**TEMPLATE, "x": os.urandom(1000).hex()}))
    index.ways[path] = ["cut"]
    with pytest.raises(FetchFailed, match="was cut off"):
        await fetch(TMPL, passed=asking)
    untouched(store)
    assert len(index.asked) < 10
    index.ways.clear()
    assert (await fetch(TMPL, passed=asking)).revision == "1.0"


@pytest.mark.parametrize("path", [PAGE, f"/files/{WHEEL}"])
@pytest.mark.parametrize("ways", [["stall", ""], ["hang", "hang", ""]])
async def test_a_server_that_stalls_is_asked_again(
    path: str, ways: list[str], fetch: Fetch, index: Index, asking: dict[str, str], *, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redirects, "SECONDS_PER_STEP", 0.5)
    index.put(WHEEL, wheel(TEMPLATE))
    index.ways[path] = ways
    assert (await fetch(TMPL, passed=asking)).revision == "1.0"


async def test_a_server_that_only_stalls_is_given_up(
    fetch: Fetch, index: Index, asking: dict[str, str], store: Store
) -> None:
    index.put(WHEEL, wheel(TEMPLATE))
    index.ways[f"/files/{WHEEL}"] = ["stall"]
    with pytest.raises(TimedOut, match="Fetching `pypi:tmpl` took more than 1 seconds"):
        await fetch(TMPL, passed=asking, fetch_seconds=1.0)
    untouched(store)


async def test_an_add_that_is_cancelled_leaves_nothing(
    fetch: Fetch, index: Index, asking: dict[str, str], store: Store
) -> None:
    index.put(WHEEL, wheel(TEMPLATE))
    index.ways[f"/files/{WHEEL}"] = ["stall"]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: fetch(TMPL, passed=asking))
        assert await anyio.to_thread.run_sync(index.stalled.wait, SECONDS)
        tasks.cancel_scope.cancel()
    untouched(store)


async def test_a_disk_that_fills_is_told_and_leaves_nothing(
    fetch: Fetch, index: Index, asking: dict[str, str], store: Store
) -> None:
    index.put(WHEEL, wheel({**TEMPLATE, "x": os.urandom(3 << 20).hex()}))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, limits[1]))
    try:
        with pytest.raises(StorageFailed, match="keep what is downloaded") as raised:
            await fetch(TMPL, passed=asking)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert raised.value.hint
    untouched(store)
    assert (await fetch(TMPL, passed=asking)).revision == "1.0"


async def test_another_file_than_the_index_says_is_refused(
    fetch: Fetch, index: Index, asking: dict[str, str], store: Store
) -> None:
    index.put(WHEEL, wheel(TEMPLATE))
    index.files[WHEEL] = wheel({**TEMPLATE, "hooks/post_gen_project.py": "print('harm')"})
    with pytest.raises(FetchFailed, match="is not what the index says") as raised:
        await fetch(TMPL, passed=asking)
    assert hashlib.sha256(index.files[WHEEL]).hexdigest() in raised.value.message
    untouched(store)


async def test_what_was_fetched_is_there_without_the_index(
    fetch: Fetch, index: Index, asking: dict[str, str], *, store: Store, steps: list[Step]
) -> None:
    index.put(WHEEL, wheel(TEMPLATE))
    offline = {**asking, "UV_OFFLINE": "1"}
    with pytest.raises(FetchFailed, match="nobody is asked offline"):
        await fetch(TMPL, passed=offline)
    assert index.asked == []
    first = await fetch(TMPL, passed=asking)
    index.asked.clear()
    assert await fetch(TMPL, passed=offline) == first
    assert await fetch(TMPL, passed=asking, offline=True) == first
    assert index.asked == []
    index.put("tmpl-2.0-py3-none-any.whl", wheel(TEMPLATE, version="2.0"))
    index.ways[PAGE] = ["500"]
    assert await fetch(TMPL, passed=asking) == first
    assert "going by what it said last" in told(steps)
    # A file that is not what it was any more is fetched again.
    kept = next(path for path in (store.home / "packages").iterdir() if path.suffix != ".json")
    kept.write_bytes(kept.read_bytes()[:-1] + b"x")
    with pytest.raises(FetchFailed, match="nothing is downloaded offline"):
        await fetch(TMPL, passed=offline)
    index.ways.clear()
    assert (await fetch(msgspec.structs.replace(TMPL, revision="1.0"), passed=asking)).digest == first.digest


async def test_the_first_index_that_has_a_package_counts(fetch: Fetch, index: Index, tmp_path: Path) -> None:
    index.put(WHEEL, wheel(TEMPLATE))
    index.put("tmpl-9.0-py3-none-any.whl", wheel(TEMPLATE, version="9.0"), package="other")
    folder = tmp_path / "own" / "tmpl"
    folder.mkdir(parents=True)
    (folder / SDIST).write_bytes(sdist({**TEMPLATE, "own": "mine"}))
    (folder / "index.html").write_text(f'<a href="{SDIST}">x</a>')
    both = {"UV_INDEX": f"mine={folder.parent} other={index.url}", "UV_DEFAULT_INDEX": "http://127.0.0.1:9/simple"}
    checkout = await fetch(TMPL, passed=both)
    assert (checkout.path / "own").read_text() == "mine"
    assert index.asked == []
    (folder / "index.html").unlink()
    assert not ((await fetch(TMPL, passed=both)).path / "own").exists()
    with pytest.raises(FetchFailed, match="No index has a package `pypi:none`"):
        await fetch(Location("pypi", "pypi:none"), passed={"UV_INDEX": index.url, "UV_DEFAULT_INDEX": index.url})


async def test_an_index_that_can_not_be_asked_is_not_passed_over_for_another(
    fetch: Fetch, index: Index, asking: dict[str, str]
) -> None:
    """Otherwise whoever keeps it from answering could have a stranger's package of the same name taken."""
    index.put(WHEEL, wheel(TEMPLATE))
    with pytest.raises(FetchFailed, match="can't be asked"):
        await fetch(TMPL, passed={**asking, "UV_INDEX": "http://127.0.0.1:9/simple"})


async def test_a_page_in_html_will_do(fetch: Fetch, index: Index, asking: dict[str, str]) -> None:
    index.files[WHEEL] = wheel(TEMPLATE)
    sha256 = hashlib.sha256(index.files[WHEEL]).hexdigest()
    index.html["tmpl"] = f'<!DOCTYPE html><a href="/files/{WHEEL}#sha256={sha256}">{WHEEL}</a>'
    assert (await fetch(TMPL, passed=asking)).revision == "1.0"
    index.html["tmpl"] = f'<a href="/files/{WHEEL}#sha256={"0" * 64}">{WHEEL}</a>'
    with pytest.raises(FetchFailed, match="is not what the index says"):
        await fetch(TMPL, passed=asking)


async def test_what_is_no_index_is_told(fetch: Fetch, index: Index, asking: dict[str, str]) -> None:
    index.ways[PAGE] = ["401"]
    with pytest.raises(FetchFailed, match="the host answers 401") as raised:
        await fetch(TMPL, passed=asking)
    assert "your index" in raised.value.hint
    for address in ("ftp://host/simple", "https:///simple", "https://me:swordfish@host:x/simple"):
        with pytest.raises(FetchFailed) as wrong:
            await fetch(TMPL, passed={"UV_DEFAULT_INDEX": address})
        assert "UV_DEFAULT_INDEX" in wrong.value.hint
        assert "swordfish" not in str(wrong.value)


def with_secret(index: Index) -> dict[str, str]:
    return {"UV_DEFAULT_INDEX": index.url.replace("//", "//me:sword%40fish@")}


SIGNED_IN = "Basic bWU6c3dvcmRAZmlzaA=="  # me:sword@fish


async def test_what_signs_in_goes_to_the_index_alone_and_is_kept_nowhere(
    fetch: Fetch, index: Index, server: Server, *, trusting: dict[str, str], store: Store, steps: list[Step]
) -> None:
    index.put(WHEEL, wheel(TEMPLATE))
    passed = {**with_secret(index), **trusting}
    checkout = await fetch(TMPL, passed=passed)
    assert {signed for _, signed in index.asked} == {SIGNED_IN}
    index.pages.clear()
    (server.folder / WHEEL).write_bytes(wheel({**TEMPLATE, "x": "elsewhere"}))
    content = (server.folder / WHEEL).read_bytes()
    index.put(WHEEL, content, url=f"{server.url}/dumb/{WHEEL}")
    assert ((await fetch(TMPL, passed=passed)).path / "x").read_text() == "elsewhere"
    # Nor where the index itself leads elsewhere.
    index.pages.clear()
    index.put(WHEEL, wheel({**TEMPLATE, "x": "led"}))
    index.ways[f"/files/{WHEEL}"] = [f"{server.url}/dumb/{WHEEL}"]
    (server.folder / WHEEL).write_bytes(index.files[WHEEL])
    led = await fetch(TMPL, passed=passed, allowed_hosts=("127.0.0.0/8",))
    assert (led.path / "x").read_text() == "led"
    assert server.paths.count(f"/dumb/{WHEEL}") == 4
    assert server.authorizations == []
    said = told(steps) + repr(checkout) + repr(led)
    assert not any(secret in said for secret in ("sword", SIGNED_IN[6:]))
    for path in store.home.rglob("*"):
        assert not path.is_file() or not any(
            secret in path.read_bytes() for secret in (b"sword", SIGNED_IN[6:].encode())
        )


async def test_a_token_signs_in_to_an_index_by_https(
    fetch: Fetch, server: Server, trusting: dict[str, str], steps: list[Step]
) -> None:
    with serving(server.certificate) as index:
        index.put(WHEEL, wheel(TEMPLATE))
        host = urlsplit(index.url).netloc
        tokens = parse_tokens(f"{host}=me:sword@fish")
        checkout = await fetch(TMPL, passed={"UV_INDEX": index.url, **trusting}, tokens=tokens)
        assert {signed for _, signed in index.asked} == {SIGNED_IN}
    assert "sword" not in told(steps) + repr(checkout)


async def test_an_index_leads_to_no_machine_that_is_not_public_nor_to_what_is_not_encrypted(
    fetch: Fetch, index: Index, server: Server, trusting: dict[str, str], *, asking: dict[str, str]
) -> None:
    index.put(WHEEL, wheel(TEMPLATE))
    index.ways[f"/files/{WHEEL}"] = [f"{server.url}/dumb/{WHEEL}"]
    with pytest.raises(InvalidLocation, match="not public"):
        await fetch(TMPL, passed={**asking, **trusting})
    index.ways[f"/files/{WHEEL}"] = ["http://127.0.0.1:9/x"]
    with pytest.raises(InvalidLocation, match="which is not https"):
        await fetch(TMPL, passed=asking)
    assert server.paths == []


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/x.whl", "file:///etc/passwd", "ftp://host/x", "data:,x"])
async def test_an_index_names_no_file_of_this_machine_nor_what_is_not_encrypted(
    url: str, fetch: Fetch, index: Index, asking: dict[str, str], store: Store
) -> None:
    index.put(WHEEL, b"", url=url)
    with pytest.raises(FetchFailed, match="which is not https"):
        await fetch(TMPL, passed=asking)
    untouched(store)


@pytest.mark.parametrize(
    "filename",
    ["../../tmpl-9.0-py3-none-any.whl", "tmpl-9.0-py3-none-any.whl\n", "/etc/tmpl-9.0.tar.gz", "", "\x1b[2J"],
)
async def test_a_name_of_a_file_that_means_harm_is_no_file(
    filename: str, fetch: Fetch, index: Index, asking: dict[str, str], steps: list[Step]
) -> None:
    index.put(filename, b"", url="x")
    index.put(WHEEL, wheel(TEMPLATE))
    assert (await fetch(TMPL, passed=asking)).revision == "1.0"
    assert "9.0" not in told(steps)


def harming(kind: str) -> tuple[str, bytes]:
    """Return a hostile package: the name of its file, and the file."""
    files = {**inside("tmpl/template"), "tmpl-1.0.dist-info/RECORD": ""}
    made = io.BytesIO()
    if kind == "a link that leaves the template":
        with tarfile.open(fileobj=made, mode="w:gz") as archive:
            for path, text in files.items():
                info = tarfile.TarInfo(f"tmpl-1.0/{path}")
                info.size = len(text)
                archive.addfile(info, io.BytesIO(text.encode()))
            link = tarfile.TarInfo("tmpl-1.0/tmpl/template/link")
            link.type, link.linkname = tarfile.SYMTYPE, "../secret"
            archive.addfile(link)
        return SDIST, made.getvalue()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, text in files.items():
            archive.writestr(path, text)
        if kind == "a path upwards":
            archive.writestr("tmpl/../../x", "x")
        elif kind == "an absolute path":
            archive.writestr("/etc/x", "x")
        elif kind == "a link out":
            out = zipfile.ZipInfo("tmpl/template/link")
            out.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(out, "/etc/passwd")
        elif kind == "it grows":
            archive.writestr("tmpl/zeros", bytes(64 << 20))
        elif kind == "what would pass for git's":
            archive.writestr("tmpl/template/.GIT/config", "x")
        elif kind == "a name that steers a terminal":
            archive.writestr("tmpl/\x1b[2J", "x")
    return WHEEL, made.getvalue()


HARMING = {
    "a path upwards": "not a path inside",
    "an absolute path": "not a path inside",
    "a link out": "leaves the template's tree",
    "a link that leaves the template": "leaves the template's tree",
    "it grows": "grows more than 250 times",
    "what would pass for git's": "would pass for",
    "a name that steers a terminal": "control character",
}


@pytest.mark.parametrize("kind", HARMING)
async def test_a_hostile_package_is_refused_like_any_archive(
    kind: str, fetch: Fetch, index: Index, asking: dict[str, str], store: Store
) -> None:
    index.put(*harming(kind))
    with pytest.raises(InvalidTemplate, match=HARMING[kind]) as raised:
        await fetch(TMPL, passed=asking)
    assert "pypi:tmpl==1.0" in raised.value.message
    untouched(store)


async def test_nothing_of_a_package_runs(fetch: Fetch, index: Index, asking: dict[str, str], tmp_path: Path) -> None:
    harm = f"open({str(tmp_path / 'canary')!r}, 'w')"
    files = {"setup.py": harm, "tmpl/__init__.py": harm, "x.pth": f"import os; {harm}", "conftest.py": harm}
    index.put(WHEEL, wheel({**files, "tmpl-1.0.data/scripts/run": f"#!python\n{harm}"}))
    index.put(SDIST, sdist({**files, "pyproject.toml": "[build-system]\nrequires=[]\n", **TEMPLATE}))
    await fetch(TMPL, passed=asking)
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize("content", [b"", b"no archive", wheel(TEMPLATE)[:-30]])
async def test_a_damaged_package_is_told(
    content: bytes, fetch: Fetch, index: Index, asking: dict[str, str], store: Store
) -> None:
    index.put(WHEEL, content)
    with pytest.raises(FetchFailed, match="damaged, or no archive"):
        await fetch(TMPL, passed=asking)
    untouched(store)


async def test_a_package_that_is_too_big_is_not_read_to_its_end(
    fetch: Fetch, index: Index, asking: dict[str, str], store: Store
) -> None:
    index.put(WHEEL, wheel({**TEMPLATE, "x": os.urandom(2 << 20).hex()}))
    with pytest.raises(InvalidTemplate, match="more than 1048576 bytes"):
        await fetch(TMPL, passed=asking, template_bytes=1 << 20)
    untouched(store)


async def test_the_steps_tell_what_is_asked_and_how_much_is_there(
    fetch: Fetch, index: Index, asking: dict[str, str], steps: list[Step]
) -> None:
    index.put(WHEEL, wheel(TEMPLATE))
    await fetch(TMPL, passed=asking)
    address = index.url.removesuffix("/simple")
    assert [step.message for step in steps] == [
        f"downloading `{address}{PAGE}`",
        f"downloading `{address}/files/{WHEEL}`",
        f"unpacking `{WHEEL}`",
    ]


async def test_an_agent_reaches_the_operators_index_wherever_it_is(
    fetch: Fetch, index: Index, asking: dict[str, str]
) -> None:
    index.put(WHEEL, wheel(TEMPLATE))
    assert (await fetch(TMPL, passed=asking, person=False)).revision == "1.0"


def test_a_page_with_many_tags_that_do_not_end_and_names_that_are_too_long_cost_no_time() -> None:
    begun = "<a " * 200_000 + '<a href="tmpl-1.0.tar.gz#sha256=' + "0" * 64 + '">tmpl-1.0.tar.gz</a>'
    (found,) = pages.read(begun.encode(), "https://index.example/simple/tmpl/")
    assert (found.name, found.sha256) == ("tmpl-1.0.tar.gz", "0" * 64)
    listed = {"files": [{"filename": f"tmpl-1.0-{'.'.join(['py3'] * 300)}-none-any.whl", "url": "x"}]}
    assert pages.read(json.dumps(listed).encode(), "https://index.example/simple/tmpl/") == ()
    with pytest.raises(FetchFailed, match="no page of a package index"):
        pages.read(b'{"files": ' + b"[" * 200_000, "https://index.example/simple/tmpl/")


async def test_offline_an_index_that_may_have_the_package_is_not_passed_over(
    fetch: Fetch, index: Index, asking: dict[str, str]
) -> None:
    index.put(WHEEL, wheel(TEMPLATE))
    await fetch(TMPL, passed=asking)
    await fetch(TMPL, passed=asking, offline=True)
    first = {**asking, "UV_INDEX": "https://private.example/simple"}
    with pytest.raises(FetchFailed, match="Nothing is kept of what an index says"):
        await fetch(TMPL, passed=first, offline=True)


async def test_where_no_index_is_configured_it_is_the_one_of_uv(settings: Settings) -> None:
    (found,) = await configured(settings)
    assert re.fullmatch(r"https://[a-z.]+/simple", found.address)
    assert found.authorization is None
