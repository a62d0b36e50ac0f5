"""Where does an attack happen, and what shows its effect? A person's folder, listeners, a process, secrets."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import stat
import subprocess
import termios
import threading
from collections.abc import Iterator
from contextlib import suppress
from fcntl import ioctl
from pathlib import Path
from typing import Any, Self, TypeAlias

LISTENED_SECONDS = 0.7
READ_BYTES = 1 << 20
Seen: TypeAlias = dict[str, tuple[Any, ...]]


class Stage:
    """What all attacks of one configuration find on the machine; a context manager."""

    def __init__(self, root: Path, home: Path) -> None:
        """Set up listeners, a victim, a terminal, and a secret in the environment and in an open file."""
        self.root = root
        self.home = home
        self.environment_secret = os.environ["CANARY"]
        self.terminal = _terminal()
        self.file_of_all = root / "open.txt"
        self.open_secret = secrets.token_hex(16)
        self.file_of_all.write_text(self.open_secret)
        self.descriptor = os.open(self.file_of_all, os.O_RDONLY)
        os.set_inheritable(self.descriptor, True)  # noqa: FBT003 - as C programs leave them
        self.abstract_name = f"canary-{secrets.token_hex(8)}"
        self.listeners = {
            "port": socket.create_server(("127.0.0.1", 0)),
            "datagrams": socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
            "path": socket.socket(socket.AF_UNIX),
            "abstract": socket.socket(socket.AF_UNIX),
        }
        self.listeners["datagrams"].bind(("127.0.0.1", 0))
        self.listeners["path"].bind(str(root / "socket"))
        self.listeners["abstract"].bind(f"\0{self.abstract_name}")
        for name in ("path", "abstract"):
            self.listeners[name].listen()
        for listener in self.listeners.values():
            listener.setblocking(False)  # noqa: FBT003 - its only parameter
        self.victim = self._start_victim()

    def __enter__(self) -> Self:
        """Enter."""
        return self

    def __exit__(self, *_: object) -> None:
        """Leave nothing."""
        self.victim.kill()
        self.victim.wait(timeout=20)
        for listener in self.listeners.values():
            listener.close()
        os.close(self.descriptor)

    def reached(self) -> set[str]:
        """Return which listeners were reached since this was asked last."""
        found = set()
        for name, listener in self.listeners.items():
            with suppress(BlockingIOError):
                while True:
                    if name == "datagrams":
                        listener.recv(100)
                    else:
                        listener.accept()[0].close()
                    found.add(name)
        return found

    def typed(self) -> bytes:
        """Return what was typed into the terminal since this was asked last."""
        with suppress(BlockingIOError):
            return os.read(self.terminal, 1000)
        return b""

    def victim_state(self) -> tuple[bool, int]:
        """Return whether the victim lives, and how much nicer it is than this process; a changed one is replaced."""
        if self.victim.poll() is None:
            nice = os.getpriority(os.PRIO_PROCESS, self.victim.pid) - os.getpriority(os.PRIO_PROCESS, 0)
            if nice:
                self.victim.kill()
                self.victim.wait(timeout=20)
                self.victim = self._start_victim()
            return True, nice
        self.victim = self._start_victim()
        return False, 0

    def _start_victim(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen([f"victim-{self.abstract_name}", "3600"], executable="/bin/sleep")


class Scene:
    """What one attack finds, and what it did."""

    def __init__(self, stage: Stage, name: str) -> None:
        """Make the person's folder."""
        self.stage = stage
        self.folder = stage.root / "scenes" / name
        self.template = self.folder / "template"
        self.projects = self.folder / "projects"
        self.person = self.folder / "person"
        for folder in (self.template, self.projects, self.person / "private", self.person / ".ssh"):
            folder.mkdir(parents=True)
        self.secret = secrets.token_hex(16)
        self.size = 40_000 + secrets.randbelow(9_000)
        self.marker = f"marker-{secrets.token_hex(8)}"
        (self.person / ".ssh" / "id_ed25519").write_text(self.secret.ljust(self.size))
        (self.person / "private" / f"name-{self.secret}").touch()
        (self.person / "victim.txt").write_text("untouched")
        self.free_port = _free_port()
        self.given = {
            "person": str(self.person),
            "projects": str(self.projects),
            "key": str(self.person / ".ssh" / "id_ed25519"),
            "victim": str(self.person / "victim.txt"),
            "home": str(stage.home),
            "open": str(stage.file_of_all),
            "marker": self.marker,
            "process": str(stage.victim.pid),
            "port": str(stage.listeners["port"].getsockname()[1]),
            "datagrams": str(stage.listeners["datagrams"].getsockname()[1]),
            "socket": str(stage.root / "socket"),
            "abstract": stage.abstract_name,
            "free": str(self.free_port),
        }
        # Whatever comes out of the attack: the project's names and texts, what was answered, what went wrong.
        self.loot = ""
        self.error = ""
        self.refused = False
        self.inert = False
        self.overran = False
        self.heard = b""
        self.reached: set[str] = set()
        self.typed = b""
        self.victim_lived = True
        self.victim_nice = 0
        self.before: Seen = {}

    def fill(self, text: str) -> str:
        """Put the scene's names into a text."""
        for name, value in self.given.items():
            text = text.replace(f"<<{name}>>", value)
        return text

    def begin(self) -> None:
        """Look at everything before."""
        self.stage.reached()
        self.stage.typed()
        self.before = self.look()

    def end(self) -> None:
        """Look at everything after."""
        self.reached = self.stage.reached()
        self.typed = self.stage.typed()
        self.victim_lived, self.victim_nice = self.stage.victim_state()
        self.loot += "".join(_texts(self.projects))

    def look(self) -> Seen:
        """Return what there is in the scene outside of template and projects, in every detail."""
        found: Seen = {}
        for path in sorted(self.folder.rglob("*")):
            if path.is_relative_to(self.template) or path.is_relative_to(self.projects):
                continue
            state = path.lstat()
            content = path.read_bytes() if stat.S_ISREG(state.st_mode) else b""
            attributes = tuple(os.listxattr(path, follow_symlinks=False))
            times = (state.st_mtime_ns,) if stat.S_ISREG(state.st_mode) else ()
            found[str(path)] = (state.st_mode, state.st_uid, state.st_nlink, *times, attributes, content)
        return found

    @property
    def changed(self) -> bool:
        """Whether anything is different that the template had no business with."""
        return self.look() != self.before

    @property
    def made(self) -> Iterator[Path]:
        """Everything in the folder that projects are made in."""
        return self.projects.rglob("*")

    def has(self, kind: int) -> bool:
        """Whether what was made has a file of that kind (stat(2))."""
        return any(stat.S_IFMT(path.lstat().st_mode) == kind for path in self.made)

    def alive(self) -> list[int]:
        """Return the processes that have the attack's mark on their command line."""
        found = []
        for entry in Path("/proc").iterdir():
            with suppress(OSError):
                if entry.name.isdigit() and self.marker.encode() in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
        return found

    def bury(self) -> None:
        """End what the attack has left running."""
        for process in self.alive():
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)

    def knock(self) -> threading.Thread:
        """Try to reach a port that the attack may open, as any machine of the network would."""

        def run() -> None:
            ended = threading.Event()
            for _ in range(40):
                with suppress(OSError), socket.create_connection(("127.0.0.1", self.free_port), timeout=0.5) as there:
                    self.heard = there.recv(100)
                    return
                ended.wait(LISTENED_SECONDS / 20)

        thread = threading.Thread(target=run)
        thread.start()
        return thread


def _texts(folder: Path) -> Iterator[str]:
    for path in folder.rglob("*"):
        yield f"\n{path.relative_to(folder)}\n"
        with suppress(OSError):
            if stat.S_ISREG(path.stat().st_mode):
                with path.open("rb") as file:
                    yield file.read(READ_BYTES).decode("latin-1")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


def _terminal() -> int:
    """Make this process the leader of a terminal, as a shell is; return what reads what is typed there."""
    master, slave = os.openpty()
    with suppress(PermissionError):  # it leads one already
        os.setsid()
    ioctl(slave, termios.TIOCSCTTY, 0)
    attributes = termios.tcgetattr(slave)
    attributes[3] &= ~(termios.ECHO | termios.ICANON)
    termios.tcsetattr(slave, termios.TCSANOW, attributes)
    os.set_blocking(slave, False)
    # The other end stays open, or the terminal would hang up.
    _kept.append(master)
    return slave


_kept: list[int] = []
