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
Change: TypeAlias = Literal["new", "same", "changed", "kept"]
LocationKind: TypeAlias = Literal["git", "local"]
VariableKind: TypeAlias = Literal["text", "boolean", "yes_no", "choice", "number", "mapping"]
How: TypeAlias = Literal["named", "table", "index"]
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


class Need(msgspec.Struct, frozen=True):
    """A package that a template needs.

    Attributes:
        requirement: A normalised specifier.
        module: What is imported of it; None where the caller named it and no import of it was found.
        found: Where it is imported or named first, in words.
        always: The template can't run without the module.
        how: `named` by the caller; in the bundled `table` of modules; on the `index` under the module's own name, which
            the table does not know.
    """

    requirement: str
    module: str | None
    found: str
    how: How
    always: bool = True


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
    """

    requirements: tuple[Need, ...] = ()
    missing: tuple[MissingModule, ...] = ()
    optional: tuple[str, ...] = ()
    executables: tuple[Executable, ...] = ()
    network: tuple[str, ...] = ()


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
        needs: Where each of them was found, and what else it needs.
        asked: A fingerprint of each of its variables, so that an update can tell what changed.
        examples: What each derived default came to when it was last rendered with all defaults.
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
    needs: Needs = Needs()
    asked: dict[str, str] = {}
    examples: dict[str, Any] = {}
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
        seen: The same folder, as the job sees it.
        answers: Every variable of the template with the value that the files were rendered with.
    """

    directory: str
    root: Path
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
        notes: What else is worth knowing, such as a file in which the sandbox's own path was replaced.
        seconds: Seconds spent by step.
        notes: What else the caller should know, such as what a person could not be asked.
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
    notes: tuple[str, ...] = ()


class PreviewFile(msgspec.Struct, frozen=True):
    """A file or link that a create would make.

    Attributes:
        path: Relative to the project's folder.
        bytes: Its size; 0 for a link.
        mode: Its permissions, in octal.
        change: Against what is there: `new`, `same`, `changed` (replaced by this one), or `kept` (what is there stays).
        link: Where it leads, if it is a link.
    """

    path: str
    bytes: int
    mode: str
    change: Change
    link: str | None = None


class FileText(msgspec.Struct, frozen=True):
    """One file's text, or its first 64 KiB if it is `cut`; null where it is `binary`, or a link."""

    path: str
    text: str | None
    binary: bool = False
    cut: bool = False


class Preview(msgspec.Struct, frozen=True):
    """A project that was not made.

    Attributes:
        directory: The project folder's name.
        path: Where a create would put it, absolute and real.
        exists: Something is there already.
        problem: Why a create would refuse to write there, and what to do.
        files: The first 500 files and links, sorted by path.
        more: How many more there are.
        bytes: Bytes in all files.
        answers: The complete answers.
        hooks: The names of the hooks that a create would run.
        ran: What those hooks printed that ran for the preview.
        left_out: What the template made that would not be published, each with the reason.
        text: The file that was asked for.
        diff: Unified diff of the changed text files against what is there, if it was asked for; 64 KiB at most.
        diff_cut: Not all of the diff is there.
        not_compared: Changed files that are not in the diff, each with the reason.
        trust: How much of the template was allowed to run.
        tier: How well the machine confined it.
        mechanisms: What confined it.
        seconds: Seconds spent by step.
    """

    template: str
    directory: str
    path: str
    exists: bool
    problem: str | None
    files: tuple[PreviewFile, ...]
    more: int
    bytes: int
    answers: dict[str, Any]
    hooks: tuple[str, ...]
    ran: tuple[HookRun, ...]
    left_out: tuple[str, ...]
    text: FileText | None
    diff: str | None
    diff_cut: bool
    not_compared: tuple[str, ...]
    trust: Trust
    tier: Tier
    mechanisms: tuple[str, ...]
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
        value: What it is, given the answers that were asked about; null where none were.
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
    value: Any = None


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
        needs: What it needs, where that was found, and what of it is absent.
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
    needs: Needs = Needs()
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
