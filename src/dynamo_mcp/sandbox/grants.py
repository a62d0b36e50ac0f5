"""What did a person give a template besides its trust, and what of it may anybody give?

A grant is a word: `network`, `executable:/path`, `read:/path`. It is checked when it is given, and again for each job,
since what a path leads to may have changed.
"""

from __future__ import annotations

import difflib
import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from dynamo_mcp.errors import DynamoError, Refused, UsageError
from dynamo_mcp.settings import CERTIFICATES, PROXIES, Settings

NETWORK = "network"
EXECUTABLE = "executable:"
READ = "read:"
ALLOWED = "it is `network`, `executable:/path` (or a name on your `PATH`), or `read:/path`"
MOST = 32
_KINDS = {"network": "network", "net": "network", "executable": "executable:{}", "read": "read:{}"}
"""What may be meant by a word, by what it begins with."""

NETWORK_FILES = (
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/nsswitch.conf",
    "/etc/gai.conf",
    "/etc/ssl/certs",
    "/etc/ssl/cert.pem",
    "/etc/pki/tls/certs",
    "/etc/pki/ca-trust/extracted",
)
"""What a program needs to find and believe a host; beside the certificates in `/etc/ssl` lie private keys."""

_OWN = ("/proc", "/sys", "/dev")
"""What the sandbox has of its own, all that is below it too."""
_MADE = ("/tmp", "/output", "/etc")  # noqa: S108 - of the sandbox
"""Folders that the sandbox makes; what is below them may be granted."""


class Grants(msgspec.Struct, frozen=True):
    """What a template is given besides its trust.

    Attributes:
        network: The machine's network.
        executables: Executables outside of what every job sees, as they were named: absolute, perhaps links.
        read: Files and folders, likewise.
    """

    network: bool = False
    executables: tuple[Path, ...] = ()
    read: tuple[Path, ...] = ()

    @property
    def paths(self) -> tuple[Path, ...]:
        """What jobs may read, by its own name and by that of what it leads to."""
        named = (*self.executables, *self.read)
        real = (Path(os.path.realpath(path)) for path in named)
        return tuple(dict.fromkeys([*named, *real]))

    @property
    def folders(self) -> tuple[Path, ...]:
        """Where the executables lie, for the search path."""
        return tuple(dict.fromkeys(path.parent for path in self.executables))


NONE = Grants()


def parse(words: Iterable[str], settings: Settings) -> tuple[str, ...]:
    """Read what a person gives.

    Returns:
        The grants, with absolute paths, sorted and once.

    Raises:
        UsageError: It is no grant, or there is nothing of that name.
        Refused: It would undo the sandbox.
    """
    given = tuple(sorted({_parsed(word, settings) for word in words}))
    if len(given) > MOST:
        raise UsageError(
            f"{len(given)} grants are more than the {MOST} that a template may have", hint="name a folder once, whole"
        )
    return given


def granted(template: str, words: Sequence[str], settings: Settings) -> Grants:
    """Return what a job of a template gets of its grants, after a look at what they lead to now.

    Raises:
        Refused: One can't be given any more.
    """
    for word in words:
        try:
            _parsed(word, settings)
        except DynamoError as error:
            others = [other for other in words if other != word]
            raise Refused(
                f"Template `{template}` was granted `{word}`, and can't have it at trust `contained`: {error.message}",
                hint=f"let it do without: `{command(template, 'contained', others)}`; or bring that back, and give all "
                f"of it again: `{command(template, 'contained', words)}`",
            ) from error
    return Grants(
        NETWORK in words,
        tuple(Path(word.removeprefix(EXECUTABLE)) for word in words if word.startswith(EXECUTABLE)),
        tuple(Path(word.removeprefix(READ)) for word in words if word.startswith(READ)),
    )


def environment(grants: Grants, settings: Settings) -> dict[str, str]:
    """Return what of the operator's environment goes with the grants."""
    if not grants.network:
        return {}
    return {name: value for name, value in settings.passed.items() if name in {*PROXIES, *CERTIFICATES}}


def network_files(grants: Grants, settings: Settings) -> tuple[Path, ...]:
    """Return the files that go with the network, those that the operator's certificate variables name too."""
    if not grants.network:
        return ()
    named = [environment(grants, settings).get(name) for name in CERTIFICATES]
    return tuple(Path(name) for name in (*NETWORK_FILES, *named) if name and os.path.isabs(name))  # noqa: PTH117


def command(template: str, trust: str, words: Iterable[str] = ()) -> str:
    """Return what a person types to set a template's trust."""
    return " ".join(["dynamo-mcp trust", template, trust, *(f"--grant {_shown(word)}" for word in words)])


def _shown(word: str) -> str:
    plain = all(char.isalnum() or char in "/._:-+" for char in word)
    return word if plain else "'" + word.replace("'", "'\\''") + "'"


def _parsed(word: str, settings: Settings) -> str:
    if word == NETWORK:
        return word
    if word.startswith(EXECUTABLE) and word != EXECUTABLE:
        return EXECUTABLE + str(_executable(word.removeprefix(EXECUTABLE), settings))
    if word.startswith(READ) and word != READ:
        path = _absolute(word.removeprefix(READ))
        if not path.exists():
            raise UsageError(f"There is no `{path}` that could be read", hint="name a file or a folder that is there")
        _refuse_undoing(word, path, settings)
        return READ + str(path)
    kind, _, rest = word.strip().partition(":")
    near = difflib.get_close_matches(kind.lower(), _KINDS, n=1, cutoff=0.4)
    meant = f"did you mean `{_KINDS[near[0]].format(rest or '/path')}`? " if near else ""
    raise UsageError(f"`{word}` is nothing that can be granted", hint=meant + ALLOWED)


def _executable(name: str, settings: Settings) -> Path:
    found = shutil.which(name, path=settings.search_path)
    path = _absolute(found or name)
    if found is None and os.sep in name and path.exists():
        what = "a folder" if path.is_dir() else "a file that may not be executed"
        raise UsageError(
            f"`{path}` is {what}, not an executable", hint=f"to let it be read, grant `{READ}{path}`; or name another"
        )
    if found is None or not path.is_file():
        where = f"There is no executable `{name}`" + ("" if os.sep in name else " on your `PATH`")
        raise UsageError(where, hint="install it, or name the file: `executable:/path`")
    return path


def _absolute(name: str) -> Path:
    """Return an absolute path without `..`; links stay, since hooks know what is there by its name."""
    if "\0" in name or not name.isprintable():
        raise UsageError(f"{name!r} is no path that can be granted", hint=ALLOWED)
    return Path(os.path.abspath(os.path.expanduser(name)))  # noqa: PTH100, PTH111 - `resolve` would follow the links


def _refuse_undoing(word: str, path: Path, settings: Settings) -> None:
    """Refuse what would give a stranger the machine, or dynamo-mcp itself.

    Raises:
        Refused: With the reason.
    """
    reason: str | None = None
    home = Path(os.path.realpath(settings.environment.get("HOME") or os.path.expanduser("~")))  # noqa: PTH111
    own = Path(os.path.realpath(settings.home))
    for each in (path, Path(os.path.realpath(path))):
        if each == Path("/"):
            reason = "that is the whole machine"
        elif home.is_relative_to(each):
            reason = "your home folder, with its keys and passwords, lies in it"
        elif own.is_relative_to(each) or each.is_relative_to(own):
            reason = "dynamo-mcp keeps its own things there, those of other templates and its keys too"
        elif any(each.is_relative_to(folder) for folder in _OWN):
            reason = "the sandbox has that folder of its own, and this machine's tells of other programs"
        elif str(each) in _MADE:
            reason = (
                "the sandbox has that folder of its own; what lies in this machine's may be granted by its own name"
            )
        if reason is not None:
            raise Refused(
                f"`{word}` can't be granted, since it would undo the sandbox: {reason}",
                hint="name the file or the folder that the template needs, and no more",
            )
