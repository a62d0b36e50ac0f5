"""What may an operator choose? The only module that reads the environment.

Every setting has a `DYNAMO_MCP_*` variable and a safe default; a command's own flags win over both.
"""

from __future__ import annotations

import math
import os
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec
import platformdirs

from dynamo_mcp.auth_settings import SECRET as OAUTH_SECRET
from dynamo_mcp.auth_settings import OAuthSettings, parse_oauth
from dynamo_mcp.errors import UsageError
from dynamo_mcp.source_settings import (
    PREFIX,
    Token,
    parse_abbreviation,
    parse_host,
    parse_switch,
    parse_tokens,
    parse_trusted,
)

ANOTHER_PYTHON = f"set `{PREFIX}PYTHON` to one of your Pythons, or unset it to use the one that runs dynamo-mcp"
"""What to do where no interpreter answers."""

MESSAGE_BYTES = 8 << 20
"""Bytes of all else that a job says at a time: computed answers and choices, which the template alone has made."""
ESCAPED_BYTES = 12
"""Bytes of the longest character in JSON of ASCII (RFC 8259, section 7: two escapes of six)."""
MOST_HOOKS = 16
"""Hooks of one job that are told of."""

NOT_CHOSEN = frozenset({"passed", "search_path", "environment", "person", "serves", "oauth"})
"""Settings that no variable of their name sets."""

SECRET = frozenset({f"{PREFIX}ARCHIVE_PASSWORD", f"{PREFIX}TOKENS", OAUTH_SECRET})
"""Variables that no template gets, whatever its trust."""

LEAST: dict[str, int] = {
    "memory_bytes": 64 << 20,
    "temporary_bytes": 1 << 20,
    "output_bytes": 64 << 10,
    "open_files": 16,
    "processes": 2,
}
"""Below it no job gets as far as its template, so that nothing of what it says would tell of the limit."""
NONE = frozenset({"spare_environments", "grace_seconds"})
"""Settings that may be 0: there are none then."""

_PROXIES = ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY")
PROXIES = (*_PROXIES, *map(str.lower, _PROXIES))
CERTIFICATES = ("GIT_SSL_CAINFO", "SSL_CERT_DIR", "SSL_CERT_FILE")
"""Variables that say how the network is reached, and whom to believe there."""
PASSED_TO_FETCHERS = (
    *PROXIES,
    *CERTIFICATES,
    "SSH_AUTH_SOCK",
    "UV_DEFAULT_INDEX",
    "UV_EXCLUDE_NEWER",
    "UV_INDEX",
    "UV_INDEX_URL",
    "UV_NATIVE_TLS",
    "UV_OFFLINE",
)
"""What git and uv get of the operator's environment: proxies, certificates, indexes, the ssh agent; nothing else."""


class Settings(msgspec.Struct, frozen=True):
    """Everything an operator may choose.

    Attributes:
        home: Where everything is kept; one file system, so that renames are atomic.
        output_roots: Folders below which projects may be written, besides `outputs/` in the home.
        source_roots: Folders below which local templates and repositories may be named.
        serves: A server runs, which has renderers started before they are needed.
        person: A person at the shell speaks: their own words may name any folder and raise trust.
        python: The interpreter that environments are made from.
        create_seconds: Seconds that one create may take.
        fetch_seconds: Seconds that fetching a template may take.
        environment_seconds: Seconds that making an environment may take.
        ask_seconds: Seconds that a person has to answer a form.
        lock_seconds: Seconds to wait for another process that works on the same thing.
        concurrent_creates: Creates that run at the same time; more wait.
        queued_creates: Creates that may wait for their turn; more are refused at once.
        tools: What clients are shown: every tool (`full`), or the general ones (`compact`); all of them work.
        tasks: Tasks that a server may have at a time, those that have ended and are kept counted.
        caller_tasks: Likewise, of one caller.
        task_seconds: Seconds that a task is kept when it has ended.
        templates: Templates that may be registered, each of a repository's own counted.
        renderers: Warm renderers that are kept at most.
        renderer_seconds: Seconds that one which nobody uses is kept; the one that was used last stays.
        spare_environments: Environments that a server has ready for the templates to come.
        kept_environments: Templates' environments that are kept; beyond, the least recently used go.
        kept_bytes: Bytes that environments, their bases, wheels and compiled code may have together; likewise.
        kept_days: Days that what is not used is kept.
        output_bytes: Bytes that a project may have.
        output_files: Files, folders and links that a project may have.
        temporary_bytes: Bytes that a job may keep in its temporary folder, and as many in shared memory.
        hook_output_bytes: Bytes that are kept of what one hook prints: its end.
        hook_interpreter: How Python hooks run: `warm`, in a fork of a renderer, or `own`, each in an interpreter
            that is started for it.
        template_bytes: Bytes that a template's tree may have.
        template_files: Files, folders and links that a template's tree may have.
        user_config: The operator's cookiecutter configuration, whose `default_context` answers where nobody else does.
        answer_characters: Characters that one answer may have.
        total_answer_characters: Characters that all answers of one create may have together.
        memory_bytes: Memory that a job may use with all the processes that it starts, in bytes.
        processes: Processes and threads that a job may have at a time.
        open_files: Files that each process of a job may have open at a time.
        passed: The part of the operator's environment that git and uv get.
        search_path: Where executables are looked up.
        environment: The operator's whole environment but for secrets of ours, which only templates of trust `full` get.
        trust: What a template that is added may do unless somebody says otherwise: `contained` or `inert`.
        trusted: Locations whose templates are the operator's own, and get trust `full`: one that ends in `/` is the
            beginning of many.
        archive_password: What encrypted archives are opened with; kept nowhere.
        allowed_hosts: Hosts that others than a person may fetch from though they are not public: names, `*.suffix`, and
            networks such as `10.0.0.0/8`.
        abbreviations: The operator's own, besides `gh:` and the like: what stands before the colon, and the address,
            in which `{}` is what stands after it.
        submodules: Git repositories may have submodules, which are fetched with them.
        offline: Nothing is fetched: what git repositories had before is used, and packages that are in uv's cache.
        tokens: What private repositories are fetched with; each goes to its own host alone, and is kept nowhere.
        catalogues: Files and https addresses of further catalogues.
        catalogue_seconds: Seconds after which what an address gave is fetched again.
        audit: What the audit log of a server has: nothing (`off`), the calls that change something (`calls`), or with
            them what templates were answered (`answers`).
        audit_days: Days that a day's file of it is kept.
        oauth: Whose tokens are good where callers are asked for one.
    """

    home: Path
    output_roots: tuple[Path, ...] = ()
    source_roots: tuple[Path, ...] = ()
    serves: bool = False
    person: bool = False
    python: Path = Path(sys.executable)
    create_seconds: float = 120.0
    fetch_seconds: float = 300.0
    environment_seconds: float = 600.0
    ask_seconds: float = 300.0
    lock_seconds: float = 600.0
    concurrent_creates: int = max(2, os.cpu_count() or 2)
    renderers: int = max(4, 2 * (os.cpu_count() or 2))
    renderer_seconds: float = 300.0
    spare_environments: int = 8
    kept_environments: int = 500
    kept_bytes: int = 10 << 30
    kept_days: float = 30.0
    queued_creates: int = 1000
    tools: Literal["full", "compact"] = "full"
    tasks: int = 10_000
    caller_tasks: int = 1000
    task_seconds: float = 3600.0
    templates: int = 1000
    output_bytes: int = 256 << 20
    output_files: int = 20_000
    temporary_bytes: int = 64 << 20
    hook_output_bytes: int = 64 << 10
    hook_interpreter: Literal["warm", "own"] = "warm"
    template_bytes: int = 256 << 20
    template_files: int = 20_000
    answer_characters: int = 100_000
    total_answer_characters: int = 500_000
    memory_bytes: int = 2 << 30
    processes: int = 64
    open_files: int = 256
    user_config: Path | None = None
    passed: dict[str, str] = {}
    search_path: str = os.defpath
    environment: dict[str, str] = {}
    trust: Literal["contained", "inert"] = "contained"
    trusted: tuple[str, ...] = ()
    archive_password: str | None = None
    allowed_hosts: tuple[str, ...] = ()
    abbreviations: dict[str, str] = {}
    tokens: tuple[Token, ...] = ()
    offline: bool = False
    submodules: bool = False
    catalogues: tuple[str, ...] = ()
    catalogue_seconds: float = 86_400.0
    audit: Literal["off", "calls", "answers"] = "calls"
    audit_days: float = 90.0
    oauth: OAuthSettings = OAuthSettings()

    @property
    def outputs(self) -> Path:
        """Where projects go when nobody says where."""
        return self.home / "outputs"

    @property
    def message_bytes(self) -> int:
        """Bytes of a job's longest message: every answer, and what all hooks print, each character escaped."""
        escaped = ESCAPED_BYTES * (self.total_answer_characters + MOST_HOOKS * self.hook_output_bytes)
        return min(MESSAGE_BYTES + escaped, sys.maxsize >> 1)


def load(environ: Mapping[str, str] | None = None, **chosen: object) -> Settings:
    """Read the settings.

    Args:
        environ: Environment variables; those of the process when None.
        chosen: Settings that win over the environment; None leaves one as it is.

    Raises:
        UsageError: A variable's value does not fit its setting.
    """
    environ = os.environ if environ is None else environ
    values: dict[str, object] = {"home": Path(platformdirs.user_data_dir("dynamo-mcp", appauthor=False))}
    for field in msgspec.structs.fields(Settings):
        if field.name in NOT_CHOSEN:
            continue
        text = environ.get(PREFIX + field.name.upper())
        if text:
            values[field.name] = _parse(field.name, field.type, text)
    own: Any = values.get("abbreviations", {})
    if "trusted" in values:
        values["trusted"] = tuple(parse_trusted(part, own) for part in environ[PREFIX + "TRUSTED"].split())
    values["oauth"] = parse_oauth(environ)
    values |= {name: value for name, value in chosen.items() if value is not None}
    passed = {name: environ[name] for name in PASSED_TO_FETCHERS if environ.get(name)}
    values["passed"] = passed | ({"UV_OFFLINE": "1"} if values.get("offline") else {})
    values["environment"] = {name: value for name, value in environ.items() if name not in SECRET}
    values["search_path"] = environ.get("PATH", os.defpath)
    settings = Settings(**values)  # type: ignore[arg-type]  # every value was parsed by its field's type
    return msgspec.structs.replace(
        settings,
        home=_absolute("home", settings.home),
        output_roots=tuple(_absolute("output_roots", root) for root in settings.output_roots),
        source_roots=tuple(_absolute("source_roots", root) for root in settings.source_roots),
        user_config=_absolute("user_config", settings.user_config) if settings.user_config else None,
        # A link stays one: it says which environment is meant.
        python=Path(os.path.abspath(settings.python)),  # noqa: PTH100 - `resolve` would follow the link
    )


def _parse(name: str, wanted: object, text: str) -> object:
    if wanted in (Path, Path | None):
        return Path(text)
    if name.endswith("_roots"):
        return tuple(Path(part) for part in text.split(os.pathsep) if part)
    if wanted == str | None:
        return text
    if wanted is bool:
        return parse_switch(name, text)
    if name in _WORDS:
        return _word(name, text)
    if name in _READERS:
        return _READERS[name](text)
    if name.endswith("_hosts"):
        return tuple(parse_host(name, part) for part in re.split(r"[\s,]+", text) if part)
    return number(name, wanted, text)


def number(name: str, wanted: object, text: str) -> int | float:
    """Read a number above zero, or 0 where that means something; refuse any other (`UsageError`)."""
    variable = PREFIX + name.upper()
    try:
        number: int | float = msgspec.convert(text, type=wanted, strict=False)
    except msgspec.ValidationError:
        number = -1
    if not 0 < number < math.inf and not (number == 0 and name in NONE):
        kind = f"a {'whole ' if wanted is int else ''}number{', or 0 for none' if name in NONE else ' above zero'}"
        raise UsageError(
            f"`{variable}` is `{text}`, which is not {kind}",
            hint=f"set it to {kind}, or unset it to use its default",
        )
    if isinstance(number, int) and number > sys.maxsize:
        raise UsageError(
            f"`{variable}` is `{text}`, which is more than any machine has",
            hint=f"set it to {sys.maxsize} at most, or unset it to use its default",
        )
    if number < LEAST.get(name, 0):
        raise UsageError(
            f"`{variable}` is `{text}`, with which no project could be created",
            hint=f"set it to {LEAST[name]} at least, or unset it to use its default",
        )
    return number


_WORDS = {
    "audit": (
        ("off", "calls", "answers"),
        "nothing that can be logged",
        "it is `off`, `calls` (who changed what, and how it ended), or `answers` (that, and what was answered)",
    ),
    "hook_interpreter": (
        ("warm", "own"),
        "no way to run Python hooks",
        "it is `warm` (in a fork of a renderer) or `own` (each in an interpreter that is started for it)",
    ),
    "tools": (
        ("full", "compact"),
        "no way to show tools",
        "it is `full` (each template has a tool of its own) or `compact` (the general tools only are listed)",
    ),
    "trust": (
        ("contained", "inert"),
        "nothing that every template may get",
        (
            "it is `contained` or `inert`; of templates that are your own, name where they come from in "
            f"`{PREFIX}TRUSTED`, and of a single one say `dynamo-mcp trust NAME full`"
        ),
    ),
}
"""Of a setting that is one of some words: these, what any other is, and what to do."""


def _word(name: str, text: str) -> str:
    allowed, wrong, hint = _WORDS[name]
    if text in allowed:
        return text
    raise UsageError(f"`{PREFIX}{name.upper()}` is `{text}`, which is {wrong}", hint=hint)


_READERS: dict[str, Callable[[str], object]] = {
    "abbreviations": lambda text: dict(map(parse_abbreviation, text.split())),
    "catalogues": lambda text: tuple(dict.fromkeys(map(_parse_catalogue, text.split()))),
    "tokens": parse_tokens,
    "trusted": lambda text: tuple(text.split()),
}


def _parse_catalogue(text: str) -> str:
    if re.fullmatch(r"https://[^/@\\?#]+/[^\\#]+", text):
        return text
    if "://" not in text and text.isprintable():
        return str(_absolute("catalogues", Path(text)))
    raise UsageError(
        f"`{PREFIX}CATALOGUES` holds `{text}`, which is neither a file nor an https address without a user",
        hint="name files and addresses such as `https://example.org/catalogue.json`, with spaces between them",
    )


def _absolute(name: str, path: Path) -> Path:
    try:
        return Path(os.path.realpath(path.expanduser()))
    except (RuntimeError, ValueError, OSError) as error:
        raise UsageError(
            f"`{PREFIX}{name.upper()}` is `{path}`: {error}", hint="name a folder or a file that can be there"
        ) from error
