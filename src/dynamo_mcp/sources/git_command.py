"""How is git asked? One set of flags and one clean environment, for every command.

Nothing of the operator's or the machine's git configuration is read, so no filter, hook, credential helper or rewritten
address of theirs can run or apply. Only the one protocol that the location needs is allowed, and no redirect is
followed.

Where a host was looked up to check it (`hosts.py`, `ssh.py`), git does not look it up again: it connects to what was
checked.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import anyio.to_thread
import msgspec

from dynamo_mcp import process
from dynamo_mcp.errors import DynamoError, FetchFailed, InvalidTemplate
from dynamo_mcp.progress import Progress
from dynamo_mcp.settings import Settings
from dynamo_mcp.source_settings import Token
from dynamo_mcp.sources import ssh
from dynamo_mcp.sources.git_errors import explain, last_words
from dynamo_mcp.sources.hosts import Route, route_to
from dynamo_mcp.sources.tokens import for_git, token_for, without
from dynamo_mcp.types import Location

SECONDS_BETWEEN_REPORTS = 0.5
PACK_FACTOR = 4
"""Bytes fetched per byte a template may have, at most: an old commit comes with its history when not offered alone."""
MEMORY_FACTOR = 8
LEAST_MEMORY_BYTES = 256 << 20
"""Address space that a checkout may have, per byte that a template may have, and at least: `ident` and an encoding make
a file dozens of times as long, and git does that in memory."""

_CHOICES = (
    "core.hooksPath=/dev/null",
    "core.attributesFile=/dev/null",
    "core.fsmonitor=false",
    "core.symlinks=false",
    "core.protectNTFS=true",
    "core.protectHFS=true",
    "core.fsync=none",  # a scratch repository need not survive a power cut
    "submodule.recurse=false",
    "transfer.fsckObjects=true",
    "fetch.fsckObjects=true",
    # Untidy, but harmless, and found in old repositories that people use.
    "fetch.fsck.zeroPaddedFilemode=ignore",
    "fetch.fsck.missingSpaceBeforeDate=ignore",
    "fetch.fsck.badTimezone=ignore",
    "fetch.fsck.badDate=ignore",
    "fetch.fsck.missingEmail=ignore",
    "transfer.unpackLimit=1",  # always a pack: one file to weigh, however many objects
    "transfer.bundleURI=false",
    "credential.helper=",
    "http.followRedirects=false",
    "http.sslVerify=true",
    "gc.auto=0",
    "maintenance.auto=false",
    "advice.detachedHead=false",
    "init.defaultBranch=main",
)
_CONFIGURATION = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
_ENVIRONMENT = {
    "HOME": "/nonexistent",
    "LC_ALL": "C",  # `git_errors` reads what it says
    "GIT_ASKPASS": "/bin/false",
    "GIT_ATTR_NOSYSTEM": "1",
    **_CONFIGURATION,
    "GIT_LFS_SKIP_SMUDGE": "1",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_TERMINAL_PROMPT": "0",
}
_PROXY = "https_proxy"
_CERTIFICATES = (
    ("GIT_SSL_CAINFO", "SSL_CERT_FILE"),
    ("GIT_SSL_CAINFO", "GIT_SSL_CAINFO"),
    ("GIT_SSL_CAPATH", "SSL_CERT_DIR"),
)
_OLDEST = (2, 37)
"""The first git that can be told which address a host has."""


class Git(msgspec.Struct, frozen=True):
    """Asks git about one scratch repository; `open_git` makes it.

    Attributes:
        repository: The scratch repository, which is bare.
        prefix: The executable and its flags.
        env: Its whole environment.
        settings: Bound what it may take.
        address: What it fetches from, as it was typed, for messages.
        url: Where that is in the end.
        token: What it signs in with there.
    """

    repository: Path
    prefix: tuple[str, ...]
    env: dict[str, str]
    settings: Settings
    address: str
    url: str
    token: Token | None = None

    def moved(self, url: str, route: Route) -> Git:
        """Return a git that asks where an address was redirected to, for the same repository.

        Args:
            url: Where that is.
            route: How its host is reached.
        """
        addresses = ",".join(f"[{address}]" if ":" in address else address for address in route.addresses)
        pin = f"{route.host}:{route.port}:{addresses}" if addresses and ":" not in route.host else ""
        prefix = (*self.prefix, "-c", f"http.curloptResolve={pin}")  # an empty one takes back what was said before
        env = {name: value for name, value in self.env.items() if name != _PROXY}
        env |= {_PROXY: route.proxy} if route.proxy else {}  # on a command line everybody could read its password
        # None that was for where it asked before goes along.
        token = token_for(url, self.settings.tokens)
        env = {name: value for name, value in env.items() if not name.startswith("GIT_CONFIG_")} | _CONFIGURATION
        return msgspec.structs.replace(self, prefix=prefix, env=env | for_git(token), url=url, token=token)

    def explain(self, location: Location, said: str) -> DynamoError:
        """Return the error for a fetch that failed.

        Args:
            location: What was fetched.
            said: What git said, all of it.
        """
        return explain(location, without(said, self.token), signed=self.token.where if self.token else None)

    async def run(self, *arguments: str, limit: int = 1 << 20) -> process.Completed:
        """Run one command to its end.

        Args:
            arguments: The command and its arguments.
            limit: Bytes that are kept of what it prints.

        Raises:
            TimedOut: It took too long.
            Failed: It can't be started.
        """
        return await process.run(
            [*self.prefix, f"--git-dir={self.repository}", *arguments],
            env=self.env,
            seconds=self.settings.fetch_seconds,
            cwd=self.repository,
            limit=limit,
        )

    async def fetch(self, *arguments: str, progress: Progress) -> str | None:
        """Fetch, reporting how much has come.

        Args:
            arguments: Options and what to fetch.
            progress: What it is reported to.

        Returns:
            None when it was fetched, else what git said.

        Raises:
            InvalidTemplate: What comes is more than a template and its history may have; git was stopped.
        """
        command = ["fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "--no-auto-maintenance", *arguments]
        weigh = partial(_weigh_packs, self.repository)
        before = await anyio.to_thread.run_sync(weigh)

        async def tell(size: int) -> None:
            nonlocal before
            if size > before:
                before = size
                await progress.detail(f"fetching `{self.address}`: {size / 2**20:.1f} MiB")

        allowed = PACK_FACTOR * self.settings.template_bytes
        return await self._bounded(command, weigh=weigh, allowed=allowed, what="bytes to fetch", tell=tell)

    async def check_out(self, commit: str, tree: Path) -> None:
        """Make a commit's files as git's own checkout does, attributes included.

        Args:
            commit: The commit.
            tree: The empty folder to fill.

        Raises:
            FetchFailed: It failed, as it does when a file would grow beyond memory.
            InvalidTemplate: The files are more than a template may have, as attributes make of them; git was stopped.
        """
        # Links may be links now that each of them was looked at.
        command = ["-c", "core.symlinks=true", f"--work-tree={tree}", "read-tree", "--reset", "-u", commit]
        allowed = self.settings.template_bytes
        # The shell bounds git's memory.
        memory = max(MEMORY_FACTOR * allowed, LEAST_MEMORY_BYTES)
        shell = ("/bin/sh", "-c", 'ulimit -v "$0" 2>/dev/null; exec "$@"', str(memory // 1024))
        weigh = partial(_weigh_files, tree)
        said = await self._bounded(command, before=shell, cwd=tree, weigh=weigh, allowed=allowed, what="bytes")
        if said is not None:
            raise FetchFailed(
                f"git could not check out `{self.address}`: {last_words(said)}",
                hint="see what git says; the repository may be broken, or the disk full",
            )

    async def _bounded(
        self,
        arguments: Sequence[str],
        *,
        weigh: Callable[[], int],
        allowed: int,
        what: str,
        tell: Callable[[int], Awaitable[None]] | None = None,
        before: Sequence[str] = (),
        cwd: Path | None = None,
    ) -> str | None:
        """Run a command that fills a folder, and stop it when that weighs too much.

        Args:
            arguments: The command and its arguments.
            weigh: Says how many bytes there are by now.
            allowed: Bytes that there may be.
            what: What they are called in a message.
            tell: Told how many there are, every now and then.
            before: What starts git.
            cwd: Where it runs.

        Returns:
            None when it succeeded, else what git said.

        Raises:
            InvalidTemplate: There are more bytes than allowed.
        """
        with (self.repository / "said").open("w+b") as said:
            async with process.open_process(
                [*before, *self.prefix, f"--git-dir={self.repository}", *arguments],
                env=self.env,
                cwd=cwd or self.repository,
                stdout=said.fileno(),
                stderr=said.fileno(),
            ) as child:
                while child.returncode is None:
                    with anyio.move_on_after(SECONDS_BETWEEN_REPORTS):
                        await child.wait()
                    size = await anyio.to_thread.run_sync(weigh)
                    if size > allowed:
                        raise InvalidTemplate(
                            f"`{self.address}` has more than {allowed} {what}",
                            hint="name a smaller template, or allow more with `DYNAMO_MCP_TEMPLATE_BYTES`",
                        )
                    if child.returncode is None and tell is not None:
                        await tell(size)
            said.seek(0)
            return said.read(1 << 20).decode("utf-8", "replace") if child.returncode else None


async def open_git(repository: Path, address: str, settings: Settings) -> Git:
    """Make a scratch repository that may be filled from one address.

    Args:
        repository: The folder to make.
        address: Where it will fetch from; its protocol is the only one allowed.
        settings: Where git is looked up, what it gets of the operator's environment, and how long it may take.

    Raises:
        FetchFailed: git is not installed, or can't make a repository.
    """
    executable = shutil.which("git", path=settings.search_path)
    if executable is None:
        raise FetchFailed("git is not installed", hint="install git, or put it on the PATH; or give a folder")
    protocol = next((name for name in ("https", "file") if address.startswith(f"{name}://")), "ssh")
    choices = (*_CHOICES, "protocol.allow=never", f"protocol.{protocol}.allow=always")
    prefix = (executable, *(part for choice in choices for part in ("-c", choice)))
    # GIT_ALLOW_PROTOCOL also reaches the git that serves a repository on this machine, which the flags do not.
    env = _ENVIRONMENT | {"PATH": settings.search_path, "GIT_ALLOW_PROTOCOL": protocol}
    passed = settings.passed
    if protocol == "https":
        env |= {name: passed[source] for name, source in _CERTIFICATES if source in passed}
    if protocol == "ssh":
        env |= {name: passed[name] for name in ("SSH_AUTH_SOCK",) if name in passed}
        env |= {"GIT_SSH_COMMAND": await ssh.command(address, settings, env), "GIT_SSH_VARIANT": "ssh"}
    git = Git(repository, prefix, env, settings, address, address)
    if protocol == "https":
        route = await route_to(address, settings)
        if route.addresses:
            await _refuse_old(executable, env, settings)
        git = git.moved(address, route)
    done = await process.run(
        [*prefix, "init", "--quiet", "--bare", "--template=", str(repository)],
        env=env,
        seconds=settings.fetch_seconds,
        cwd=repository.parent,
    )
    if done.code:
        raise FetchFailed(f"git could not make a repository: {done.error}", hint="see what git says")
    await anyio.to_thread.run_sync(_ignore_filters, repository)
    return git


async def _refuse_old(executable: str, env: dict[str, str], settings: Settings) -> None:
    """Refuse a git that would look a host up again after it was checked."""
    done = await process.run([executable, "version"], env=env, seconds=settings.fetch_seconds)
    found = re.search(rb"(\d+)\.(\d+)", done.stdout)
    if found is None or (int(found[1]), int(found[2])) < _OLDEST:
        raise FetchFailed(
            f"This is `{done.stdout.decode('utf-8', 'replace').strip()}`, which can't be told where a host was found",
            hint="install git 2.37 or newer, or let a person add the template in a shell",
        )


def _ignore_filters(repository: Path) -> None:
    """Outweigh what a `.gitattributes` says of filters; a clone has none either, and keeps such files as committed."""
    folder = repository / "info"
    folder.mkdir(exist_ok=True)
    (folder / "attributes").write_text("* -filter\n", encoding="ascii")


def _weigh_packs(repository: Path) -> int:
    """Return the bytes of what has been fetched so far, and of what was said meanwhile."""
    total = 0
    for path in (repository / "said", *(repository / "objects" / "pack").glob("*")):
        try:
            total += path.lstat().st_size
        except FileNotFoundError:
            continue  # renamed or removed since it was listed
    return total


def _weigh_files(tree: Path) -> int:
    """Return the bytes of the files that have been checked out so far."""
    total = 0
    for folder, _, files in os.walk(tree):
        for name in files:
            with suppress(FileNotFoundError):  # git replaces a file that it has begun
                status = os.lstat(os.path.join(folder, name))  # noqa: PTH118 - thousands of them
                total += status.st_size if stat.S_ISREG(status.st_mode) else 0
    return total
