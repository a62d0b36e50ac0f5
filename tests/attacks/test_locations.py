"""What an agent that was talked into something may name: it is refused before anything runs or is asked."""

from __future__ import annotations

import io
import socket
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from dynamo_mcp.errors import DynamoError
from homes import Home, write_template

pytestmark = pytest.mark.anyio

STARTS = frozenset({"subprocess.Popen", "os.fork", "os.exec", "os.posix_spawn", "os.system"})
ASKS = frozenset({"socket.connect", "socket.getaddrinfo", "socket.sendto"})
"""Python's own audit events (PEP 578)."""

LOCATIONS: dict[str, dict[str, Any]] = {
    "an option of git (CVE-2018-17456)": {"url": "--upload-pack=touch <<canary>>"},
    "an option of ssh as a host (CVE-2017-1000117)": {"url": "ssh://-oProxyCommand=touch%20<<canary>>/r"},
    "an option of ssh in the short form": {"url": "git@-oProxyCommand=touch:r"},
    "a program that git runs (git-remote-ext)": {"url": "ext::sh -c touch% <<canary>>"},
    "a program of git's by a scheme": {"url": "ext://sh -c touch% <<canary>>"},
    "an option of Mercurial (CVE-2022-24065)": {"url": "hg+https://host/--config=alias.clone=!touch <<canary>>"},
    "a version control system nobody asked for": {"url": "hg+file://<<outside>>"},
    "a scheme without encryption": {"url": "http://127.0.0.1:<<port>>/o/r"},
    "git's own protocol": {"url": "git://127.0.0.1:<<port>>/o/r"},
    "another protocol": {"url": "ftp://127.0.0.1:<<port>>/o/r"},
    "a host hidden by a user": {"url": "https://github.com@127.0.0.1:<<port>>/o/r"},
    "a host hidden by a backslash": {"url": "https://127.0.0.1:<<port>>\\@github.com/o/r"},
    "a host hidden by a line's end, which URL parsers drop": {"url": "https://github.com\n.evil/o/r"},
    "a host cut off by a zero": {"url": "https://127.0.0.1\0.github.com/o/r"},
    "a folder of the machine": {"url": "<<outside>>"},
    "a folder of the machine by a URL": {"url": "file://<<outside>>"},
    "a folder by way of the allowed one": {"url": "<<inside>>/../../outside"},
    "a folder by a link in the allowed one": {"url": "<<inside>>/way-out"},
    "an archive, whose first entry is a path of the machine": {"url": "<<inside>>/archive.zip"},
    "an option of git as a revision": {"url": "https://host/o/r", "checkout": "--pathspec-from-file=/etc/passwd"},
    "a file to write as a revision (CVE-2025-68144)": {"url": "https://host/o/r", "checkout": "--output=<<canary>>"},
    "an option of pip as a package of an index": {"url": "pypi:--index-url=http://127.0.0.1:<<port>>"},
    "an address as a package of an index": {"url": "pypi:x @ http://127.0.0.1:<<port>>/x.whl"},
    "a path as a package of an index": {"url": "pypi:../../<<outside>>"},
    "a marker that is code, of a package of an index": {"url": "pypi:x; __import__('os').system('touch <<canary>>')"},
    "an option as a version": {"url": "pypi:x", "checkout": "--pre"},
    "a revision of two": {"url": "https://host/o/r", "checkout": "main..evil"},
    "a directory outside": {"url": "<<inside>>", "directory": "../../outside"},
    "an absolute directory": {"url": "<<inside>>", "directory": "/etc"},
    "an option of uv as a package": {"url": "<<inside>>", "requirements": ["--index-url=http://127.0.0.1:<<port>>"]},
    "a folder to build as a package": {"url": "<<inside>>", "requirements": ["-e <<outside>>"]},
    "an address as a package": {"url": "<<inside>>", "requirements": ["x @ http://127.0.0.1:<<port>>/x.whl"]},
    "a file as a package": {"url": "<<inside>>", "requirements": ["x @ file://<<outside>>"]},
    "a name that leads out": {"url": "<<inside>>", "name": "../../escaped"},
    "a name that is a path": {"url": "<<inside>>", "name": "<<canary>>"},
    "a name that is an option": {"url": "<<inside>>", "name": "--force"},
    "a name that is code": {"url": "<<inside>>", "name": "{{7*7}}"},
    "a name of two lines": {"url": "<<inside>>", "name": "good\nhint"},
}

THIS_MACHINE = (
    "127.0.0.1",
    "2130706433",
    "0x7f.1",
    "0177.0.0.1",
    "127.1",
    "0",
    "localhost",
    "[::1]",
    "[::ffff:127.0.0.1]",
)
"""Spellings that resolvers take for it, most of which no parser of addresses does."""


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)  # noqa: FBT003 - its only parameter
        yield listening


def reached(listener: socket.socket) -> bool:
    with suppress(BlockingIOError):
        listener.accept()[0].close()
        return True
    return False


def filled(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, list):
        return [filled(part, names) for part in value]
    for name, text in names.items():
        value = value.replace(f"<<{name}>>", text)
    return value


async def test_what_could_do_harm_by_its_words_is_refused_before_anything_runs(
    tmp_path: Path, audited: list[Any], listener: socket.socket
) -> None:
    home = Home(tmp_path, None)
    top = [path.name for path in tmp_path.iterdir()]
    names = {
        "canary": str(tmp_path / "canary"),
        "outside": str(write_template(tmp_path / "outside")),
        "inside": str(write_template(home.templates / "inside")),
        "port": str(listener.getsockname()[1]),
    }
    (home.templates / "inside" / "way-out").symlink_to(tmp_path / "outside")
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr(f"{tmp_path}/outside/", "")
    (home.templates / "inside" / "archive.zip").write_bytes(archive.getvalue())
    done: list[str] = []
    async with home.open() as dynamo:
        audited.append(lambda event, _: done.append(event) if event in STARTS | ASKS else None)
        for meant, arguments in LOCATIONS.items():
            given = {name: filled(value, names) for name, value in arguments.items()}
            with pytest.raises(DynamoError) as caught:
                await dynamo.add_template(**given)
            assert done == [], meant
            assert caught.value.hint, meant
        audited.clear()
        assert await dynamo.list_templates() == ()
    assert not reached(listener)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["outside", *top])


async def test_an_agent_reaches_no_service_of_this_machine_by_any_spelling(
    tmp_path: Path, listener: socket.socket
) -> None:
    home = Home(tmp_path, None)
    port = listener.getsockname()[1]
    async with home.open(fetch_seconds=10.0) as dynamo:
        for host in THIS_MACHINE:
            with pytest.raises(DynamoError) as caught:
                await dynamo.add_template(f"https://{host}:{port}/o/r")
            assert not reached(listener), host
            assert caught.value.hint, host
