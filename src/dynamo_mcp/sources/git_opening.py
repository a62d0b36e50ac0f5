"""With what is git asked? One set of flags and one clean environment, for every command.

Nothing of the operator's or the machine's git configuration is read, so no filter, hook, credential helper or rewritten
address of theirs can run or apply. Only the one protocol that the location needs is allowed, and no redirect is
followed.

Where a host was looked up to check it (`hosts.py`, `ssh.py`), git does not look it up again: it connects to what was
checked.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import anyio.to_thread

from dynamo_mcp import process
from dynamo_mcp.disk import words
from dynamo_mcp.errors import FetchFailed
from dynamo_mcp.settings import Settings
from dynamo_mcp.sources import ssh
from dynamo_mcp.sources.git_command import CONFIGURATION, Git
from dynamo_mcp.sources.hosts import route_to

_STALLED_SECONDS = 60
_STALLED_PART = 5
"""A host that says nothing for so long is asked again, or for so small a part of what a fetch may take."""

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
    "http.lowSpeedLimit=1",
    "gc.auto=0",
    "maintenance.auto=false",
    "advice.detachedHead=false",
)
_ENVIRONMENT = {
    "HOME": "/nonexistent",
    "LC_ALL": "C",  # `git_errors` reads what it says
    "GIT_ASKPASS": "/bin/false",
    "GIT_ATTR_NOSYSTEM": "1",
    **CONFIGURATION,
    "GIT_LFS_SKIP_SMUDGE": "1",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_TERMINAL_PROMPT": "0",
}
_CERTIFICATES = (
    ("GIT_SSL_CAINFO", "SSL_CERT_FILE"),
    ("GIT_SSL_CAINFO", "GIT_SSL_CAINFO"),
    ("GIT_SSL_CAPATH", "SSL_CERT_DIR"),
)
_OLDEST = (2, 37)
"""The first git that can be told which address a host has."""


async def open_git(repository: Path, address: str, settings: Settings, *, asking: bool = True) -> Git:
    """Make a scratch repository that may be filled from one address.

    Args:
        repository: The folder to make.
        address: Where it will fetch from; its protocol is the only one allowed.
        settings: Where git is looked up, what it gets of the operator's environment, and how long it may take.
        asking: It may ask its host; otherwise that is not even looked up.

    Raises:
        InvalidLocation: The host may not be asked.
        FetchFailed: git is not installed.
        StorageFailed: The folder can't be made.
    """
    executable = shutil.which("git", path=settings.search_path)
    if executable is None:
        raise FetchFailed("git is not installed", hint="install git, or put it on the PATH; or give a folder")
    protocol = next((name for name in ("https", "file") if address.startswith(f"{name}://")), "ssh")
    choices = (
        *_CHOICES,
        f"http.lowSpeedTime={max(1, min(_STALLED_SECONDS, int(settings.fetch_seconds / _STALLED_PART)))}",
        "protocol.allow=never",
        *([f"protocol.{protocol}.allow=always"] if asking else []),
    )
    prefix = (executable, *(part for choice in choices for part in ("-c", choice)))
    # GIT_ALLOW_PROTOCOL also reaches the git that serves a repository on this machine, which the flags do not.
    env = _ENVIRONMENT | {"PATH": settings.search_path, "GIT_ALLOW_PROTOCOL": protocol if asking else ""}
    passed = settings.passed
    if protocol == "https":
        env |= {name: passed[source] for name, source in _CERTIFICATES if source in passed}
    if protocol == "ssh" and asking:
        env |= {name: passed[name] for name in ("SSH_AUTH_SOCK",) if name in passed}
        env |= {"GIT_SSH_COMMAND": await ssh.command(address, settings, env), "GIT_SSH_VARIANT": "ssh"}
    git = Git(repository, prefix, env, settings, address, address)
    if protocol == "https" and asking:
        route = await route_to(address, settings)
        if route.addresses:
            await _refuse_old(executable, env, settings)
        git = git.moved(address, route)
    await anyio.to_thread.run_sync(_make, repository)
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


def _make(repository: Path) -> None:
    """Make what `git init --bare` would (gitrepository-layout(5)), for a tenth of what starting it takes."""
    with words("make a repository of git", repository):
        for folder in ("objects/info", "objects/pack", "refs/heads", "refs/tags", "info"):
            (repository / folder).mkdir(parents=True)
        (repository / "HEAD").write_text("ref: refs/heads/main\n", encoding="ascii")
        (repository / "config").write_text("[core]\n\trepositoryformatversion = 0\n\tbare = true\n", encoding="ascii")
        # Outweighs what a `.gitattributes` says of filters; a clone has none either, and keeps such files as committed.
        (repository / "info" / "attributes").write_text("* -filter\n", encoding="ascii")
