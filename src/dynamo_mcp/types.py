"""The nouns: frozen values that one stage hands to the next, none of which does anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, TypeAlias

import msgspec

Trust: TypeAlias = Literal["inert", "contained", "full"]
Tier: TypeAlias = Literal["strong", "reduced", "none"]
Backend: TypeAlias = Literal["bubblewrap", "user"]
IfExists: TypeAlias = Literal["error", "skip", "overwrite"]
Change: TypeAlias = Literal["new", "same", "changed", "kept"]
Newness: TypeAlias = Literal["current", "newer", "unknown", "failed"]
LocationKind: TypeAlias = str
"""`git`, `local`, `archive`, `pypi`, or the name of a source that an installed package has (`sources/source.py`)."""
VariableKind: TypeAlias = Literal["text", "boolean", "yes_no", "choice", "number", "mapping"]
How: TypeAlias = Literal["named", "table", "index"]
VariableType: TypeAlias = Literal["string", "boolean", "number", "choice", "mapping"]


class Location(msgspec.Struct, frozen=True):
    """Where a template comes from.

    Attributes:
        kind: The source that fetches it.
        address: A URL, an absolute path, `pypi:` and the name of a package, or what begins with another source's name.
        revision: The branch, tag, commit or version that was asked for; None is the default branch, or the newest.
        directory: The template's folder inside the repository, `/`-separated; None is its root.
        live: The folder is used in place, and its schema follows every edit.
        bundled: It is part of this program.
    """

    kind: LocationKind
    address: str
    revision: str | None = None
    directory: str | None = None
    live: bool = False
    bundled: bool = False


class Checkout(msgspec.Struct, frozen=True):
    """A fetched, linted tree.

    Attributes:
        path: The tree's root: a folder in `checkouts/`, or the folder itself when the location is live.
        revision: The commit, for git; the SHA-256 of the file, for an archive; the version, for a package; None
            otherwise.
        digest: SHA-256 of the tree's names, modes and contents, in hexadecimal.
        left_out: What was not taken of a folder that projects are made of: each path, and why.
        listed: As of `Template`.
        origin: As there.
        validator: Of an archive of a host, the header by which that tells its versions apart, and what it says.
    """

    path: Path
    revision: str | None
    digest: str
    left_out: tuple[str, ...] = ()
    listed: bool = True
    origin: str | None = None
    validator: str = ""


class Need(msgspec.Struct, frozen=True):
    """A package that a template needs.

    Attributes:
        requirement: A normalised specifier.
        module: What is imported of it; None where the caller named it and no import of it was found.
        found: Where it is imported or named first, in words.
        always: The template can't run without the module.
        how: `named` by the caller; in the bundled `table` of modules; guessed: on the `index` under the module's own
            name, which the table does not know.
    """

    requirement: str
    module: str | None
    found: str
    how: How
    always: bool = True

    @property
    def told(self) -> str:
        """What it is for, in words."""
        return f"module `{self.module}` ({self.found})" if self.module else f"what was {self.found}"


class MissingModule(msgspec.Struct, frozen=True):
    """A module that a template imports and nobody holds.

    Attributes:
        found: Where it is imported first, in words.
        why: Why no package holds it.
        always: The template can't run without it; otherwise only a part of it can't.
    """

    module: str
    found: str
    why: str
    always: bool


class Executable(msgspec.Struct, frozen=True):
    """An executable that a template calls.

    Attributes:
        found: Where it is called first, in words.
        present: A job of the template finds it now; null in a record, since it is looked up whenever it is told.
        hint: What would bring it, where it is absent.
    """

    name: str
    found: str
    present: bool | None = None
    hint: str | None = None


class Needs(msgspec.Struct, frozen=True):
    """What a template needs, as far as its files say.

    Attributes:
        requirements: The packages that its environment holds for it, cookiecutter left out.
        missing: What it imports and nobody holds.
        optional: What it tries to import and does without: each module, and where.
        executables: What it calls, in the order of their names.
        network: By what it seems to reach for the network, and where first.
        unread: The files that run and were not read to their end, since that would take too long.
        more: By field, how many more were found than are listed.
    """

    requirements: tuple[Need, ...] = ()
    missing: tuple[MissingModule, ...] = ()
    optional: tuple[str, ...] = ()
    executables: tuple[Executable, ...] = ()
    network: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    more: dict[str, int] = {}


class Group(msgspec.Struct, frozen=True):
    """The repository of several templates that a template came with.

    Attributes:
        name: What all of them are updated and removed by; it is no template itself.
        directory: The folder whose `cookiecutter.json` names them; None is the repository's root.
        members: The folders of all that were ever registered with it, so that one that was removed stays removed.
    """

    name: str
    directory: str | None
    members: tuple[str, ...]


class Vouched(msgspec.Struct, frozen=True):
    """What of a template a person had before them when they said how much of it may run.

    Attributes:
        digest: Of the whole tree, in hexadecimal.
        revision: Its commit; None where there is none.
        hooks: SHA-256 of its hooks, in hexadecimal.
        extensions: The same of the extensions that it names, and of those that it brings.
        whole: Of a live folder, a digest of all that lies in it and may run, also environments and bytecode.
        by_setting: It was said of the place by the operator's setting, and of the template by nobody.
    """

    digest: str
    revision: str | None
    hooks: str
    extensions: str
    whole: str = ""
    by_setting: bool = False


class Template(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A registered, pinned template; its record is `templates/<name>.json`.

    Attributes:
        path: The folder that holds `cookiecutter.json`.
        checkout: The root of the tree that `path` is in.
        requirements: All that it needs installed, as normalised specifiers, cookiecutter left out.
        named_requirements: Those of them that the caller named.
        named_by_person: A person did, in a shell.
        needs: Where each of them was found, and what else it needs.
        asked: A fingerprint of each of its variables, so that an update can tell what changed.
        examples: What derived defaults came to with no answers, when it was prepared: short and plain values.
        notes: What was found wrong with it then that does not keep it from being of use.
        problem: What was found then that does.
        last_updated: When it was last fetched, ISO 8601 in UTC.
        grants: What a person gave it besides its trust: `network`, `executable:/path`, `read:/path`.
        trusted_for: What a person's word on trust and grants was given for; None where nobody has said anything.
        group: What it came with, where the repository holds several.
        configuration: The text of the `cookiecutter.json` that its `pre_prompt` hook has left; None where none has run.
        configured_from: SHA-256 of the `cookiecutter.json` that the hook has found, in hexadecimal.
        left_out: What its checkout lacks of its location: each path in the checkout, and why.
        listed: Its commit is what a branch or a tag of its repository points to, as far as the operator trusts places:
            hosts hand out every stranger's pull request under the same address.
        origin: The file of a package that it came with: its address, without anything secret, and after `#sha256=` its
            digest, in hexadecimal; None of what is no package.
        validator: As of `Checkout`.
    """

    name: str
    description: str
    location: Location
    path: Path
    checkout: Path
    digest: str
    last_updated: str
    revision: str | None = None
    requirements: tuple[str, ...] = ()
    named_requirements: tuple[str, ...] = ()
    named_by_person: bool = False
    needs: Needs = Needs()
    asked: dict[str, str] = {}
    examples: dict[str, Any] = {}
    notes: tuple[str, ...] = ()
    problem: str | None = None
    trust: Trust = "contained"
    grants: tuple[str, ...] = ()
    trusted_for: Vouched | None = None
    category: str | None = None
    tags: tuple[str, ...] = ()
    group: Group | None = None
    configuration: str | None = None
    configured_from: str | None = None
    left_out: tuple[str, ...] = ()
    listed: bool = True
    origin: str | None = None
    validator: str = ""


class Environment(msgspec.Struct, frozen=True):
    """A virtual environment that uv made for one template revision.

    Attributes:
        path: The template's own environment, which jobs enter.
        base: The environment it is a clone of.
        plain: The base of cookiecutter alone, which renderers are started with: no template has a say in what is in it.
        key: Digest of interpreter, platform, cookiecutter version and requirements, in hexadecimal.
        packages: `name==version` of everything installed, sorted.
    """

    path: Path
    base: Path
    plain: Path
    key: str
    packages: tuple[str, ...]


class HookRun(msgspec.Struct, frozen=True):
    """What one of the template's hooks printed and how long it took.

    Attributes:
        output: The end of it, of `DYNAMO_MCP_HOOK_OUTPUT_BYTES` at most.
        seconds: Seconds.
    """

    hook: str
    output: str
    seconds: float


class Rendered(msgspec.Struct, frozen=True):
    """What a renderer made, before it is checked and published.

    Attributes:
        directory: The project folder's name.
        root: The folder that holds it; only valid while the renderer is held.
        within: The folder above it that nothing of a template could replace.
        seen: The same folder, as the job sees it.
        answers: Every variable of the template with the value that the files were rendered with.
    """

    directory: str
    root: Path
    within: Path
    seen: Path
    answers: dict[str, Any]
    hooks: tuple[HookRun, ...]
    seconds: dict[str, float]


class Inspected(msgspec.Struct, frozen=True):
    """What a template's `pre_prompt` hook has left.

    Attributes:
        configuration: The text of its `cookiecutter.json`.
        names: Those in its folder that may be a project's, since `cookiecutter` is in them.
    """

    configuration: str
    names: tuple[str, ...]
    hooks: tuple[HookRun, ...]


class Primitive(msgspec.Struct, frozen=True):
    """One of the things that confinement is made of.

    Attributes:
        name: Such as `bubblewrap`, `landlock`, `seccomp`.
        present: It works here, which was tried.
        why: What was found, in words: a version, or what keeps it from working.
        command: What a person can run to get it; None where it is there, or nothing brings it.
    """

    name: str
    present: bool
    why: str
    command: str | None = None


class Confinement(msgspec.Struct, frozen=True):
    """How far a process is confined, and by what.

    Attributes:
        tier: `strong`, `reduced` or `none`.
        mechanisms: What is applied, such as `bubblewrap`, `landlock-7`, `seccomp`.
        advice: What keeps it from a better tier, in words; None where there is none better.
        backend: What walls renderers in at tier `strong`: namespaces by bubblewrap, or a user of their own.
        primitives: All that was tried, whether it is used or not.
        command: The one command that brings a better tier; None where no command does.
    """

    tier: Tier
    mechanisms: tuple[str, ...] = ()
    advice: str | None = None
    backend: Backend | None = None
    primitives: tuple[Primitive, ...] = ()
    command: str | None = None
