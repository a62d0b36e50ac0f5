from __future__ import annotations

import os
import socket
import subprocess
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import pytest

from dynamo_mcp import sources
from dynamo_mcp.progress import Progress, Step
from dynamo_mcp.settings import Settings
from dynamo_mcp.store import Store, open_store
from dynamo_mcp.types import Checkout, Location
from sources.repositories import GIT_ENVIRONMENT, SECONDS, Fetch, Repository, Server
from sources.ssh_server import Sshd, missing


@pytest.fixture(params=["asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        home=tmp_path / "home",
        person=True,
        search_path=GIT_ENVIRONMENT["PATH"],
        fetch_seconds=SECONDS,
        lock_seconds=SECONDS,
    )


@pytest.fixture
async def store(settings: Settings) -> AsyncIterator[Store]:
    async with open_store(settings.home, lock_seconds=settings.lock_seconds) as store:
        yield store
        # Whatever a test did, and however it ended, nothing may stay behind.
        assert list(store.scratch.iterdir()) == []


@pytest.fixture
def steps() -> list[Step]:
    return []


@pytest.fixture
def progress(steps: list[Step]) -> Progress:
    async def keep(step: Step) -> None:
        steps.append(step)

    return Progress(("fetch",), keep)


@pytest.fixture
def fetch(store: Store, settings: Settings, progress: Progress) -> Fetch:
    async def fetch(location: Location, **changes: object) -> Checkout:
        changed = msgspec.structs.replace(settings, **changes)
        return await sources.fetch(location, store=store, settings=changed, progress=progress)

    return fetch


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """A repository of one commit that holds a small template."""
    repository = Repository(tmp_path / "repositories" / "template")
    repository.write("cookiecutter.json", '{"slug": "x"}\n')
    repository.write("{{cookiecutter.slug}}/README.md", "# {{cookiecutter.slug}}\n")
    repository.write("hooks/post_gen_project.sh", "#!/bin/sh\n", executable=True)
    repository.commit("first")
    return repository


@pytest.fixture
def canary() -> Iterator[socket.socket]:
    """A listener that nobody may have connected to when the test ends."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0)
        yield listener
        with pytest.raises(BlockingIOError):
            listener.accept()


@pytest.fixture
def trusting(server: Server) -> dict[str, str]:
    """What git gets of an operator's environment to trust the server's certificate."""
    return {"SSL_CERT_FILE": str(server.certificate)}


@pytest.fixture
def server(repository: Repository, tmp_path: Path) -> Iterator[Server]:
    certificate = tmp_path / "certificate.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *(
                "-days",
                "2",
                "-subj",
                "/CN=localhost",
                "-addext",
                "subjectAltName=IP:127.0.0.1,DNS:localhost,DNS:pinned.invalid",
            ),
            *("-keyout", str(certificate), "-out", str(certificate) + ".crt"),
        ],
        check=True,
        capture_output=True,
        timeout=SECONDS,
    )
    with certificate.open("ab") as file:
        file.write(Path(f"{certificate}.crt").read_bytes())
    repository.git("update-server-info")
    server = Server(repository.path.parent, certificate)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.released.set()
    server.shutdown()
    server.server_close()
    thread.join(SECONDS)
    assert not thread.is_alive()


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Sshd]:
    lacks = missing()
    if lacks is not None:
        if os.environ.get("CI"):
            pytest.fail(f"{lacks} is not installed")
        pytest.skip(f"{lacks} is not installed")
    folder = tmp_path / "ssh"
    folder.mkdir()
    server = Sshd(folder)
    server.start()
    try:
        with server.keys():
            yield server
    finally:
        server.stop()
