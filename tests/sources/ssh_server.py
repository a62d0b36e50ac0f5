"""A real sshd on this machine, for a user `git` that only it knows, and a client whose home only it knows.

Both read who is who from files of the test (nss_wrapper), so that nobody's account, home or keys are touched.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SECONDS = 30
LIBRARY = "libnss_wrapper.so"
SSHD = shutil.which("sshd", path=f"{os.environ['PATH']}{os.pathsep}/usr/sbin")
_CONFIGURATION = """
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
AuthorizedKeysFile {folder}/authorized
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin yes
"""


def missing() -> str | None:
    """Return what has to be installed before there can be a server."""
    if SSHD is None or shutil.which("ssh-agent") is None:
        return "openssh-server"
    found = subprocess.run(
        ["/bin/sh", "-c", "true"], env={"LD_PRELOAD": LIBRARY}, capture_output=True, timeout=SECONDS, check=False
    )
    return "libnss-wrapper" if found.stderr else None


class Sshd:
    """Keys, a server that can be ended and started again, an agent, and a client."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.person = folder / "person"
        (self.person / ".ssh").mkdir(parents=True, mode=0o700)
        for name in ("host", "key"):
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name],
                check=True,
                capture_output=True,
                timeout=SECONDS,
            )
        (folder / "authorized").write_bytes((folder / "key.pub").read_bytes())
        ids = f"{os.getuid()}:{os.getgid()}"
        known = Path("/etc/passwd").read_text("utf-8")
        (folder / "served").write_text(f"{known}git:x:{ids}:git:{folder}:/bin/sh\n")
        (folder / "client").write_text(f"person:x:{ids}:person:{self.person}:/bin/sh\n{known}")
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        (folder / "configuration").write_text(_CONFIGURATION.format(port=self.port, folder=folder))
        program = folder / "bin" / "ssh"
        program.parent.mkdir()
        variables = " ".join(f"{name}='{value}'" for name, value in self._wrapped("client").items())
        program.write_text(f'#!/bin/sh\nexport {variables}\nexec {shutil.which("ssh")} "$@"\n')
        program.chmod(0o755)
        self.know()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def search_path(self) -> str:
        return f"{self.folder}/bin{os.pathsep}{os.environ['PATH']}"

    @property
    def agent(self) -> str:
        return f"{self.folder}/agent"

    def url(self, path: Path) -> str:
        return f"ssh://git@127.0.0.1:{self.port}{path}"

    def know(self) -> None:
        """Let the person have seen the server's key."""
        key = (self.folder / "host.pub").read_text().rsplit(" ", 1)[0]
        (self.person / ".ssh" / "known_hosts").write_text(f"[127.0.0.1]:{self.port} {key}\n")

    def start(self) -> None:
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        assert SSHD is not None
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [SSHD, "-D", "-e", "-f", self.folder / "configuration"],
                env={"PATH": os.environ["PATH"], **self._wrapped("served")},
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.02)
                continue
            return
        raise AssertionError((self.folder / "log").read_text())

    def stop(self, how: int = signal.SIGTERM) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.send_signal(how)
            self._process.wait(SECONDS)
        self._process = None

    def stall(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    @contextmanager
    def keys(self) -> Iterator[None]:
        """Have an agent that holds the person's key."""
        agent = subprocess.Popen(["ssh-agent", "-D", "-a", self.agent], stdout=subprocess.DEVNULL)
        try:
            deadline = time.monotonic() + SECONDS
            while not Path(self.agent).exists() and time.monotonic() < deadline:
                time.sleep(0.01)
            subprocess.run(
                ["ssh-add", "-q", self.folder / "key"],
                env={"PATH": os.environ["PATH"], "SSH_AUTH_SOCK": self.agent},
                check=True,
                capture_output=True,
                timeout=SECONDS,
            )
            yield
        finally:
            agent.terminate()
            agent.wait(SECONDS)

    def _wrapped(self, who: str) -> dict[str, str]:
        return {
            "LD_PRELOAD": LIBRARY,
            "NSS_WRAPPER_PASSWD": str(self.folder / who),
            "NSS_WRAPPER_GROUP": "/etc/group",
        }
