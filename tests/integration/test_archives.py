"""Templates that come as an archive, from the shell."""

from __future__ import annotations

import json
import os
import pty
import sys
import tarfile
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from integration.places import Place, write_template
from sources.test_archive import encrypted

pytestmark = pytest.mark.anyio

SECONDS = 60


async def test_an_archive_is_added_created_from_and_updated(place: Place) -> None:
    folder = write_template(place.templates / "one")
    archive = place.root / "one.tar.gz"

    def pack() -> None:
        with tarfile.open(archive, "w:gz") as made:
            made.add(folder, "one-1.0")

    pack()
    added = json.loads((await place.run("add", "./one.tar.gz", "--json"))[0])
    assert added["name"] == "one"
    assert added["url"] == str(archive)
    await place.run("create", "one", "-o", "made")
    assert list((place.root / "made").iterdir())
    asked = (folder / "cookiecutter.json").read_text()
    (folder / "cookiecutter.json").write_text(json.dumps({**json.loads(asked), "another": "x"}))
    pack()
    change = json.loads((await place.run("update", "one", "--json"))[0])
    assert change["from_revision"] == added["revision"]
    assert change["to_revision"] != added["revision"]
    (folder / "cookiecutter.json").unlink()
    pack()
    said = (await place.run("update", "one", code=1))[1]
    assert f"There is no `cookiecutter.json` in `{archive}`" in " ".join(said.split())
    archive.unlink()
    assert "put it back" in " ".join((await place.run("update", "one", code=1))[1].split())
    await place.run("create", "one", "-o", "again")  # from what was added
    (folder / "cookiecutter.json").write_text(asked)
    pack()
    said = (await place.run("add", "one.tar.gz", "--name", "two", "--checkout", "v1", code=2))[1]
    assert "is an archive, which has no revision `v1`" in " ".join(said.split())


async def test_a_password_is_asked_for_in_a_terminal_alone(place: Place) -> None:
    archive = encrypted(place.root / "locked.zip", "swordfish")
    said = (await place.run("add", str(archive), code=1))[1]
    assert "is encrypted" in said
    assert "DYNAMO_MCP_ARCHIVE_PASSWORD" in said
    master, slave = pty.openpty()
    try:
        async with await anyio.open_process(
            [sys.executable, "-m", "dynamo_mcp", "add", str(archive)],
            env={**os.environ, **place.environment},
            cwd=place.root,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        ) as child:
            os.close(slave)
            slave = -1
            shown = b""
            with anyio.fail_after(SECONDS):
                for password in (b"wrong\n", b"swordfish\n"):
                    while shown.count(b"its password: ") < (1 if password == b"wrong\n" else 2):
                        shown += await anyio.to_thread.run_sync(os.read, master, 4096)
                    os.write(master, password)
                while b"added locked" not in shown:
                    shown += await anyio.to_thread.run_sync(os.read, master, 4096)
                assert await child.wait() == 0
    finally:
        os.close(master)
        if slave >= 0:
            os.close(slave)
    assert b"The password is not that of" in shown
    assert b"swordfish" not in shown
    assert not any(b"swordfish" in path.read_bytes() for path in Path(place.root).rglob("*.json"))
