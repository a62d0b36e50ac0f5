"""What does an update bring? What its location means by then, from the network or, offline, from what is kept."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dynamo_mcp.dynamo import Dynamo
from dynamo_mcp.errors import FetchFailed
from homes import Home, base_environments
from sources.repositories import SECONDS, Repository, Server

pytestmark = pytest.mark.anyio


@pytest.fixture
def home(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path / "dynamo", base_environments(tmp_path_factory))


@pytest.fixture
def environ(server: Server) -> dict[str, str]:
    return dict.fromkeys(("SSL_CERT_FILE", "GIT_SSL_CAINFO"), str(server.certificate))


@pytest.fixture
async def dynamo(home: Home, environ: dict[str, str]) -> AsyncIterator[Dynamo]:
    async with home.open(environ, person=True, fetch_seconds=SECONDS) as opened:
        yield opened


def recorded(home: Home, name: str) -> str:
    return str(json.loads((home.path / "templates" / f"{name}.json").read_text())["revision"])


async def test_the_newest_version_is_looked_for_at_each_update(
    dynamo: Dynamo, home: Home, repository: Repository
) -> None:
    repository.git("tag", "v1.9")
    await dynamo.add_template(repository.url, name="web", checkout="latest")
    assert recorded(home, "web") == repository.git("rev-parse", "v1.9")
    repository.write("{{cookiecutter.slug}}/README.md", "ten")
    repository.commit()
    await dynamo.update_template("web")
    assert recorded(home, "web") == repository.git("rev-parse", "v1.9")
    repository.git("tag", "-a", "-m", "x", "v1.10")
    await dynamo.update_template("web")
    assert recorded(home, "web") == repository.git("rev-parse", "HEAD")


async def test_templates_are_added_and_updated_offline_from_what_is_kept(
    *, dynamo: Dynamo, home: Home, server: Server, environ: dict[str, str], repository: Repository
) -> None:
    url = f"{server.url}/smart/template/.git"
    await dynamo.add_template(url, name="web")
    repository.write("{{cookiecutter.slug}}/README.md", "newer, and not fetched")
    repository.commit()
    asked = len(server.paths)
    async with home.open({**environ, "DYNAMO_MCP_OFFLINE": "1"}, person=True) as offline:
        await offline.update_template("web")
        await offline.add_template(url, name="again")
        project = await offline.create_project("again", str(home.outputs), {})
        with pytest.raises(FetchFailed, match="was not fetched as `v2` before"):
            await offline.add_template(url, name="other", checkout="v2")
    assert (Path(project.path) / "README.md").read_text() == "# x\n"
    assert len(server.paths) == asked


def test_a_flag_before_the_command_says_the_same(home: Home) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dynamo_mcp", "--home", home.path, "--offline", "add", "https://host.invalid/o/r"],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 1
    assert "`https://host.invalid/o/r` was not fetched as `HEAD` before" in done.stderr
    assert "hint: leave out `--offline`, and unset `DYNAMO_MCP_OFFLINE`, until it is fetched once" in done.stderr
