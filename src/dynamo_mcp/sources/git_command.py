"""How is git asked? One set of flags and one clean environment, for every command.

Nothing of the operator's or the machine's git configuration is read, so no filter, hook, credential helper or rewritten
address of theirs can run or apply. Only the one protocol that the location needs is allowed, and no redirect is
followed.

Over ssh, the operator's own keys and known hosts are what makes it work: ssh finds the user's home in the password
database, whatever HOME says, so git gets none. The agent's socket is handed over by name, and a host that is not known
yet is refused rather than trusted. The user's ssh configuration is read (it may say which key is for which host), but
may not forward anything, run a local command, or leave a connection behind.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import anyio.to_thread
import msgspec

from dynamo_mcp import process
from dynamo_mcp.errors import FetchFailed, InvalidTemplate
from dynamo_mcp.progress import Progress
from dynamo_mcp.settings import Settings

SECONDS_BETWEEN_REPORTS = 0.5
PACK_FACTOR = 4
"""Bytes fetched per byte a template may have, at most: an old commit comes with its history when not offered alone."""

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
_ENVIRONMENT = {
    "HOME": "/nonexistent",
    "LC_ALL": "C",  # `git_errors` reads what it says
    "GIT_ASKPASS": "/bin/false",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_LFS_SKIP_SMUDGE": "1",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_TERMINAL_PROMPT": "0",
}
_PROXIES = ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY")
_CERTIFICATES = (
    ("GIT_SSL_CAINFO", "SSL_CERT_FILE"),
    ("GIT_SSL_CAINFO", "GIT_SSL_CAINFO"),
    ("GIT_SSL_CAPATH", "SSL_CERT_DIR"),
)
_SSH = (
    "ssh -oBatchMode=yes -oStrictHostKeyChecking=yes -oClearAllForwardings=yes -oForwardAgent=no -oForwardX11=no "
    "-oPermitLocalCommand=no -oControlMaster=no -oControlPath=none"
)


class Git(msgspec.Struct, frozen=True):
    """Asks git about one scratch repository; `open_git` makes it.

    Attributes:
        repository: The scratch repository, which is bare.
        prefix: The executable and its flags.
        env: Its whole environment.
        settings: Bound what it may take.
        address: What it fetches from, for messages.
    """

    repository: Path
    prefix: tuple[str, ...]
    env: dict[str, str]
    settings: Settings
    address: str

    async def run(self, *arguments: str, work_tree: Path | None = None) -> process.Completed:
        """Run one command to its end.

        Args:
            arguments: The command and its arguments.
            work_tree: The folder that it checks out into.

        Raises:
            TimedOut: It took too long.
            Failed: It can't be started.
        """
        place = (f"--git-dir={self.repository}", *((f"--work-tree={work_tree}",) if work_tree else ()))
        return await process.run(
            [*self.prefix, *place, *arguments],
            env=self.env,
            seconds=self.settings.fetch_seconds,
            cwd=work_tree or self.repository,
        )

    async def must(self, *arguments: str, work_tree: Path | None = None) -> bytes:
        """Run one command and return its output.

        Raises:
            FetchFailed: It failed.
        """
        done = await self.run(*arguments, work_tree=work_tree)
        if done.code:
            raise FetchFailed(
                f"git could not {arguments[0]} `{self.address}`: {done.error}",
                hint="see what git says; the repository may be broken, or the disk full",
            )
        return done.stdout

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
        allowed = PACK_FACTOR * self.settings.template_bytes
        before = await anyio.to_thread.run_sync(_weigh, self.repository)
        with (self.repository / "said").open("w+b") as said:
            async with process.open_process(
                [*self.prefix, f"--git-dir={self.repository}", *command],
                env=self.env,
                cwd=self.repository,
                stdout=said.fileno(),
                stderr=said.fileno(),
            ) as child:
                while child.returncode is None:
                    with anyio.move_on_after(SECONDS_BETWEEN_REPORTS):
                        await child.wait()
                    size = await anyio.to_thread.run_sync(_weigh, self.repository)
                    if size > allowed:
                        raise InvalidTemplate(
                            f"`{self.address}` has more than {allowed} bytes to fetch",
                            hint="name a smaller template, or allow more with `DYNAMO_MCP_TEMPLATE_BYTES`",
                        )
                    if child.returncode is None and size > before:
                        before = size
                        await progress.detail(f"fetching `{self.address}`: {size / 2**20:.1f} MiB")
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
        names = (spelling for name in _PROXIES for spelling in (name, name.lower()))
        env |= {name: passed[name] for name in names if name in passed}
        env |= {name: passed[source] for name, source in _CERTIFICATES if source in passed}
    if protocol == "ssh":
        env |= {"GIT_SSH_COMMAND": _SSH, "GIT_SSH_VARIANT": "ssh"}
        env |= {name: passed[name] for name in ("SSH_AUTH_SOCK",) if name in passed}
    git = Git(repository, prefix, env, settings, address)
    done = await process.run(
        [*prefix, "init", "--quiet", "--bare", "--template=", str(repository)],
        env=env,
        seconds=settings.fetch_seconds,
        cwd=repository.parent,
    )
    if done.code:
        raise FetchFailed(f"git could not make a repository: {done.error}", hint="see what git says")
    await anyio.to_thread.run_sync(_ignore_attributes, repository)
    return git


def _ignore_attributes(repository: Path) -> None:
    """Outweigh every `.gitattributes` of the tree, so that a file is what was committed, byte for byte."""
    folder = repository / "info"
    folder.mkdir(exist_ok=True)
    (folder / "attributes").write_text("* -text -eol -ident -filter -working-tree-encoding\n", encoding="ascii")


def _weigh(repository: Path) -> int:
    """Return the bytes of what has been fetched so far, and of what was said meanwhile."""
    total = 0
    for path in (repository / "said", *(repository / "objects" / "pack").glob("*")):
        try:
            total += path.lstat().st_size
        except FileNotFoundError:
            continue  # renamed or removed since it was listed
    return total
