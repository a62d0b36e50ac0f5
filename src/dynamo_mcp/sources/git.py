"""How is a template fetched from a git repository? One commit, looked at before any of it is checked out.

A scratch repository fetches the commit alone where the host allows it. Git's listing of the commit is linted while it
is read, so a repository of a billion names costs no more than one of as many as are allowed.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import anyio
import anyio.to_thread
import msgspec

from dynamo_mcp import process
from dynamo_mcp.disk import ignores_case
from dynamo_mcp.errors import FetchFailed
from dynamo_mcp.progress import Progress
from dynamo_mcp.settings import Settings
from dynamo_mcp.sources import redirects, revisions
from dynamo_mcp.sources.git_command import Git
from dynamo_mcp.sources.git_opening import open_git
from dynamo_mcp.sources.tree import TARGET_BYTES, Entry, Lint
from dynamo_mcp.sources.wording import shown
from dynamo_mcp.store import Store
from dynamo_mcp.types import Location

_HASH = re.compile(r"[0-9a-f]{4,40}", re.IGNORECASE)
_FULL_HASH = 40
_EVERYTHING = ("+refs/heads/*:refs/dynamo/heads/*", "+refs/tags/*:refs/dynamo/tags/*")
_NOT_OFFERED = re.compile(r"couldn't find remote ref|not our ref|unadvertised object|no such remote ref", re.IGNORECASE)
_ELSEWHERE = re.compile(r"returned error: 30\d")
_ASKED_FIRST = "/info/refs?service=git-upload-pack"
_NOT_SHALLOW = "does not support shallow"
_LONGEST_LINE = 1 << 16
_LINK, _SUBMODULE, _FOLDER = "120000", "160000", "040000"


async def fetch(
    location: Location, tree: Path, *, store: Store, settings: Settings, progress: Progress
) -> tuple[str, bool]:
    """Fetch one commit's tree, without history.

    Args:
        location: The repository and what is wanted of it.
        tree: The folder to make.
        store: Where the scratch repository is kept meanwhile.
        settings: Limits, where git is, and what it gets of the operator's environment.
        progress: What the steps are reported to.

    Returns:
        The commit, in hexadecimal; and whether a branch or a tag of the repository points to it, which is asked where
        places are trusted.

    Raises:
        FetchFailed: git is missing, or the repository can't be had.
        InvalidLocation: The revision or the directory is not there.
        InvalidTemplate: The tree is too big, or something in it can't be used.
    """
    async with store.staged() as repository:
        git = await open_git(repository, location.address, settings)
        await progress.detail(f"fetching `{location.address}`")
        try:
            commit = await _fetch_commit(git, location, progress)
        except _Redirected as error:
            git = await _follow(git, error)
            commit = await _fetch_commit(git, location, progress)
        listed = location.revision is None or not settings.trusted or await revisions.is_listed(git, commit, location)
        ignoring = await anyio.to_thread.run_sync(ignores_case, store.scratch)
        lint = Lint(location.address, settings, ignores_case=ignoring)
        links = await _list(git, commit, lint)
        await progress.detail(f"checking {len(lint.entries)} files and folders")
        await _add_links(git, links, lint)
        await anyio.to_thread.run_sync(lint.finish, location.directory)
        await progress.detail("checking out")
        await anyio.to_thread.run_sync(tree.mkdir)
        await git.check_out(commit, tree)
    return commit, listed


class _Redirected(FetchFailed):
    """The host says to ask elsewhere."""


async def _follow(git: Git, error: _Redirected) -> Git:
    """Return a git that asks where an address was redirected to; only what git asks first may be redirected."""
    url, route = await redirects.follow(git.address, asking=_ASKED_FIRST, settings=git.settings)
    if url == git.address:
        raise error
    return git.moved(url, route)


async def _fetch_commit(git: Git, location: Location, progress: Progress) -> str:
    """Fetch what was asked for by name, else by hash, and return its commit."""
    if location.revision == revisions.LATEST:
        tag = await revisions.latest(git, location)
        await progress.detail(f"the newest version of `{location.address}` is `{tag}`")
        location = msgspec.structs.replace(location, revision=f"refs/tags/{tag}")
    revision = location.revision or "HEAD"
    # The `+` keeps git from reading a branch called `tag` as its own keyword.
    said = await _fetch_shallow(git, location, f"+{revision}", progress)
    if said is None:
        return await revisions.commit(git, "FETCH_HEAD", location)
    if location.revision is None:
        raise FetchFailed(
            f"`{location.address}` has no commit on its default branch",
            hint="name a branch, a tag or a commit as `checkout`, and check that it is a repository",
        )
    if not _HASH.fullmatch(revision):
        raise await revisions.unknown(git, location)
    await progress.detail(f"looking for commit `{revision}` in the history of `{location.address}`")
    said = await git.fetch("--", git.url, *_EVERYTHING, progress=progress)
    if said is not None:
        raise git.explain(location, said)
    return await revisions.commit(git, revision, location)


async def _fetch_shallow(git: Git, location: Location, wanted: str, progress: Progress) -> str | None:
    """Fetch a name or a full hash; return what git said if the repository does not offer it."""
    said = await git.fetch("--depth=1", "--", git.url, wanted, progress=progress)
    if said is not None and _NOT_SHALLOW in said:  # a plain file server
        said = await git.fetch("--", git.url, wanted, progress=progress)
    if said is not None and not _NOT_OFFERED.search(said):
        error = git.explain(location, said)
        raise _Redirected(error.message, hint=error.hint) if _ELSEWHERE.search(said) else error
    return said


async def _list(git: Git, commit: str, lint: Lint) -> dict[str, str]:
    """Add a commit's files and folders to the lint as git lists them, and stop git when there are too many.

    Returns:
        The links, which are still to be added: path to object.
    """
    links: dict[str, str] = {}
    command = [*git.prefix, f"--git-dir={git.repository}", "ls-tree", "-r", "-t", "-l", "-z", commit]
    async with process.open_process(command, env=git.env, cwd=git.repository, stderr=subprocess.DEVNULL) as child:
        pending = b""
        async for chunk in child.stdout or ():  # type: ignore[union-attr]  # it is a pipe
            *lines, pending = (pending + chunk).split(b"\0")
            for line in lines:
                _add(line.decode("utf-8", "surrogateescape"), lint, links)
            if len(pending) > _LONGEST_LINE:
                raise FetchFailed(f"`{git.address}` has a name without an end", hint="ask its author to repair it")
        code = await child.wait()
    if code or pending:
        raise FetchFailed(
            f"git could not list the files of `{git.address}`", hint="the repository may be broken; try again"
        )
    return links


def _add(line: str, lint: Lint, links: dict[str, str]) -> None:
    """Take in a line of git-ls-tree: mode, type, object and size, and after a tab the path."""
    head, _, path = line.partition("\t")
    mode, _, name, size = head.split()
    if mode == _SUBMODULE:
        lint.refuse(f"{shown(path)} is a submodule")
    elif mode == _FOLDER:
        lint.add(Entry(path, "directory"))
    elif mode != _LINK:
        lint.add(Entry(path, "file", int(size)))
    elif int(size) > TARGET_BYTES:
        lint.refuse(f"the link {shown(path)} has a target that is too long")
    else:
        links[path] = name
        lint.add(Entry(path, "link"))


async def _add_links(git: Git, links: dict[str, str], lint: Lint) -> None:
    """Read where the links point, all of them from one git, and add them to the lint."""
    if not links:
        return
    asked = git.repository / "asked"
    await anyio.to_thread.run_sync(asked.write_text, "".join(f"{name}\n" for name in links.values()), "ascii")
    command = [*git.prefix, f"--git-dir={git.repository}", "cat-file", "--batch=%(objectsize)"]
    answer = bytearray()
    with asked.open("rb") as names:
        async with process.open_process(
            command, env=git.env, cwd=git.repository, stdin=names.fileno(), stderr=subprocess.DEVNULL
        ) as child:
            async for chunk in child.stdout or ():  # type: ignore[union-attr]  # it is a pipe
                answer += chunk
            await child.wait()
    at = 0
    for path in links:
        end = answer.find(b"\n", at)
        try:
            size = int(answer[at:end])
        except ValueError as error:
            raise FetchFailed(
                f"git could not read the links of `{git.address}`", hint="the repository may be broken; try again"
            ) from error
        at = end + 1 + size + 1
        lint.add(Entry(path, "link", target=answer[end + 1 : at - 1].decode("utf-8", "surrogateescape")))
