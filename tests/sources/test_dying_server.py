"""What becomes of templates when the server of their repository dies? They are as they were, whenever it died."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dynamo_mcp.dynamo import Dynamo
from dynamo_mcp.errors import DynamoError, FetchFailed, InvalidLocation
from dynamo_mcp.sources import parse
from homes import Home, base_environments
from sources.repositories import GIT_ENVIRONMENT, SECONDS, Repository, Server

pytestmark = pytest.mark.anyio


@pytest.fixture
def home(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path / "dynamo", base_environments(tmp_path_factory))


@pytest.fixture
async def dynamo(home: Home, server: Server) -> AsyncIterator[Dynamo]:
    environ = dict.fromkeys(("SSL_CERT_FILE", "GIT_SSL_CAINFO"), str(server.certificate))
    async with home.open(environ, person=True, fetch_seconds=SECONDS) as opened:
        yield opened


def records(home: Home) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (home.path / "templates").iterdir()}


@pytest.mark.parametrize("how", ["gone", "cut"])
async def test_a_template_is_there_whole_or_not_at_all_and_an_update_changes_all_or_nothing(
    *, dynamo: Dynamo, home: Home, server: Server, repository: Repository, how: str
) -> None:
    url = f"{server.url}/smart/template/.git"
    for survived in range(3):
        server.breaks = [""] * survived + [how] * 99
        with pytest.raises(FetchFailed):
            await dynamo.add_template(url, name="web")
        assert records(home) == {}
        assert list((home.path / "checkouts").iterdir()) == []
        assert home.scratch == []
    server.breaks = []
    await dynamo.add_template(url, name="web")
    before, checkout = records(home), home.checkout("web")
    repository.write("{{cookiecutter.slug}}/README.md", "newer\n")
    repository.commit()
    for survived in range(3):
        server.breaks = [""] * survived + [how] * 99
        with pytest.raises(FetchFailed):
            await dynamo.update_template("web")
        assert records(home) == before
        assert (checkout / "cookiecutter.json").is_file()
    server.breaks = []
    await dynamo.update_template("web")
    assert (home.checkout("web") / "{{cookiecutter.slug}}" / "README.md").read_text() == "newer\n"
    project = await dynamo.create_project("web", str(home.outputs), {})
    assert (Path(project.path) / "README.md").read_text() == "newer\n"


async def test_a_repository_that_was_deleted_leaves_its_template_usable(
    dynamo: Dynamo, home: Home, server: Server, repository: Repository
) -> None:
    url = f"{server.url}/smart/template/.git"
    await dynamo.add_template(url, name="web")
    before = records(home)
    shutil.rmtree(repository.path)
    with pytest.raises(DynamoError):
        await dynamo.update_template("web")
    assert records(home) == before
    project = await dynamo.create_project("web", str(home.outputs), {})
    assert (Path(project.path) / "README.md").read_text() == "# x\n"


def test_a_git_daemon_is_not_even_asked_since_nothing_of_it_is_encrypted(repository: Repository, home: Home) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    daemon = subprocess.Popen(
        ["git", "daemon", "--export-all", "--listen=127.0.0.1", f"--port={port}", "--verbose", repository.path],
        env=GIT_ENVIRONMENT,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    url = f"git://127.0.0.1:{port}{repository.path}/.git"
    try:
        assert daemon.stderr is not None
        assert b"Ready" in daemon.stderr.readline()
        assert "refs/heads/main" in repository.git("ls-remote", url)  # others do ask it
        with pytest.raises(InvalidLocation, match="without encryption") as caught:
            parse(url, settings=home.settings(person=True))
        assert "https" in caught.value.hint
    finally:
        os.killpg(daemon.pid, signal.SIGKILL)  # git leaves the daemon behind when it alone is ended
        said = daemon.communicate(timeout=SECONDS)[1]
    assert said.count(b"Connection from") == 1
