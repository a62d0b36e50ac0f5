"""What is in an archive? Its entries, whatever its kind, listed before any content is read.

What an archive says of itself is believed within bounds only: how many entries it has, how much it grows when it is
decompressed, how long a header is.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import stat
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Protocol, TypeAlias

import anyio.from_thread
import msgspec

from dynamo_mcp.errors import FetchFailed, InvalidTemplate, PasswordNeeded
from dynamo_mcp.settings import Settings
from dynamo_mcp.sources.tree import TARGET_BYTES, Entry, too_big, too_many
from dynamo_mcp.sources.wording import shown

PASSWORD = "set `DYNAMO_MCP_ARCHIVE_PASSWORD` to its password; `add` and `update` of one ask for it in a terminal"  # noqa: S105
_CHUNK = 1 << 20
_LONGEST_HEADER = 1 << 20
"""Bytes that a tar archive may say of one entry, in however many headers: tarfile keeps them all meanwhile."""
_MOST_RECORDS = 1000
"""Of PAX that one entry may have, with those of all entries, which tarfile copies for each."""
_RATIO = 250
_FREE_BYTES = 8 << 20
"""Bytes that may come of anything: what is all zeros shrinks a thousandfold, and a template may hold a little of it."""
_BLOCK = 512
_HEADERS = 3
"""Blocks that a tar archive takes for an entry besides its content, most of the time."""
_ZIP_ENTRY = b"PK\x01\x02"
_BOUNDED_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
"""Methods that zipfile unpacks in pieces; of the others one piece, of a few bytes, may become gigabytes in memory."""
_ENCRYPTED = 0x1
_UNIX = 3


class Readable(Protocol):
    """What is read in pieces."""

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes; none at the end."""


Open: TypeAlias = Callable[[], IO[bytes]]


class Member(msgspec.Struct, frozen=True):
    """One entry of an archive.

    Attributes:
        entry: What it is, by the path that it has in the tree.
        mode: Its mode bits; None where the archive tells none.
        source: Opens its content, of a file.
    """

    entry: Entry
    mode: int | None
    source: Open | None = None


class _Archive(Protocol):
    def members(self) -> Iterator[Member]: ...


@contextmanager
def opened(archive: Path, where: str, settings: Settings) -> Iterator[Iterator[Member]]:
    """Open an archive; yields its entries, whose content can be read as long as the caller stays in the context.

    Args:
        archive: The file, which nobody else changes; beside it there is room for what it decompresses to.
        where: The location as messages name it.
        settings: Limits, and the password.

    Raises:
        InvalidTemplate: It is too big, has too many entries, or grows too much.
        PasswordNeeded: It is encrypted.
        FetchFailed: It is damaged or cut off, or of no kind that is known.
    """
    with _words(where), _opened(archive, where, settings) as found:
        yield _bounded(found.members(), where, settings)


def _bounded(members: Iterator[Member], where: str, settings: Settings) -> Iterator[Member]:
    for number, member in enumerate(members):
        anyio.from_thread.check_cancelled()
        if number >= settings.template_files:
            raise too_many(where, settings)
        yield member


@contextmanager
def _opened(archive: Path, where: str, settings: Settings) -> Iterator[_Archive]:
    with archive.open("rb") as file:
        head = file.read(6)
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        _check_entries(archive, where, settings)
        with zipfile.ZipFile(archive) as found:
            yield _Zip(found, where, settings.archive_password)
        return
    plain = archive.with_name(archive.name + ".tar")
    try:
        with _decompressing(archive, head) as reader:
            _decompress(reader, plain, where, settings, archive.stat().st_size)
        with _Bounded(io.FileIO(plain)) as file, tarfile.open(fileobj=file, mode="r:", errorlevel=2) as found:
            yield _Tar(found, file, where)
    finally:
        with suppress(FileNotFoundError):
            plain.unlink()


def _check_entries(archive: Path, where: str, settings: Settings) -> None:
    """Refuse a zip of too many entries before zipfile reads them all into memory."""
    count, kept = 0, b""
    with archive.open("rb") as file:
        while chunk := file.read(_CHUNK):
            count += (kept + chunk).count(_ZIP_ENTRY)
            kept = chunk[-len(_ZIP_ENTRY) + 1 :]
            if count > settings.template_files:
                raise too_many(where, settings)


@contextmanager
def _decompressing(archive: Path, head: bytes) -> Iterator[Readable]:
    if head.startswith(b"\x1f\x8b"):
        with gzip.open(archive) as reader:
            yield reader
    elif head.startswith(b"BZh"):
        with bz2.open(archive) as reader:
            yield reader
    elif head.startswith(b"\xfd7zXZ\x00"):
        with lzma.open(archive) as reader:
            yield reader
    elif head.startswith(b"\x28\xb5\x2f\xfd"):
        with _zstandard(archive) as reader:
            yield reader
    else:
        with archive.open("rb") as reader:
            yield reader


@contextmanager
def _zstandard(archive: Path) -> Iterator[Readable]:
    """Open what zstd compressed; the standard library can from Python 3.14 on."""
    if sys.version_info >= (3, 14):
        from compression import zstd  # noqa: PLC0415 - hardly any archive needs it
    else:
        from backports import zstd  # noqa: PLC0415 - likewise
    try:
        with zstd.open(archive) as reader:
            yield reader
    except zstd.ZstdError as error:
        raise EOFError(str(error)) from error


def _decompress(reader: Readable, plain: Path, where: str, settings: Settings, size: int) -> None:
    """Decompress into a file that tarfile can go about in, with bounds that need no trust in what is read."""
    most = settings.template_bytes + _HEADERS * _BLOCK * settings.template_files
    written = 0
    with plain.open("xb") as file:
        while chunk := reader.read(_CHUNK):
            anyio.from_thread.check_cancelled()
            written += len(chunk)
            if written > most:
                raise too_big(where, settings)
            if written > _FREE_BYTES and written > size * _RATIO:
                raise _grows(where)
            file.write(chunk)


def _grows(where: str) -> InvalidTemplate:
    return InvalidTemplate(
        f"`{where}` grows more than {_RATIO} times when it is unpacked",
        hint="no template does; unpack it yourself and give the folder's path, if you know what it is",
    )


class _Bounded(io.BufferedReader):
    """A file of which nobody reads much at once, whatever an archive says of the length of a header."""

    left: int | None = _LONGEST_HEADER
    """Bytes that may still be read of headers; None while content is."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or not 0 <= size <= (_LONGEST_HEADER if self.left is None else self.left):
            raise tarfile.ReadError("a header says that it is longer than any is")
        if self.left is not None:
            self.left -= size
        return super().read(size)


class _Tar:
    def __init__(self, opened: tarfile.TarFile, file: _Bounded, where: str) -> None:
        self._opened = opened
        self._file = file
        self._where = where

    def members(self) -> Iterator[Member]:
        files: dict[str, tarfile.TarInfo] = {}
        while (info := self._next()) is not None:
            path = _bare(info.name)
            mode = info.mode
            if info.issym():
                yield Member(Entry(path, "link", target=info.linkname), None)
            elif info.isdir():
                yield Member(Entry(path, "directory"), mode)
            elif info.islnk() and (first := files.get(_bare(info.linkname))) is not None:
                yield Member(Entry(path, "file", first.size), mode, self._source(first))
            elif info.isreg() and info.size >= 0:
                files[path] = info
                yield Member(Entry(path, "file", info.size), mode, self._source(info))
            else:
                raise InvalidTemplate(
                    f"`{self._where}` can't be used: {shown(path)} is a device, a pipe or a link to nothing",
                    hint="ask the template's author to remove it",
                )
        self._check_end()

    def _next(self) -> tarfile.TarInfo | None:
        self._file.left = _LONGEST_HEADER
        info = self._opened.next()
        self._file.left = None
        if info is not None:
            if max(len(info.pax_headers), len(self._opened.pax_headers)) > _MOST_RECORDS:
                raise tarfile.ReadError("a header says more than any does")
            info.pax_headers = {}  # tarfile would keep them of every entry
        return info

    def _source(self, info: tarfile.TarInfo) -> Open:
        def source() -> IO[bytes]:
            opened = self._opened.extractfile(info)
            if opened is None:
                raise tarfile.ReadError(info.name)
            return opened

        return source

    def _check_end(self) -> None:
        """Refuse what is cut off or goes on with nonsense: tarfile takes either for the end."""
        self._file.seek(self._opened.offset)
        rest = self._file.read(_BLOCK)
        if rest != bytes(_BLOCK):
            raise tarfile.ReadError("it does not end as a tar archive does")


class _Zip:
    def __init__(self, opened: zipfile.ZipFile, where: str, password: str | None) -> None:
        self._opened = opened
        self._where = where
        self._password = password.encode() if password else None

    def members(self) -> Iterator[Member]:
        packed = sum(info.compress_size for info in self._opened.infolist())
        size = sum(info.file_size for info in self._opened.infolist())
        if size > _FREE_BYTES and size > packed * _RATIO:
            raise _grows(self._where)
        for info in self._opened.infolist():
            if info.compress_type not in _BOUNDED_METHODS:
                raise NotImplementedError(f"method {info.compress_type} of zip")
            if "\0" in info.orig_filename:
                raise zipfile.BadZipFile("a name has a NUL")
            mode = info.external_attr >> 16 if info.create_system == _UNIX else 0
            path = _bare(info.filename)
            kind = stat.S_IFMT(mode)
            if info.is_dir():
                yield Member(Entry(path, "directory"), mode or None)
            elif kind == stat.S_IFLNK:
                yield Member(Entry(path, "link", target=self._target(info)), None)
            elif kind in {0, stat.S_IFREG}:
                yield Member(Entry(path, "file", info.file_size), mode or None, self._source(info))
            else:
                raise InvalidTemplate(
                    f"`{self._where}` can't be used: {shown(path)} is a device, a pipe or a socket",
                    hint="ask the template's author to remove it",
                )

    def _target(self, info: zipfile.ZipInfo) -> str:
        if info.file_size > TARGET_BYTES:
            return ""  # which no link may have, and the lint says so
        with self._source(info)() as reader:
            return os.fsdecode(reader.read(TARGET_BYTES + 1))

    def _source(self, info: zipfile.ZipInfo) -> Open:
        def source() -> IO[bytes]:
            if not info.flag_bits & _ENCRYPTED:
                return self._opened.open(info)
            if self._password is None:
                raise PasswordNeeded(f"`{self._where}` is encrypted", hint=PASSWORD)
            try:
                return self._opened.open(info, pwd=self._password)
            except RuntimeError as error:
                raise PasswordNeeded(f"The password is not that of `{self._where}`", hint=PASSWORD) from error

        return source


def _bare(path: str) -> str:
    """Return a path as a tree's are written: `./a//b/` is `a/b`; what leads elsewhere stays for the lint to refuse."""
    rooted = "/" if path.startswith("/") else ""
    return rooted + "/".join(part for part in path.split("/") if part not in {"", "."})


@contextmanager
def _words(where: str) -> Iterator[None]:
    damaged = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, UnicodeError, ValueError)
    try:
        yield
    except NotImplementedError as error:  # zipfile, of a method or an encryption that it does not know
        raise FetchFailed(
            f"`{where}` is packed in a way that is not known here: {error}",
            hint="pack it with the methods that every program knows (deflate; for a password, ZipCrypto), "
            "or unpack it yourself and give the folder's path",
        ) from error
    except (*damaged, gzip.BadGzipFile, OverflowError, RuntimeError, MemoryError) as error:
        raise _damaged(where, error) from error
    except OSError as error:
        if error.errno is None:  # bz2 and zstd say so of damage
            raise _damaged(where, error) from error
        raise FetchFailed(
            f"Can't unpack `{where}`: {error.strerror or error}", hint="see that the disk of the home has room"
        ) from error


def _damaged(where: str, error: Exception) -> FetchFailed:
    return FetchFailed(
        f"`{where}` is damaged, or no archive that is known: {shown(str(error))}",
        hint="give a zip or a tar archive (also gz, bz2, xz, zst), whole; fetch it again if it was cut off",
    )
