"""What becomes of a fetch when the disk of the home fills? It is told so, and what was there goes on working."""

from __future__ import annotations

import os
import subprocess
import tarfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import anyio.to_thread
import pytest

from dynamo_mcp.dynamo import Dynamo
from dynamo_mcp.errors import DynamoError
from homes import Home, base_environments
from sources.index_server import TEMPLATE, Index, serving, wheel
from sources.repositories import SECONDS, Repository, Server

pytestmark = pytest.mark.anyio

README = "{{cookiecutter.slug}}/README.md"
BIG = 3 << 20


@pytest.fixture
def home(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A home on a disk of its own."""
    root = tmp_path / "dynamo"
    (root / "home").mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", "size=512m", "tmpfs", str(root)]
    done = subprocess.run(command, capture_output=True, check=False, timeout=SECONDS)
    if done.returncode:
        pytest.skip("no disk can be mounted by this user")
    try:
        made = Home(root, None)
        subprocess.run(["cp", "-a", base_environments(tmp_path_factory), made.path / "bases"], check=True, timeout=90)
        yield made
    finally:
        subprocess.run(["umount", "--lazy", str(root)], check=True, timeout=SECONDS)


@pytest.fixture
def index() -> Iterator[Index]:
    with serving() as index:
        yield index


@pytest.fixture
async def dynamo(home: Home, server: Server, index: Index) -> AsyncIterator[Dynamo]:
    environ = dict.fromkeys(("SSL_CERT_FILE", "GIT_SSL_CAINFO"), str(server.certificate))
    async with home.open({**environ, "UV_INDEX": index.url}, person=True, fetch_seconds=SECONDS) as opened:
        yield opened


def fill(root: Path) -> Path:
    """Leave a megabyte."""
    disk = os.statvfs(root)
    ballast = root / "ballast"
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, disk.f_bavail * disk.f_frsize - (1 << 20))
    return ballast


@pytest.mark.parametrize("kind", ["git", "archive", "pypi"])
async def test_an_update_and_an_add_on_a_full_disk_change_nothing(
    kind: str, dynamo: Dynamo, home: Home, server: Server, *, repository: Repository, index: Index
) -> None:
    archive = server.folder / "template.tar"

    def publish(version: str, big: bytes) -> None:
        (repository.path / README).write_text(version)
        (repository.path / "big").write_bytes(big)
        repository.commit()
        with tarfile.open(archive, "w") as made:
            for name in ("cookiecutter.json", README, "big"):
                made.add(repository.path / name, f"t/{name}")
        text = {**TEMPLATE, README: version, "big": big.hex()}
        index.put(f"tmpl-{version}-py3-none-any.whl", wheel(text, version=version))

    await anyio.to_thread.run_sync(publish, "1.0", b"")
    url = {
        "git": f"{server.url}/smart/template/.git",
        "archive": f"{server.url}/dumb/template.tar",
        "pypi": "pypi:tmpl",
    }[kind]
    await dynamo.add_template(url, name="web")
    await anyio.to_thread.run_sync(publish, "2.0", os.urandom(BIG))
    records = {path.name: path.read_bytes() for path in (home.path / "templates").iterdir()}
    checkouts = sorted((home.path / "checkouts").iterdir())
    ballast = await anyio.to_thread.run_sync(fill, home.root)
    for attempt in (dynamo.update_template("web"), dynamo.add_template(url, name="other")):
        with pytest.raises(DynamoError) as raised:
            await attempt
        assert "o space left" in raised.value.message or "disk" in raised.value.hint
        assert {path.name: path.read_bytes() for path in (home.path / "templates").iterdir()} == records
        assert sorted((home.path / "checkouts").iterdir()) == checkouts
        assert home.scratch == []
    project = await dynamo.create_project("web", str(home.outputs), {})
    assert (Path(project.path) / "README.md").read_text() == "1.0"
    ballast.unlink()
    await dynamo.update_template("web")
    assert (home.checkout("web") / README).read_text() == "2.0"
