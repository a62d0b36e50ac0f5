"""How is git asked? About one repository of ours, within bounds of time and bytes, again where that may help."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
import msgspec

from dynamo_mcp import process
from dynamo_mcp.disk import words
from dynamo_mcp.errors import DynamoError, FetchFailed, InvalidTemplate
from dynamo_mcp.progress import Progress
from dynamo_mcp.settings import Settings
from dynamo_mcp.source_settings import Token
from dynamo_mcp.sources.git_errors import explain, full, is_full, last_words, passes
from dynamo_mcp.sources.hosts import Route
from dynamo_mcp.sources.tokens import for_git, token_for, without
from dynamo_mcp.sources.weighing import clear_packs, weigh_files, weigh_packs
from dynamo_mcp.types import Location

SECONDS_BETWEEN_REPORTS = 0.5
PAUSES = (0.5, 2.0)
"""Seconds before a host is asked again, where that may help."""
PACK_FACTOR = 4
"""Bytes fetched per byte a template may have, at most: an old commit comes with its history when not offered alone."""
MEMORY_FACTOR = 8
LEAST_MEMORY_BYTES = 256 << 20
"""Address space that a checkout may have, per byte that a template may have, and at least: `ident` and an encoding make
a file dozens of times as long, and git does that in memory."""

CONFIGURATION = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
ROOM_TO_SPEAK = 1 << 14
"""Bytes of the disk that git has for its words, before it fills that."""
_PROXY = "https_proxy"


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
        env = {name: value for name, value in env.items() if not name.startswith("GIT_CONFIG_")} | CONFIGURATION
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
            None when it was fetched, else what git said after it was asked again where that may help.

        Raises:
            InvalidTemplate: What comes is more than a template and its history may have; git was stopped.
        """
        for pause in self._pauses():
            said = await self._fetch(*arguments, progress=progress)
            if said is None or not passes(said) or pause is None:
                return said
            await progress.detail(f"`{self.address}` broke off; trying again")
            await anyio.sleep(pause)
            await anyio.to_thread.run_sync(clear_packs, self.repository)
        raise AssertionError

    async def ask(self, *arguments: str, limit: int = 1 << 20) -> process.Completed:
        """Ask the host, again where that may help.

        Args:
            arguments: The command and its arguments.
            limit: Bytes that are kept of what it prints.

        Raises:
            TimedOut: It took too long.
            Failed: It can't be started.
        """
        for pause in self._pauses():
            done = await self.run(*arguments, limit=limit)
            if not done.code or not passes(done.error) or pause is None:
                return done
            await anyio.sleep(pause)
        raise AssertionError

    def _pauses(self) -> tuple[float | None, ...]:
        return (None,) if self.url.startswith("file://") else (*PAUSES, None)

    async def _fetch(self, *arguments: str, progress: Progress) -> str | None:
        command = ["fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "--no-auto-maintenance", *arguments]
        weigh = partial(weigh_packs, self.repository)
        before = await anyio.to_thread.run_sync(weigh)

        async def tell(size: int) -> None:
            nonlocal before
            if size > before:
                before = size
                await progress.detail(f"fetching `{self.address}`: {size / 2**20:.1f} MiB")

        allowed = PACK_FACTOR * self.settings.template_bytes
        return await self._bounded(command, weigh=weigh, allowed=allowed, what="bytes to fetch", tell=tell)

    async def check_out(self, commit: str, tree: Path, *, whole: Path) -> None:
        """Make a commit's files as git's own checkout does, attributes included.

        Args:
            commit: The commit.
            tree: The empty folder to fill; one of a submodule may be made.
            whole: The folder whose size is bounded, which holds it.

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
        await anyio.to_thread.run_sync(partial(tree.mkdir, exist_ok=True))
        weigh = partial(weigh_files, whole)
        said = await self._bounded(command, before=shell, cwd=tree, weigh=weigh, allowed=allowed, what="bytes")
        if said is not None:
            if is_full(said):
                raise full(self.address)
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
        with words("keep what git says", self.repository):
            said = (self.repository / "said").open("w+b")
        with said:
            # What it says of a full disk has its room there already.
            with words("keep what git says", self.repository):
                said.write(b"\n" * ROOM_TO_SPEAK)
                said.flush()
            said.seek(0)
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
