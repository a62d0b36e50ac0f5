"""How is a renderer started? Under bubblewrap, or as it is.

Under bubblewrap the worker is process 1 of its PID namespace, has no network, sees read-only bases, environments,
checkouts, its Python and `/usr` at their own paths, and writes only to two size-limited tmpfs. A renderer that root
starts has its jobs become a user of their own, under bubblewrap as well as without.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import BinaryIO

import anyio
import anyio.abc
import msgspec

from dynamo_mcp.errors import RendererFailed
from dynamo_mcp.process import open_process
from dynamo_mcp.sandbox import CODE, cgroup
from dynamo_mcp.sandbox.grants import NONE, Grants, network_files
from dynamo_mcp.sandbox.grants import environment as granted_environment
from dynamo_mcp.sandbox.installation import parts
from dynamo_mcp.sandbox.policy import FILES
from dynamo_mcp.sandbox.user import INSIDE, NEEDED, User
from dynamo_mcp.settings import Settings

ISOLATION = (
    "--unshare-all",
    "--unshare-user",
    "--die-with-parent",
    "--new-session",
    "--cap-drop",
    "ALL",
    "--as-pid-1",
)
"""What bubblewrap takes away before anything is mounted (bwrap(1))."""

SEARCH_PATH = "/usr/local/bin:/usr/bin:/bin"
"""Where a job looks for executables, after its environment's own."""
START_SECONDS = 30.0
_INFO_BYTES = 4096


class Launch(msgspec.Struct, frozen=True):
    """What to start.

    Attributes:
        python: The interpreter of the plain base environment.
        packages: Its `site-packages`.
        visible: Folders that jobs may read, mounted at their own paths.
        room: An existing folder of the renderer's own, for its log and, without bubblewrap, its output.
        bubblewrap: The executable; None starts the worker as it is.
        git_identity: Name and email that Git in hooks gets.
        user: Whom its jobs become; None where they stay who they are.
        own: The worker's whole environment, where it is the operator's own.
        grants: What a person gave the templates that it serves besides.
    """

    python: Path
    packages: Path
    visible: tuple[Path, ...]
    room: Path
    bubblewrap: Path | None
    git_identity: tuple[str, str]
    user: User | None = None
    own: dict[str, str] | None = None
    grants: Grants = NONE


class Launched(msgspec.Struct, frozen=True):
    """A worker that was started.

    Attributes:
        process: It, its input and output being pipes.
        output: The folder below which jobs write their output, as the worker sees it.
        temporary: The same for anything else.
        number: Of the worker's own process, as it is seen from here.
        root: What the worker's paths must be prefixed with to be seen from here.
        log: What it says on standard error.
    """

    process: anyio.abc.Process
    number: int
    output: Path
    temporary: Path
    root: Path
    log: Path


def bubblewrap(settings: Settings) -> Path | None:
    """Return the bubblewrap executable on the operator's PATH."""
    found = shutil.which("bwrap", path=settings.search_path)
    return Path(found) if found else None


@asynccontextmanager
async def launched(launch: Launch, settings: Settings) -> AsyncIterator[Launched]:
    """Run a worker while the caller stays in the context.

    Raises:
        RendererFailed: It can't be started.
    """
    log = launch.room / "log"
    # Without `site` (`-S`) no `.pth` file of a package runs in the worker, which is not confined as its jobs are.
    worker: list[str | Path] = [launch.python, "-I", "-S", "-B", CODE / "worker.py", "--packages", launch.packages]
    with log.open("wb") as errors:
        if launch.bubblewrap is None:
            output, temporary = launch.room / "output", launch.room / "temporary"
            environment = launch.own or _environment(launch, settings, temporary)
            for folder in (output, temporary):
                folder.mkdir()
            if launch.user is not None:
                worker += ["--user", str(launch.user.number)]
                for folder in (launch.room, output, temporary):
                    folder.chmod(0o711)  # a job gets to its own folder, and finds nobody else's
            async with (
                # What is the operator's own is not limited.
                cgroup.group(launch.room, settings, None if launch.own is not None else cgroup.place()) as group,
                open_process(
                    worker,
                    env=environment,
                    stdin=subprocess.PIPE,
                    stderr=errors.fileno(),
                    pass_fds=_locks(launch),
                    cwd=launch.room,
                    gently=True,
                ) as process,
            ):
                group.join(process.pid)
                yield Launched(process, process.pid, output, temporary, Path("/"), log)
            return
        output, temporary = Path("/output"), Path("/tmp")  # noqa: S108 - the sandbox's own tmpfs
        worker += ["--pid-namespace", *(["--user", str(INSIDE)] if launch.user else [])]
        with ExitStack() as opened:
            reader, writer = _pipe(opened)
            held, release = _pipe(opened)
            arguments = ["--info-fd", str(writer.fileno())]
            if launch.user is not None:
                arguments += ["--userns-block-fd", str(held.fileno())]
            environment = _environment(launch, settings, temporary)
            command = _confined(launch, settings, [launch.bubblewrap, *arguments], environment)
            async with (
                cgroup.group(launch.room, settings, cgroup.place()) as group,
                open_process(
                    [*command, *worker],
                    env={},
                    stdin=subprocess.PIPE,
                    stderr=errors.fileno(),
                    pass_fds=(writer.fileno(), held.fileno(), *_locks(launch)),
                    cwd=Path("/"),
                ) as process,
            ):
                writer.close()
                held.close()
                child = await _child(reader.fileno(), log)
                # Neither has started anything else yet: the worker waits to be told.
                group.join(process.pid, child)
                if launch.user is not None:
                    _map(child, launch.user, log)
                    release.write(b"1")
                yield Launched(process, child, output, temporary, Path(f"/proc/{child}/root"), log)


def _map(child: int, user: User, log: Path) -> None:
    """Say who is who in a new user namespace: root is root, so that it reaches what lies below root's own folders."""
    try:
        for kind in ("uid", "gid"):
            Path(f"/proc/{child}/{kind}_map").write_text(f"0 0 1\n{INSIDE} {user.number} 1\n", "ascii")
    except OSError as error:
        raise _not_started(log, f"who is who in its user namespace can't be said ({error.strerror})") from error


def _pipe(opened: ExitStack) -> tuple[BinaryIO, BinaryIO]:
    reader, writer = os.pipe()
    return opened.enter_context(open(reader, "rb", 0)), opened.enter_context(open(writer, "wb", 0))  # noqa: PTH123


def _locks(launch: Launch) -> tuple[int, ...]:
    return () if launch.user is None else (launch.user.lock,)


def _confined(
    launch: Launch, settings: Settings, first: Sequence[str | Path], environment: dict[str, str]
) -> Sequence[str | Path]:
    """Compose bubblewrap's arguments (bwrap(1)); their order is the order of the mounts."""
    command: list[str | Path] = [*first, *ISOLATION, "--clearenv"]
    command += ["--share-net"] if launch.grants.network else []
    if launch.user is not None:
        # What looks at a job that is another user's has to be allowed to (proc_pid_smaps(5)).
        command += [word for name in (*NEEDED, "sys_ptrace") for word in ("--cap-add", f"CAP_{name.upper()}")]
    for name, value in environment.items():
        command += ["--setenv", name, value]
    command += ["--proc", "/proc", "--dev", "/dev"]
    command += ["--size", str(settings.temporary_bytes), "--tmpfs", "/tmp"]  # noqa: S108 - inside the sandbox
    command += ["--size", str(settings.output_bytes), "--tmpfs", "/output"]
    command += ["--size", str(settings.temporary_bytes), "--tmpfs", "/dev/shm"]  # noqa: S108
    # The home may lie below /tmp, so what is visible of it is mounted over the tmpfs.
    command += ["--ro-bind", "/usr", "/usr"]
    for link in ("bin", "sbin", "lib", "lib32", "lib64"):
        path = Path("/", link)
        if path.is_symlink():
            command += ["--symlink", path.readlink(), path]
        elif path.is_dir():
            command += ["--ro-bind", path, path]
    command += ["--perms", "0755", "--dir", "/etc"]  # as it would make it, it is root's alone
    for file in FILES:
        command += ["--ro-bind-try", file, file]
    for path in network_files(launch.grants, settings):
        command += _above([path]) if launch.user is not None else []
        command += ["--ro-bind-try", path, path]
    return [*command, *_visible(launch), "--remount-ro", "/", "--chdir", "/"]


def _visible(launch: Launch) -> Sequence[str | Path]:
    command: list[str | Path] = []
    granted = [path for path in launch.grants.paths if not path.is_relative_to("/usr")]  # which is there
    paths = dict.fromkeys([*needed(launch), *granted])
    command += _above(paths) if launch.user is not None else []
    for path in paths:
        command += ["--ro-bind", path, path]
    return command


def _above(paths: Iterable[Path]) -> Sequence[str | Path]:
    """Let every user get to what is visible, also where the way to it is root's alone."""
    above = dict.fromkeys(folder for path in paths for folder in reversed(path.parents[:-1]))
    return [word for folder in above for word in ("--perms", "0755", "--dir", folder)]


def packages(environment: Path) -> Path:
    """Return the `site-packages` of an environment that a worker is to be started with.

    Raises:
        RendererFailed: It has none.
    """
    for library in (environment / "lib").glob("python3.*"):
        return library / "site-packages"
    raise RendererFailed(f"`{environment}` is not whole", hint="create the project again")


def needed(launch: Launch) -> tuple[Path, ...]:
    """Return what jobs must be able to read besides the system's own programs."""
    return (CODE, *parts(launch.python), *launch.visible)


def _environment(launch: Launch, settings: Settings, temporary: Path) -> dict[str, str]:
    name, email = launch.git_identity
    return {
        **granted_environment(launch.grants, settings),
        "PATH": os.pathsep.join([SEARCH_PATH, *map(str, launch.grants.folders)]),
        "HOME": str(temporary),
        "TMPDIR": str(temporary),
        "LANG": "C.UTF-8",
        "USER": "dynamo",
        "LOGNAME": "dynamo",
        "PYTHONDONTWRITEBYTECODE": "1",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_AUTHOR_NAME": name,
        "GIT_AUTHOR_EMAIL": email,
        "GIT_COMMITTER_NAME": name,
        "GIT_COMMITTER_EMAIL": email,
        "OPENSSL_CONF": "/dev/null",
    }


async def _child(reader: int, log: Path) -> int:
    """Read from bubblewrap which process it has started; the text may arrive in several pieces."""
    text = b""
    try:
        with anyio.fail_after(START_SECONDS):
            while b"}" not in text:
                await anyio.wait_readable(reader)
                piece = os.read(reader, _INFO_BYTES)
                if not piece:
                    break
                text += piece
        return int(msgspec.json.decode(text)["child-pid"])
    except (TimeoutError, msgspec.DecodeError, KeyError) as error:
        raise _not_started(log) from error


def _not_started(log: Path, why: str = "") -> RendererFailed:
    """Return the error for a bubblewrap that starts nothing, with its last words."""
    said = log.read_text("utf-8", "replace").strip() or "nothing"
    return RendererFailed(
        f"bubblewrap did not start a renderer{why and f': {why}'}; it said: {said}",
        hint="see what `dynamo-mcp doctor` says; if that is no help, report it",
    )
