"""How is an archive unpacked? Real archives of every kind, and ones that lie, grow, lead elsewhere or are cut off."""

from __future__ import annotations

import errno
import gzip
import hashlib
import io
import os
import stat
import struct
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import anyio
import msgspec
import pytest

from dynamo_mcp.errors import DynamoError, FetchFailed, InvalidLocation, InvalidTemplate, PasswordNeeded, StorageFailed
from dynamo_mcp.progress import Step
from dynamo_mcp.settings import Settings
from dynamo_mcp.sources import default_name, parse
from dynamo_mcp.store import Store
from dynamo_mcp.types import Location
from sources.repositories import Fetch, Repository

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

pytestmark = pytest.mark.anyio

README = "{{cookiecutter.slug}}/README.md"
FILES = {"cookiecutter.json": '{"slug": "x"}', README: "# {{cookiecutter.slug}}\n", "hooks/run": "#!/bin/sh\n"}


def tarred(path: Path, mode: str, *, top: str = "template-1.0/") -> Path:
    with tarfile.open(path, mode) as made:  # type: ignore[call-overload]  # any of the modes
        for name, text in FILES.items():
            info = tarfile.TarInfo(top + name)
            info.size = len(text)
            info.mode = 0o755 if name == "hooks/run" else 0o640
            made.addfile(info, io.BytesIO(text.encode()))
        link = tarfile.TarInfo(top + "link")
        link.type, link.linkname = tarfile.SYMTYPE, README
        made.addfile(link)
        hard = tarfile.TarInfo(top + "again")
        hard.type, hard.linkname, hard.mode = tarfile.LNKTYPE, top + "hooks/run", 0o755
        made.addfile(hard)
    return path


def zstandard(path: Path, _mode: str) -> Path:
    path.write_bytes(zstd.compress(tarred(path.with_suffix(".plain"), "w").read_bytes()))
    return path


def zipped(path: Path, _mode: str) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for name, text in {**FILES, "again": FILES["hooks/run"]}.items():
            info = zipfile.ZipInfo(f"template-1.0/{name}")
            info.external_attr = (stat.S_IFREG | (0o755 if text.startswith("#!") else 0o640)) << 16
            made.writestr(info, text)
        link = zipfile.ZipInfo("template-1.0/link")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        made.writestr(link, README)
        made.writestr("__MACOSX/template-1.0/._cookiecutter.json", "of a Finder")
    return path


KINDS: dict[str, tuple[Callable[[Path, str], Path], str]] = {
    "zip": (zipped, ""),
    "tar": (tarred, "w"),
    "tar.gz": (tarred, "w:gz"),
    "tgz": (tarred, "w:gz"),
    "tar.bz2": (tarred, "w:bz2"),
    "tar.xz": (tarred, "w:xz"),
    "tar.zst": (zstandard, ""),
}


def at(path: Path, directory: str | None = None) -> Location:
    return Location("archive", str(path), directory=directory)


@pytest.mark.parametrize("ending", KINDS)
async def test_every_kind_is_unpacked_without_the_folder_around_it(
    ending: str, fetch: Fetch, tmp_path: Path, store: Store, steps: list[Step]
) -> None:
    make, mode = KINDS[ending]
    archive = make(tmp_path / f"a.{ending}", mode)
    checkout = await fetch(at(archive))
    assert checkout.revision == hashlib.sha256(archive.read_bytes()).hexdigest()
    assert checkout.path == store.home / "checkouts" / checkout.digest[:32]
    assert {str(path.relative_to(checkout.path)) for path in checkout.path.rglob("*") if not path.is_dir()} == {
        *FILES,
        "link",
        "again",
    }
    assert (checkout.path / README).read_text() == FILES[README]
    assert stat.S_IMODE((checkout.path / README).stat().st_mode) == 0o640
    assert stat.S_IMODE((checkout.path / "hooks/run").stat().st_mode) == 0o755
    assert (checkout.path / "again").read_text() == FILES["hooks/run"]
    assert (checkout.path / "link").readlink() == Path(README)
    assert [step.message for step in steps] == [f"copying `{archive}`", "unpacking"]


async def test_every_kind_of_the_same_is_the_same_checkout(fetch: Fetch, tmp_path: Path) -> None:
    found = {
        ending: (await fetch(at(make(tmp_path / f"b.{ending}", mode)))).digest for ending, (make, mode) in KINDS.items()
    }
    assert len(set(found.values())) == 1, found


async def test_what_git_and_tar_and_zip_make_is_what_the_repository_holds(
    fetch: Fetch, repository: Repository, tmp_path: Path
) -> None:
    wanted = (await fetch(Location("git", repository.url))).digest
    for ending in ("zip", "tar", "tar.gz"):
        repository.git("archive", "--prefix=template-main/", "-o", str(tmp_path / f"git.{ending}"), "HEAD")
        assert (await fetch(at(tmp_path / f"git.{ending}"))).digest == wanted, ending
    await anyio.run_process(
        ["tar", "-cJf", str(tmp_path / "gnu.tar.xz"), "--exclude-vcs", "-C", str(repository.path.parent), "template"],
    )
    assert (await fetch(at(tmp_path / "gnu.tar.xz"))).digest == wanted


async def test_an_archive_without_a_folder_around_it_is_unpacked_as_it_is(fetch: Fetch, tmp_path: Path) -> None:
    plain = await fetch(at(tarred(tmp_path / "plain.tar", "w", top="./")))
    assert plain.digest == (await fetch(at(tarred(tmp_path / "top.tar", "w")))).digest


async def test_a_folder_in_an_archive_can_be_the_template(fetch: Fetch, tmp_path: Path) -> None:
    archive = tarred(tmp_path / "a.tar", "w", top="all/one/")
    (tmp_path / "x").write_text("x")
    with tarfile.open(archive, "a") as more:
        more.add(tmp_path / "x", "all/x")
    checkout = await fetch(at(archive, "one"))
    assert (checkout.path / "one" / "cookiecutter.json").is_file()
    with pytest.raises(InvalidLocation, match="no folder `two`") as raised:
        await fetch(at(archive, "two"))
    assert "`one`" in raised.value.hint


def entries(path: Path, *made: tuple[str, bytes | None, str]) -> Path:
    """Make a tar archive of names, types (a file where None) and targets."""
    with tarfile.open(path, "w") as archive:
        for name, kind, target in made:
            info = tarfile.TarInfo(name)
            info.linkname = target
            if kind is None:
                info.size = 1
                archive.addfile(info, io.BytesIO(b"x"))
            else:
                info.type = kind
                archive.addfile(info)
    return path


HOSTILE: dict[str, tuple[list[tuple[str, bytes | None, str]], str]] = {
    "a path upwards": ([("a/../../x", None, "")], "not a path inside"),
    "an absolute path": ([("/etc/x", None, ""), ("y", None, "")], "not a path inside"),
    "a link out": ([("link", tarfile.SYMTYPE, "../../etc/passwd"), ("y", None, "")], "leaves the template's tree"),
    "an absolute link": ([("link", tarfile.SYMTYPE, "/etc/passwd"), ("y", None, "")], "leaves the template's tree"),
    "a file through a link": (
        [("link", tarfile.SYMTYPE, "."), ("link/x", None, ""), ("y", None, "")],
        "lies in `link`, which is no folder",
    ),
    "a file through a file": ([("f", None, ""), ("f/x", None, ""), ("y", None, "")], "lies in `f`"),
    "a link in the place of a folder": (
        [("d/x", None, ""), ("d", tarfile.SYMTYPE, "."), ("y", None, "")],
        "`d` is in it twice",
    ),
    "two of a name": ([("x", None, ""), ("./x", None, ""), ("y", None, "")], "`x` is in it twice"),
    "a device": ([("x", tarfile.CHRTYPE, ""), ("y", None, "")], "is a device"),
    "a pipe": ([("x", tarfile.FIFOTYPE, ""), ("y", None, "")], "is a device, a pipe"),
    "a hard link to nothing": ([("x", tarfile.LNKTYPE, "/etc/passwd"), ("y", None, "")], "a link to nothing"),
    "a name that steers a terminal": ([("a\x1b[31m", None, ""), ("y", None, "")], "control character"),
    "what would pass for git's": ([("d/.GIT/config", None, ""), ("y", None, "")], "would pass for"),
    "very deep": ([("d/" * 65 + "x", None, ""), ("y", None, "")], "folders deep"),
}


@pytest.mark.parametrize("what", HOSTILE)
async def test_what_could_harm_is_refused_before_anything_is_written(
    what: str, fetch: Fetch, store: Store, tmp_path: Path
) -> None:
    made, said = HOSTILE[what]
    archive = entries(tmp_path / "a.tar", *made)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InvalidTemplate, match=said):
        await fetch(at(archive))
    assert sorted(tmp_path.rglob("*")) == before
    assert list(store.scratch.iterdir()) == []


async def test_history_and_bytecode_are_left_out_as_of_a_folder(fetch: Fetch, tmp_path: Path) -> None:
    with tarfile.open(tarred(tmp_path / "a.tar", "w"), "a") as more:
        for name in (".git/config", "hooks/__pycache__/x.pyc", "{{cookiecutter.slug}}/.git/config"):
            more.addfile(tarfile.TarInfo(f"template-1.0/{name}"))
    checkout = await fetch(at(tmp_path / "a.tar"))
    assert not list(checkout.path.rglob(".git"))
    assert not list(checkout.path.rglob("__pycache__"))
    assert checkout.left_out == (
        "{{cookiecutter.slug}}/.git/config: a repository's own `.git` is no part of a template",
    )


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
async def test_a_zip_whose_pieces_have_no_bound_is_refused(method: int, fetch: Fetch, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", method) as made:
        made.writestr("cookiecutter.json", FILES["cookiecutter.json"])
    with pytest.raises(FetchFailed, match=f"method {method} of zip") as caught:
        await fetch(at(tmp_path / "a.zip"))
    assert "deflate" in str(caught.value.hint)


async def test_nobody_else_may_write_into_what_is_unpacked(fetch: Fetch, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as made:
        info = tarfile.TarInfo("cookiecutter.json")
        info.size, info.mode = len(FILES["cookiecutter.json"]), 0o666
        made.addfile(info, io.BytesIO(FILES["cookiecutter.json"].encode()))
    checkout = await fetch(at(tmp_path / "a.tar"))
    assert stat.S_IMODE((checkout.path / "cookiecutter.json").stat().st_mode) == 0o644


@pytest.mark.parametrize(("kind", "headers", "records"), [(b"x", 1, 2000), (b"g", 1, 2000), (b"x", 20, 900)])
async def test_what_a_tar_says_of_one_entry_is_bounded(
    kind: bytes, headers: int, records: int, fetch: Fetch, tmp_path: Path
) -> None:
    said = b"".join(b"106 %06d=%s\n" % (number, b"x" * 94) for number in range(records))
    with tarfile.open(tmp_path / "a.tar", "w") as made:
        for _ in range(headers):
            header = tarfile.TarInfo("header")
            header.type, header.size = kind, len(said)
            made.addfile(header, io.BytesIO(said))
        for name, text in FILES.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            made.addfile(info, io.BytesIO(text.encode()))
    with pytest.raises(FetchFailed, match="a header says"):
        await fetch(at(tmp_path / "a.tar"))


async def test_set_uid_bits_are_dropped_and_told(fetch: Fetch, tmp_path: Path) -> None:
    with tarfile.open(tarred(tmp_path / "a.tar", "w"), "a") as more:
        info = tarfile.TarInfo("template-1.0/{{cookiecutter.slug}}/tool")
        info.mode = 0o6755
        more.addfile(info)
    checkout = await fetch(at(tmp_path / "a.tar"))
    assert stat.S_IMODE((checkout.path / "{{cookiecutter.slug}}" / "tool").stat().st_mode) == 0o755
    assert "set-uid" in checkout.left_out[0]


@pytest.mark.parametrize("ending", KINDS)
async def test_an_archive_that_is_cut_off_or_damaged_is_told_so(ending: str, fetch: Fetch, tmp_path: Path) -> None:
    make, mode = KINDS[ending]
    archive = make(tmp_path / f"a.{ending}", mode)
    whole = archive.read_bytes()
    for left in (len(whole.rstrip(b"\0")) // 2, 20, 4, 0):  # a plain tar archive ends in zeros, which may be fewer
        archive.write_bytes(whole[:left])
        with pytest.raises(FetchFailed, match="is damaged, or no archive"):
            await fetch(at(archive))
    if ending != "tar":  # nothing of a plain one tells that a byte of a file changed
        middle = len(whole) // 3
        archive.write_bytes(
            whole[:middle] + bytes(byte ^ 0xFF for byte in whole[middle : middle + 40]) + whole[middle + 40 :]
        )
        with pytest.raises(DynamoError):
            await fetch(at(archive))
    archive.write_bytes(b"<html>Sign in</html>" * 100)
    with pytest.raises(FetchFailed, match="is damaged, or no archive"):
        await fetch(at(archive))


def bomb_of_zeros(path: Path) -> None:
    with gzip.open(path, "wb") as file:
        info = tarfile.TarInfo("zeros")
        info.size = 64 << 20
        file.write(info.tobuf())
        for _ in range(64):
            file.write(bytes(1 << 20))


def bomb_of_a_header(path: Path) -> None:
    """A tar archive may say that a name is as long as it likes."""
    info = tarfile.TarInfo("././@PaxHeader")
    info.type, info.size = tarfile.XHDTYPE, 6 << 20
    with gzip.open(path, "wb") as file:
        file.write(info.tobuf(tarfile.USTAR_FORMAT) + b"7 a=bbb"[:0] + bytes(6 << 20))


def bomb_of_names(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as made:
        for number in range(300):
            made.writestr(f"d/{number}", "")


def bomb_of_members(path: Path) -> None:
    with tarfile.open(path, "w:gz") as made:
        for number in range(300):
            made.addfile(tarfile.TarInfo(f"d/{number}"))


def bomb_that_overlaps(path: Path) -> None:
    """Every name of the zip's list leads to the same bytes."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = packer.compress(bytes(1 << 20)) + packer.flush()
    crc = zlib.crc32(bytes(1 << 20))
    common = struct.pack("<HHHHHIIIHH", 20, 0, 8, 0, 33, crc, len(body), 1 << 20, 1, 0)
    local = b"PK\x03\x04" + common + b"a" + body
    listed = b"".join(
        b"PK\x01\x02" + struct.pack("<H", 20) + common + struct.pack("<HHHII", 0, 0, 0, 0, 0) + bytes([97 + number])
        for number in range(9)
    )
    end = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 9, 9, len(listed), len(local), 0)
    path.write_bytes(local + listed + end)


@pytest.mark.parametrize(
    ("bomb", "ending", "said"),
    [
        (bomb_of_zeros, "tar.gz", "grows more than 250 times"),
        (bomb_of_a_header, "tar.gz", "longer than any"),
        (bomb_of_names, "zip", "more than 200 files"),
        (bomb_of_members, "tar.gz", "more than 200 files"),
        (bomb_that_overlaps, "zip", "grows more than|damaged"),
    ],
)
async def test_what_grows_is_stopped(
    bomb: Callable[[Path], None], ending: str, said: str, fetch: Fetch, tmp_path: Path
) -> None:
    bomb(tmp_path / f"a.{ending}")
    with pytest.raises((InvalidTemplate, FetchFailed), match=said):
        await fetch(at(tmp_path / f"a.{ending}"), template_files=200)


@pytest.mark.parametrize("ending", ["zip", "tar.gz"])
async def test_an_archive_of_too_many_bytes_is_refused(ending: str, fetch: Fetch, tmp_path: Path) -> None:
    make, mode = KINDS[ending]
    archive = make(tmp_path / f"a.{ending}", mode)
    assert (await fetch(at(archive), template_bytes=2000)).digest
    with pytest.raises(InvalidTemplate, match="more than 30 bytes"):
        await fetch(at(archive), template_bytes=30)


def encrypted(path: Path, password: str) -> Path:
    """Encrypt a zip's files in the traditional way (APPNOTE.TXT, 6.1), which the standard library only reads."""

    def step(keys: list[int], byte: int) -> None:
        keys[0] = zlib.crc32(bytes([byte]), keys[0] ^ 0xFFFFFFFF) ^ 0xFFFFFFFF
        keys[1] = ((keys[1] + (keys[0] & 0xFF)) * 134775813 + 1) & 0xFFFFFFFF
        keys[2] = zlib.crc32(bytes([keys[1] >> 24]), keys[2] ^ 0xFFFFFFFF) ^ 0xFFFFFFFF

    def encrypt(data: bytes) -> bytes:
        keys = [0x12345678, 0x23456789, 0x34567890]
        for byte in password.encode():
            step(keys, byte)
        out = bytearray()
        for byte in data:
            salt = keys[2] | 2
            out.append(byte ^ ((salt * (salt ^ 1) >> 8) & 0xFF))
            step(keys, byte)
        return bytes(out)

    bodies, listed = b"", b""
    for name, text in FILES.items():
        crc = zlib.crc32(text.encode())
        body = encrypt(bytes(11) + bytes([crc >> 24]) + text.encode())
        common = struct.pack("<HHHHHIIIHH", 20, 1, 0, 0, 33, crc, len(body), len(text), len(name), 0)
        listed += (
            b"PK\x01\x02"
            + struct.pack("<H", 20)
            + common
            + struct.pack("<HHHII", 0, 0, 0, 0, len(bodies))
            + name.encode()
        )
        bodies += b"PK\x03\x04" + common + name.encode() + body
    count = len(FILES)
    end = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, count, count, len(listed), len(bodies), 0)
    path.write_bytes(bodies + listed + end)
    return path


async def test_an_encrypted_archive_needs_its_password_which_is_kept_nowhere(
    fetch: Fetch, store: Store, tmp_path: Path
) -> None:
    archive = encrypted(tmp_path / "a.zip", "swordfish")
    with pytest.raises(PasswordNeeded, match="is encrypted") as raised:
        await fetch(at(archive))
    assert "DYNAMO_MCP_ARCHIVE_PASSWORD" in raised.value.hint
    with pytest.raises(PasswordNeeded, match="not that of"):
        await fetch(at(archive), archive_password="wrong")  # noqa: S106 - a test's
    checkout = await fetch(at(archive), archive_password="swordfish")  # noqa: S106 - likewise
    assert (checkout.path / README).read_text() == FILES[README]
    assert not any(b"swordfish" in path.read_bytes() for path in store.home.rglob("*") if path.is_file())


async def test_a_file_that_became_a_link_or_a_pipe_is_not_read(fetch: Fetch, tmp_path: Path) -> None:
    real = tarred(tmp_path / "real.tar", "w")
    (tmp_path / "a.tar").symlink_to(real)
    with pytest.raises(FetchFailed, match="Can't read"):
        await fetch(at(tmp_path / "a.tar"))


async def test_an_archive_that_is_gone_is_told_with_what_to_do(fetch: Fetch, tmp_path: Path) -> None:
    with pytest.raises(FetchFailed, match=r"Can't read .*No such file") as raised:
        await fetch(at(tmp_path / "gone.tar"))
    assert "put it back" in raised.value.hint
    assert "disk" not in raised.value.hint


async def test_a_disk_that_is_full_is_not_told_as_the_archive_s_fault(
    fetch: Fetch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tarred(tmp_path / "a.tar", "w")
    opened = Path.open

    def full(path: Path, mode: str = "r") -> object:
        if mode == "xb":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return opened(path, mode)

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(StorageFailed, match="No space left") as raised:
        await fetch(at(archive))
    assert "free some space" in raised.value.hint


async def test_a_path_that_leads_elsewhere_is_named_once(fetch: Fetch, tmp_path: Path) -> None:
    with pytest.raises(InvalidTemplate) as raised:
        await fetch(at(entries(tmp_path / "a.tar", ("/etc/x", None, ""), ("y", None, ""))))
    assert raised.value.message == f"`{tmp_path / 'a.tar'}` can't be used: `/etc/x` is not a path inside the tree"


@pytest.mark.parametrize("ending", [*KINDS, "ZIP", "tbz2", "txz"])
def test_an_archive_is_known_by_its_name(ending: str, settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / f"cookiecutter-thing.{ending}"
    path.write_bytes(b"")
    assert parse(str(path), settings=settings, directory="d") == at(path, "d")
    assert parse(f"https://host.example/x/thing.{ending}", settings=settings).kind == "archive"
    assert default_name(at(path)) == "thing"
    agent = msgspec.structs.replace(settings, person=False)
    with pytest.raises(InvalidLocation, match="lies outside"):
        parse(str(path), settings=agent)
    allowed = msgspec.structs.replace(agent, source_roots=(tmp_path,))
    assert parse(str(path), settings=allowed).kind == "archive"
    for more, said in ({"revision": "v1"}, "has no revision `v1`"), ({"live": True}, "is an archive, which can't"):
        with pytest.raises(InvalidLocation, match=said):
            parse(str(path), settings=settings, **more)


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("https://github.com/o/cookiecutter-thing/archive/refs/tags/v1.2.0.zip", "thing"),
        ("https://gitlab.example/a/b/thing/-/archive/main/thing-main.tar.gz", "thing"),
        ("https://host.example/thing-1.0.tar.gz", "thing-1.0"),
        ("https://host.example/files/thing.tgz", "thing"),
    ],
)
def test_the_name_is_that_of_what_it_was_made_of(address: str, name: str) -> None:
    assert default_name(Location("archive", address)) == name


async def test_a_path_that_names_an_archive_and_is_none_is_told(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(InvalidLocation, match="is not there"):
        parse(str(tmp_path / "a.zip"), settings=settings)
    os.mkfifo(tmp_path / "pipe.zip")
    with pytest.raises(InvalidLocation, match="is neither a folder nor a file"):
        parse(str(tmp_path / "pipe.zip"), settings=settings)
    (tmp_path / "a.7z").write_bytes(b"7z")
    with pytest.raises(InvalidLocation, match="is a file, not a folder") as raised:
        parse(str(tmp_path / "a.7z"), settings=settings)
    assert "zip; tar" in raised.value.hint
    (tmp_path / "folder.zip").mkdir()
    assert parse(str(tmp_path / "folder.zip"), settings=settings).kind == "local"


async def test_an_unpacking_that_is_cancelled_leaves_nothing(
    fetch: Fetch, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cancelled() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("anyio.from_thread.check_cancelled", cancelled)
    with pytest.raises(KeyboardInterrupt):
        await fetch(at(tarred(tmp_path / "a.tar", "w")))
    assert list(store.scratch.iterdir()) == []
