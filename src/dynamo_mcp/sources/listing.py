"""Which files has a commit? Git lists them, and each is looked at while it is read, before any is checked out.

So a repository of a billion names costs no more than one of as many as are allowed.
"""

from __future__ import annotations

import subprocess

import anyio.to_thread

from dynamo_mcp import process
from dynamo_mcp.errors import FetchFailed
from dynamo_mcp.sources.git_command import Git
from dynamo_mcp.sources.tree import TARGET_BYTES, Entry, Lint
from dynamo_mcp.sources.wording import shown

_LONGEST_LINE = 1 << 16
_LINK, _SUBMODULE, _FOLDER = "120000", "160000", "040000"


async def listed(git: Git, commit: str, lint: Lint, folder: str = "") -> tuple[dict[str, str], dict[str, str]]:
    """Add a commit's files and folders to the lint as git lists them, and stop git when there are too many.

    Args:
        git: Has the commit.
        commit: Its hash.
        lint: Takes all of it in; submodules that are not allowed it refuses.
        folder: Where it belongs in the tree; empty for the root.

    Returns:
        The links, which are still to be added: path in the tree to object. And the submodules: path in the commit to
        commit.

    Raises:
        FetchFailed: It can't be listed.
        InvalidTemplate: There are too many entries or bytes.
    """
    links: dict[str, str] = {}
    modules: dict[str, str] = {}
    command = [*git.prefix, f"--git-dir={git.repository}", "ls-tree", "-r", "-t", "-l", "-z", commit]
    async with process.open_process(command, env=git.env, cwd=git.repository, stderr=subprocess.DEVNULL) as child:
        pending = b""
        async for chunk in child.stdout or ():  # type: ignore[union-attr]  # it is a pipe
            *lines, pending = (pending + chunk).split(b"\0")
            for line in lines:
                mode, name, size, path = _read(line.decode("utf-8", "surrogateescape"))
                if mode == _SUBMODULE and git.settings.submodules:
                    modules[path] = name
                    mode = _FOLDER
                _add(mode, name, size, f"{folder}/{path}" if folder else path, lint=lint, links=links, git=git)
            if len(pending) > _LONGEST_LINE:
                raise FetchFailed(f"`{git.address}` has a name without an end", hint="ask its author to repair it")
        code = await child.wait()
    if code or pending:
        raise FetchFailed(
            f"git could not list the files of `{git.address}`", hint="the repository may be broken; try again"
        )
    return links, modules


def _read(line: str) -> tuple[str, str, str, str]:
    """Return what a line of git-ls-tree says: mode, object, size and path."""
    head, _, path = line.partition("\t")
    mode, _, name, size = head.split()
    return mode, name, size, path


def _add(mode: str, name: str, size: str, path: str, *, lint: Lint, links: dict[str, str], git: Git) -> None:
    if mode == _SUBMODULE:
        lint.refuse(f"{shown(path)} is a submodule, which an operator would have to allow (`DYNAMO_MCP_SUBMODULES`)")
    elif mode == _FOLDER:
        lint.add(Entry(path, "directory"))
    elif not size.isdecimal():  # git's `BAD`, for what is not there
        raise FetchFailed(
            f"{shown(path)} of `{git.address}` is missing", hint="the repository may be broken; try again"
        )
    elif mode != _LINK:
        lint.add(Entry(path, "file", int(size)))
    elif int(size) > TARGET_BYTES:
        lint.refuse(f"the link {shown(path)} has a target that is too long")
    else:
        links[path] = name
        lint.add(Entry(path, "link"))


async def add_links(git: Git, links: dict[str, str], lint: Lint) -> None:
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
