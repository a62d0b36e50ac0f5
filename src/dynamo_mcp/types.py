"""The nouns: frozen values that one stage hands to the next, none of which does anything.

What clients read (`TemplateInfo`, `VariableInfo`, `Project`, …) keeps the field names of the project's
architecture document and may add to them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, TypeAlias

import msgspec

Trust: TypeAlias = Literal["inert", "contained", "full"]
Tier: TypeAlias = Literal["strong", "reduced", "none"]
IfExists: TypeAlias = Literal["error", "skip", "overwrite"]
LocationKind: TypeAlias = Literal["git", "local"]
VariableKind: TypeAlias = Literal["text", "boolean", "yes_no", "choice", "number", "mapping"]
VariableType: TypeAlias = Literal["string", "boolean", "number", "choice", "mapping"]

TOOL_PREFIX = "create_"
"""What the tool and the prompt of a template are called, before its name."""


class Location(msgspec.Struct, frozen=True):
    """Where a template comes from.

    Attributes:
        kind: The source that fetches it.
        address: A URL, or an absolute path.
        revision: The branch, tag or commit that was asked for; None is the default branch.
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
        revision: The commit, for git; None otherwise.
        digest: SHA-256 of the tree's names, modes and contents, in hexadecimal.
    """

    path: Path
    revision: str | None
    digest: str


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


class Template(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A registered, pinned template; its record is `templates/<name>.json`.

    Attributes:
        path: The folder that holds `cookiecutter.json`.
        checkout: The root of the tree that `path` is in.
        requirements: All that it needs installed, as normalised specifiers, cookiecutter left out.
        named_requirements: Those of them that the caller named.
        asked: A fingerprint of each of its variables, so that an update can tell what changed.
        last_updated: When it was last fetched, ISO 8601 in UTC.
        group: What it came with, where the repository holds several.
        configuration: The text of the `cookiecutter.json` that its `pre_prompt` hook has left; None where none has run.
        configured_from: SHA-256 of the `cookiecutter.json` that the hook has found, in hexadecimal.
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
    asked: dict[str, str] = {}
    trust: Trust = "contained"
    category: str | None = None
    tags: tuple[str, ...] = ()
    group: Group | None = None
    configuration: str | None = None
    configured_from: str | None = None


class Environment(msgspec.Struct, frozen=True):
    """A virtual environment that uv made for one template revision.

    Attributes:
        path: The template's own environment.
        base: The environment it is a clone of, which the renderer is started with.
        key: Digest of interpreter, platform, cookiecutter version and requirements, in hexadecimal.
        packages: `name==version` of everything installed, sorted.
    """

    path: Path
    base: Path
    key: str
    packages: tuple[str, ...]


class HookRun(msgspec.Struct, frozen=True):
    """What one of the template's hooks printed (its last 64 KiB) and how long it took, in seconds."""

    hook: str
    output: str
    seconds: float


class Rendered(msgspec.Struct, frozen=True):
    """What a renderer made, before it is checked and published.

    Attributes:
        directory: The project folder's name.
        root: The folder that holds it; only valid while the renderer is held.
        answers: Every variable of the template with the value that the files were rendered with.
    """

    directory: str
    root: Path
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


class Confinement(msgspec.Struct, frozen=True):
    """How far a process is confined, and by what.

    Attributes:
        tier: `strong`, `reduced` or `none`.
        mechanisms: What is applied, such as `bubblewrap`, `landlock-7`, `seccomp`.
        advice: What would bring a better tier; None where there is none better.
    """

    tier: Tier
    mechanisms: tuple[str, ...] = ()
    advice: str | None = None


class Project(msgspec.Struct, frozen=True):
    """A created project.

    Attributes:
        id: Its identity in `projects/<id>.json`.
        path: The project's folder, absolute and real.
        files: Paths of the files and links that were written, relative to `path`, sorted.
        answers: The complete answers that it was made with.
        template: The template's name.
        revision: The template's commit; its content digest where there is none.
        trust: How much of the template was allowed to run.
        tier: How well the machine confined it.
        mechanisms: What confined it.
        hooks: What the template's hooks printed.
        left_out: What the template made that was not published, each with the reason.
        kept: Existing files that `skip` left as they were.
        seconds: Seconds spent by step.
    """

    id: str
    path: str
    files: tuple[str, ...]
    answers: dict[str, Any]
    template: str
    revision: str
    trust: Trust
    tier: Tier
    mechanisms: tuple[str, ...]
    hooks: tuple[HookRun, ...]
    left_out: tuple[str, ...]
    kept: tuple[str, ...]
    seconds: dict[str, float]


class VariableInfo(msgspec.Struct, frozen=True):
    """One question that a template asks, as clients read it.

    Attributes:
        default: The answer when none is given. Jinja where `derived`.
        choices: The values allowed, in the author's order; None where any value is.
        required: Always false: every variable has a default.
        type: `string`, `boolean`, `number`, `choice` or `mapping`.
        recommended: Worth asking a person for.
        derived: The default is computed from the other answers.
        labels: The author's words for the choices.
    """

    name: str
    description: str
    default: Any
    choices: tuple[Any, ...] | None
    required: bool
    type: VariableType
    recommended: bool = False
    derived: bool = False
    labels: dict[str, str] = {}


class ChildInfo(msgspec.Struct, frozen=True):
    """One of the templates that a repository holds, as adding or updating all of them tells it.

    Attributes:
        directory: Its folder in the repository.
        tool: The MCP tool that creates a project from it; None where it can't be used.
        problem: Why it can't.
    """

    name: str
    directory: str
    description: str
    tool: str | None = None
    problem: str | None = None


class TemplateInfo(msgspec.Struct, frozen=True):
    """A template as clients read it; lists leave `variables_cache` null.

    Of a repository that holds several, it is what adding and updating tell of the whole.

    Attributes:
        url: Where it comes from.
        venv_path: Its environment's folder; None until it is made.
        is_active: It can be used now: its checkout, schema and environment are whole.
        problem: Why it can't, where it can't.
        tool: The MCP tool that creates a project from it; empty for a repository that holds several.
        group: The repository of several templates that it came with, to update or remove all of them by.
        children: The templates that a repository holds, those that can't be used too.
        notes: What else to know, such as a hook that was not run.
    """

    name: str
    description: str
    url: str
    venv_path: str | None
    is_active: bool
    last_updated: str | None
    variables_cache: tuple[VariableInfo, ...] | None
    tool: str
    directory: str | None = None
    revision: str | None = None
    digest: str | None = None
    live: bool = False
    trust: Trust = "contained"
    tier: Tier = "none"
    hooks: tuple[str, ...] = ()
    requirements: tuple[str, ...] = ()
    category: str | None = None
    tags: tuple[str, ...] = ()
    problem: str | None = None
    group: str | None = None
    children: tuple[ChildInfo, ...] = ()
    notes: tuple[str, ...] = ()


class CatalogueEntry(msgspec.Struct, frozen=True):
    """A template that could be added.

    Attributes:
        location: What `add_template` takes as `url`.
        directory: What it takes as `directory`.
        registered: A template from there is registered already.
    """

    name: str
    location: str
    description: str
    category: str
    directory: str | None = None
    language: str | None = None
    tags: tuple[str, ...] = ()
    registered: bool = False


class TemplateChange(msgspec.Struct, frozen=True):
    """What an update did; `from_revision` and `to_revision` are digests where there is no commit.

    Of a repository that holds several templates, each variable is named as `template: variable`.

    Attributes:
        templates_added: Templates that it holds now and did not before.
        templates_removed: Templates that it holds no more, which were removed.
    """

    template: TemplateInfo
    changed: bool
    from_revision: str
    to_revision: str
    variables_added: tuple[str, ...] = ()
    variables_removed: tuple[str, ...] = ()
    variables_changed: tuple[str, ...] = ()
    templates_added: tuple[str, ...] = ()
    templates_removed: tuple[str, ...] = ()
