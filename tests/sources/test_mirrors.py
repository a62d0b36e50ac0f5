"""What is here already of a repository elsewhere? A mirror that is whole at any time, so that little is fetched."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import anyio.to_thread
import msgspec
import pytest

from dynamo_mcp import sources
from dynamo_mcp.errors import FetchFailed, InvalidLocation, InvalidTemplate
from dynamo_mcp.progress import Progress, Step
from dynamo_mcp.settings import Settings
from dynamo_mcp.sources.mirrors import RECORD, Known, mirror_of, mirror_path
from dynamo_mcp.store import Store, open_store
from dynamo_mcp.types import Checkout, Location
from sources.repositories import SECONDS, Fetch, Repository, Server

pytestmark = pytest.mark.anyio

BIG = 300_000

FETCHES = """
import os, pathlib, signal, sys, anyio
from dynamo_mcp import sources
from dynamo_mcp.progress import Progress
from dynamo_mcp.settings import load
from dynamo_mcp.store import open_store
from dynamo_mcp.types import Checkout, Location

home, address, revision, event, left = sys.argv[1:]
left = int(left)

def die(name, arguments):
    global left
    if name == event:
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

async def ignore(step):
    pass

async def main():
    settings = load(home=pathlib.Path(home), person=True)
    async with open_store(settings.home, lock_seconds=30) as store:
        sys.addaudithook(die)
        location = Location("git", address, revision or None)
        found = await sources.fetch(location, store=store, settings=settings, progress=Progress(("fetch",), ignore))
        print(found.revision, flush=True)

anyio.run(main)
"""
"""A process that fetches, and is killed just before its nth call of one kind."""


@pytest.fixture
def trusting_fetch(fetch: Fetch, trusting: dict[str, str]) -> Fetch:
    async def fetched(location: Location, **changes: object) -> Checkout:
        return await fetch(location, **{"passed": trusting, **changes})

    return fetched


@pytest.fixture
def big(repository: Repository) -> Repository:
    """The repository, which is worth not being fetched twice."""
    (repository.path / "big").write_bytes(os.urandom(BIG))
    repository.write("templates/one/cookiecutter.json", "{}")
    repository.commit("big")
    return repository


def at(server: Server, revision: str | None = None, directory: str | None = None) -> Location:
    return Location("git", f"{server.url}/smart/template/.git", revision, directory)


def known(store: Store, location: Location) -> Known:
    path = mirror_path(location, store.home)
    assert path is not None
    return msgspec.json.decode((path / RECORD).read_bytes(), type=Known)


def sent_since(server: Server) -> int:
    sent, server.sent = server.sent, 0
    return sent


async def test_only_what_is_new_is_fetched(
    trusting_fetch: Fetch, server: Server, big: Repository, store: Store
) -> None:
    await trusting_fetch(at(server))
    assert sent_since(server) > BIG
    await trusting_fetch(at(server, directory="templates/one"))
    assert sent_since(server) < 10_000
    big.write("new", "new")
    head = big.commit("new")
    big.git("tag", "v2.0")
    found = await trusting_fetch(at(server, "v2.0"))
    assert found.revision == head
    assert (found.path / "big").read_bytes() == (big.path / "big").read_bytes()
    assert sent_since(server) < 10_000
    assert len(list((store.home / "mirrors").iterdir())) == 1
    assert known(store, at(server)).names.keys() == {"HEAD", "v2.0"}


@pytest.mark.parametrize(
    ("same", "others"),
    [
        (
            ("https://Host.example/o/r", "https://host.example/o/r/"),
            (
                "https://host.example/o/R",
                "https://host.example:8443/o/r",
                "ssh://git@host.example/o/r",
                # Nothing says that a host takes both for one.
                "https://host.example/o/r.git",
                "git@host.example:o/r",
                "git@host.example:o/r.git",
                "https://github.com.example/o/r",
                "https://github.com.example/o/r.git",
            ),
        ),
        *(
            ((f"{prefix}o/r", f"{prefix}o/r.git", f"{prefix}o/r.git/"), (f"{prefix}o/r.git.git",))
            for prefix in (
                "https://github.com/",
                "https://GitLab.com/",
                "ssh://git@codeberg.org/",
                "git@bitbucket.org:",
                "https://git.sr.ht/~",
            )
        ),
    ],
)
async def test_spellings_of_one_address_share_a_mirror(
    same: tuple[str, ...], others: tuple[str, ...], tmp_path: Path
) -> None:
    assert len({mirror_path(Location("git", address), tmp_path) for address in same}) == 1
    assert len({mirror_path(Location("git", address), tmp_path) for address in (same[0], *others)}) == 1 + len(others)


async def test_a_repository_of_this_machine_has_no_mirror(fetch: Fetch, repository: Repository, store: Store) -> None:
    await fetch(Location("git", repository.url))
    assert list((store.home / "mirrors").iterdir()) == []
    await fetch(Location("git", repository.url), offline=True)


async def test_a_whole_hash_that_is_there_is_asked_of_nobody(
    trusting_fetch: Fetch, server: Server, repository: Repository
) -> None:
    head = repository.git("rev-parse", "HEAD")
    await trusting_fetch(at(server))
    server.paths.clear()
    for revision in (head, head.upper()):
        assert (await trusting_fetch(at(server, revision))).revision == head
    assert server.paths == []


async def test_what_only_a_person_fetched_is_asked_for_where_a_program_names_it_by_its_hash(
    trusting_fetch: Fetch, server: Server, repository: Repository
) -> None:
    head = repository.git("rev-parse", "HEAD")
    await trusting_fetch(at(server))
    server.breaks = ["503"] * 9
    with pytest.raises(FetchFailed):
        await trusting_fetch(at(server, head), person=False, allowed_hosts=("127.0.0.1",))
    server.breaks = []
    await trusting_fetch(at(server, head), person=False, allowed_hosts=("127.0.0.1",))
    server.paths.clear()
    await trusting_fetch(at(server, head), person=False, allowed_hosts=("127.0.0.1",))
    assert server.paths == []


async def test_the_beginning_of_an_old_hash_is_found_behind_what_was_fetched_alone(
    trusting_fetch: Fetch, server: Server, repository: Repository
) -> None:
    first = repository.git("rev-parse", "HEAD")
    for number in range(3):
        repository.write("number", str(number))
        repository.commit()
        await trusting_fetch(at(server))
    assert (await trusting_fetch(at(server, first[:9]))).revision == first
    repository.write("number", "last")
    head = repository.commit()
    assert (await trusting_fetch(at(server))).revision == head
    assert (await trusting_fetch(at(server, head[:9]))).revision == head


async def test_what_was_fetched_is_there_offline_and_nobody_is_asked(
    trusting_fetch: Fetch, server: Server, repository: Repository, store: Store
) -> None:
    head = repository.git("rev-parse", "HEAD")
    repository.git("tag", "v1.0")
    repository.git("branch", "other")
    for revision in (None, "main", "latest"):
        await trusting_fetch(at(server, revision))
    await store.discard((await trusting_fetch(at(server))).path)
    server.paths.clear()
    for revision in (None, "main", "latest", head):
        found = await trusting_fetch(at(server, revision), offline=True, passed={})
        assert found.revision == head
        assert (found.path / "cookiecutter.json").exists()
    for revision in ("other", "f" * 40, head[:8]):
        with pytest.raises(FetchFailed, match=f"was not fetched as `{revision}` before") as caught:
            await trusting_fetch(at(server, revision), offline=True)
        assert "`main`" in caught.value.hint
    assert server.paths == []
    with pytest.raises(FetchFailed, match="nothing is offline"):
        await trusting_fetch(Location("archive", f"{server.url}/x.zip"), offline=True)


async def test_what_only_a_person_fetched_is_for_no_program_offline(trusting_fetch: Fetch, server: Server) -> None:
    await trusting_fetch(at(server))
    with pytest.raises(FetchFailed, match="was not fetched"):
        await trusting_fetch(at(server), offline=True, person=False)
    with pytest.raises(InvalidLocation, match="not public"):
        await trusting_fetch(at(server), person=False)
    await trusting_fetch(at(server), person=False, allowed_hosts=("127.0.0.1",))
    await trusting_fetch(at(server), offline=True, person=False)


async def test_a_host_that_is_away_is_told_with_what_is_kept(trusting_fetch: Fetch, server: Server) -> None:
    await trusting_fetch(at(server))
    server.breaks = ["503"] * 9
    with pytest.raises(FetchFailed) as caught:
        await trusting_fetch(at(server))
    assert "`--offline`" in caught.value.hint
    with pytest.raises(FetchFailed) as caught:
        await trusting_fetch(at(server, "other"))
    assert "`--offline`" not in caught.value.hint


async def test_a_history_that_was_written_anew_is_followed(
    trusting_fetch: Fetch, server: Server, big: Repository
) -> None:
    old = (await trusting_fetch(at(server))).revision
    big.git("checkout", "--quiet", "--orphan", "again")
    big.git("reset", "--quiet", "--hard")
    big.write("cookiecutter.json", "{}")
    big.commit("again")
    big.git("branch", "--force", "main", "again")
    big.git("checkout", "--quiet", "main")
    big.git("branch", "-D", "again")
    big.git("reflog", "expire", "--expire=now", "--all")
    big.git("gc", "--quiet", "--prune=now")
    new = await trusting_fetch(at(server, "main"))
    assert new.revision == big.git("rev-parse", "HEAD") != old
    assert sorted(path.name for path in new.path.iterdir()) == ["cookiecutter.json"]
    assert (await trusting_fetch(at(server, old))).revision == old


async def test_a_repository_that_is_gone_is_told_and_what_was_fetched_stays(
    trusting_fetch: Fetch, server: Server, repository: Repository
) -> None:
    head = (await trusting_fetch(at(server))).revision
    shutil.rmtree(repository.path)
    with pytest.raises(FetchFailed, match="does not exist"):
        await trusting_fetch(at(server))
    assert (await trusting_fetch(at(server), offline=True)).revision == head


@pytest.mark.parametrize("damage", ["record", "no record", "no pack", "cut pack", "wrong pack", "no index", "nothing"])
async def test_a_mirror_that_is_damaged_is_made_anew(
    *, trusting_fetch: Fetch, server: Server, big: Repository, store: Store, damage: str
) -> None:
    checkout = await trusting_fetch(at(server))
    await store.discard(checkout.path)
    path = mirror_path(at(server), store.home)
    assert path is not None
    (pack,) = (path / "objects" / "pack").glob("*.pack")
    pack.chmod(0o644)
    if damage == "record":
        (path / RECORD).write_bytes(b'{"commits": {"x')
    elif damage == "no record":
        (path / RECORD).unlink()
    elif damage == "no pack":
        pack.unlink()
    elif damage == "cut pack":
        os.truncate(pack, BIG // 2)
    elif damage == "wrong pack":
        content = bytearray(pack.read_bytes())
        content[BIG // 2] ^= 0xFF
        pack.write_bytes(content)
    elif damage == "no index":
        next((path / "objects" / "pack").glob("*.idx")).unlink()
    else:
        shutil.rmtree(path / "objects")
    big.write("new", "new")
    head = big.commit("new")
    for revision in (checkout.revision, None, "main"):
        found = await trusting_fetch(at(server, revision))
        assert found.revision == (checkout.revision if revision == checkout.revision else head)
        assert (found.path / "big").read_bytes() == (big.path / "big").read_bytes()
        await store.discard(found.path)


async def test_a_mirror_holds_objects_and_nothing_that_could_be_obeyed(
    trusting_fetch: Fetch, server: Server, repository: Repository, store: Store
) -> None:
    repository.git("config", "core.hooksPath", "/x")
    await trusting_fetch(at(server))
    path = mirror_path(at(server), store.home)
    assert path is not None
    names = {str(file.relative_to(path)) for file in path.rglob("*") if file.is_file()}
    assert names - {RECORD} == {name for name in names if name.startswith("objects/pack/pack-")}


async def test_what_was_refused_is_not_kept(
    trusting_fetch: Fetch, server: Server, repository: Repository, store: Store
) -> None:
    (repository.path / "leak").symlink_to("/etc/passwd")
    repository.commit()
    with pytest.raises(InvalidTemplate, match="the link `leak`"):
        await trusting_fetch(at(server))
    assert list((store.home / "mirrors").iterdir()) == []


async def test_what_git_refuses_as_unsafe_gets_into_no_mirror(
    trusting_fetch: Fetch, server: Server, big: Repository, store: Store
) -> None:
    good = (await trusting_fetch(at(server))).revision
    packs = set((store.home / "mirrors").rglob("*.pack"))
    raw = b"100644 .git\0" + bytes.fromhex(big.blob(b"x"))
    tree = big.git("hash-object", "-t", "tree", "-w", "--literally", "--stdin", stdin=raw)
    big.commit_tree(tree)
    with pytest.raises(FetchFailed, match="refuses as unsafe"):
        await trusting_fetch(at(server))
    assert set((store.home / "mirrors").rglob("*.pack")) == packs
    assert (await trusting_fetch(at(server, good))).revision == good


async def test_what_comes_besides_what_is_kept_is_bounded_while_it_comes(
    trusting_fetch: Fetch, server: Server, repository: Repository
) -> None:
    await trusting_fetch(at(server), template_bytes=100_000)
    (repository.path / "noise").write_bytes(os.urandom(900_000))
    repository.commit()
    with pytest.raises(InvalidTemplate, match="more than 400000 bytes to fetch"):
        await trusting_fetch(at(server), template_bytes=100_000)


async def test_a_mirror_is_bounded(trusting_fetch: Fetch, server: Server, repository: Repository, store: Store) -> None:
    for _ in range(4):
        (repository.path / "noise").write_bytes(os.urandom(90_000))
        repository.commit()
        found = await trusting_fetch(at(server), template_bytes=100_000)
        assert found.revision == repository.git("rev-parse", "HEAD")
    path = mirror_path(at(server), store.home)
    assert path is not None
    assert sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) < 800_000
    for _ in range(8):
        (repository.path / "noise").write_bytes(os.urandom(90_000))
        repository.commit()
        found = await trusting_fetch(at(server), template_bytes=100_000)
        assert found.revision == repository.git("rev-parse", "HEAD")
        sizes = [file.stat().st_size for file in path.rglob("*") if file.is_file()]
        assert sum(sizes) < 900_000


def environment(server: Server) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "SSL_CERT_FILE": str(server.certificate), "HOME": "/nonexistent"}


def start(server: Server, home: Path, revision: str, event: str = "", number: int = 0) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", FETCHES, str(home), at(server).address, revision, event, str(number)]
    return subprocess.Popen(command, env=environment(server), stdout=subprocess.PIPE, text=True)


def finish(child: subprocess.Popen[str]) -> str:
    return child.communicate(timeout=SECONDS)[0].strip()


@pytest.mark.parametrize("event", ["subprocess.Popen", "os.link", "os.rename", "os.mkdir", "open"])
async def test_whenever_a_fetch_is_killed_the_next_one_works(
    *, server: Server, big: Repository, settings: Settings, tmp_path: Path, event: str
) -> None:
    home, killed = tmp_path / "killed", 0
    step = 7 if event == "open" else 1
    for number in range(1, 200, step):
        big.write("number", f"{event} {number}")
        head = big.commit()
        child = start(server, home, "", event, number)
        await anyio.to_thread.run_sync(finish, child)
        if child.returncode == -signal.SIGKILL:
            killed += 1
        else:
            assert child.returncode == 0, event
        async with open_store(home, lock_seconds=SECONDS) as store:
            found = await sources.fetch(
                at(server),
                store=store,
                settings=msgspec.structs.replace(
                    settings, home=home, passed={"SSL_CERT_FILE": str(server.certificate)}
                ),
                progress=Progress(("fetch",), _ignore),
            )
            assert found.revision == head
            assert (found.path / "big").read_bytes() == (big.path / "big").read_bytes()
            mirror = await mirror_of(at(server), store, settings)
            assert mirror is not None
            assert head in mirror.known.commits
            assert [path.name for path in (home / "scratch").iterdir()] == [store.scratch.name]
        if child.returncode == 0:
            break
        if number >= 12 * step:
            break
    assert killed >= 2


async def _ignore(step: Step) -> None:
    pass


async def test_processes_that_fetch_at_once_leave_one_mirror_with_all_that_came(
    trusting_fetch: Fetch, server: Server, big: Repository, store: Store
) -> None:
    heads = {}
    for number in range(4):
        big.write("number", str(number))
        heads[f"v{number}"] = big.commit()
        big.git("tag", f"v{number}")
    children = [start(server, store.home, tag) for tag in heads]
    said = [await anyio.to_thread.run_sync(finish, child) for child in children]
    assert said == list(heads.values())
    assert known(store, at(server)).names == heads
    for tag, head in heads.items():
        assert (await trusting_fetch(at(server, tag), offline=True)).revision == head
