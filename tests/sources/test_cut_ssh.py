"""What becomes of a fetch by ssh whose connection is cut in the middle? It is whole in the end, or was never there."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import threading
from collections.abc import Iterator

import pytest

from dynamo_mcp.errors import FetchFailed
from dynamo_mcp.progress import Step
from dynamo_mcp.sources import git_command
from dynamo_mcp.store import Store
from dynamo_mcp.types import Location
from sources.repositories import GIT_ENVIRONMENT, SECONDS, Fetch, Repository
from sources.ssh_server import Sshd

pytestmark = pytest.mark.anyio

BIG = 400_000
CUT = 100_000
"""Bytes: after the keys were exchanged, and in the middle of the pack."""


class Cutting:
    """Leads to a server, and cuts a connection after so many bytes of the server, as `cuts` says of each."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.cuts: list[int] = []
        self.connections = 0
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(SECONDS)
            assert not thread.is_alive()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.connections += 1
                server = socket.create_connection(("127.0.0.1", self._port), timeout=SECONDS)
                client.settimeout(SECONDS)
                most = self.cuts.pop(0) if self.cuts else 1 << 62
                self._threads.append(threading.Thread(target=_join, args=(client, server, most)))
                self._threads[-1].start()


def _join(client: socket.socket, server: socket.socket, most: int) -> None:
    with client, server:
        back = threading.Thread(target=_pass_on, args=(client, server, 1 << 62))
        back.start()
        _pass_on(server, client, most)
        back.join(SECONDS)


def _pass_on(source: socket.socket, target: socket.socket, left: int) -> None:
    with contextlib.suppress(OSError):
        while left > 0 and (content := source.recv(min(left, 16384))):
            target.sendall(content)
            left -= len(content)
    for end in (source, target):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(git_command, "PAUSES", (0.0, 0.0))


@pytest.fixture
def cutting(sshd: Sshd) -> Iterator[Cutting]:
    proxy = Cutting(sshd.port)
    key = (sshd.folder / "host.pub").read_text().rsplit(" ", 1)[0]
    (sshd.person / ".ssh" / "known_hosts").write_text(f"[127.0.0.1]:{proxy.port} {key}\n")
    yield proxy
    proxy.close()


def whole(store: Store) -> list[str]:
    """Let git itself look through each pack of a mirror; return their names."""
    packs = sorted((store.home / "mirrors").rglob("*.idx"))
    for pack in packs:
        command = ["git", "verify-pack", str(pack)]
        subprocess.run(command, env=GIT_ENVIRONMENT, check=True, capture_output=True, timeout=SECONDS)
    return [pack.name for pack in packs]


async def test_it_is_tried_again_and_the_mirror_is_whole_at_any_time(
    fetch: Fetch, sshd: Sshd, cutting: Cutting, repository: Repository, *, store: Store, steps: list[Step]
) -> None:
    (repository.path / "big").write_bytes(os.urandom(BIG))
    head = repository.commit()
    location = Location("git", sshd.url(repository.path).replace(str(sshd.port), str(cutting.port), 1))
    by_ssh = {"search_path": sshd.search_path, "passed": {"SSH_AUTH_SOCK": sshd.agent}}
    cutting.cuts = [CUT] * 9
    with pytest.raises(FetchFailed, match=r"broke off|can't be reached") as caught:
        await fetch(location, **by_ssh)
    assert "try again" in caught.value.hint
    assert cutting.connections == 3
    assert whole(store) == []
    assert list((store.home / "checkouts").iterdir()) == []
    cutting.cuts = [CUT, CUT]
    first = await fetch(location, **by_ssh)
    assert first.revision == head
    assert (first.path / "big").stat().st_size == BIG
    assert "trying again" in "".join(step.message for step in steps)
    before = whole(store)
    assert len(before) == 1
    (repository.path / "more").write_bytes(os.urandom(BIG))
    head = repository.commit()
    cutting.cuts = [CUT] * 9
    with pytest.raises(FetchFailed, match=r"broke off|can't be reached"):
        await fetch(location, **by_ssh)
    assert whole(store) == before
    assert await fetch(location, **by_ssh, offline=True) == first
    cutting.cuts = []
    assert (await fetch(location, **by_ssh)).revision == head
    assert len(whole(store)) == 2
