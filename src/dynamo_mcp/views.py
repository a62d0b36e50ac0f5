"""What do clients read of templates and of this machine?

The values keep the field names of the project's architecture document, and add to them.
"""

from __future__ import annotations

from typing import Any

import msgspec

from dynamo_mcp.types import Backend, Needs, Newness, Primitive, Tier, Trust, VariableType

TOOL_PREFIX = "create_"
"""What the tool and the prompt of a template are called, before its name."""


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
        tool: The MCP tool that creates a project from it; None where it was not registered.
        problem: Why it can't be used, where it can't.
        needs: As its own information tells them, and so are the notes.
    """

    name: str
    directory: str
    description: str
    tool: str | None = None
    problem: str | None = None
    needs: Needs = Needs()
    notes: tuple[str, ...] = ()


class Newer(msgspec.Struct, frozen=True):
    """Whether another revision is there where a template comes from, which was asked just now.

    Attributes:
        state: `current`, `newer`, `unknown` where only a download would tell, or `failed`.
        revision: What is there now: a commit, the SHA-256 of an archive's file or the digest of a folder's content.
        why: Why that is not known.
    """

    state: Newness
    revision: str | None = None
    why: str | None = None


class TemplateInfo(msgspec.Struct, frozen=True):
    """A template as clients read it; lists leave `variables_cache` null.

    Of a repository that holds several, it is what adding and updating tell of the whole.

    Attributes:
        url: Where it comes from.
        venv_path: Its environment's folder; None until it is made.
        is_active: It can be used now: its checkout, schema and environment are whole.
        problem: Why it can't, where it can't.
        grants: What a person gave it besides its trust.
        needs: What it needs, where that was found, and what of it is absent.
        tool: The MCP tool that creates a project from it; empty for a repository that holds several.
        group: The repository of several templates that it came with, to update or remove all of them by.
        children: The templates that a repository holds, those that can't be used too.
        notes: What else to know, such as a hook that was not run.
        origin: The file of a package that it came with: its address, `#sha256=` and its digest.
        last_updated: When it was fetched, ISO 8601 in UTC; `revision`, or where there is none `digest`, is what.
        newer: Whether another revision is there now; null unless that was asked.
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
    grants: tuple[str, ...] = ()
    origin: str | None = None
    newer: Newer | None = None


class TrustInfo(msgspec.Struct, frozen=True):
    """How much of a template may run, and for what a person has said so.

    Attributes:
        grants: What it was given besides: `network`, `executable:/path`, `read:/path`.
        tier: How well this machine confines it at that trust.
        url: Where it comes from; trust and grants are bound to that and to the digest of all its files.
        revision: The commit that it was said for; null where there is none.
        by_person: A person has said it of this template; otherwise it is what every template gets.
        by_setting: It is what templates of its place get by the operator's setting `DYNAMO_MCP_TRUSTED`.
        changed: What of a live template was edited since, so that trust and grants do not count.
        hooks: Those that run, unless at trust `inert`.
        extensions: The extensions that its `cookiecutter.json` names; likewise, but for known ones.
        requirements: The packages in its environment.
        unvouched: Those of them that no person has vouched for; they run in the sandbox or not at all.
        machine: How well this machine confines anything.
        refused: Why no project is created from it at that trust, and what a person can do; null where one is.
    """

    template: str
    trust: Trust
    grants: tuple[str, ...]
    tier: Tier
    url: str
    directory: str | None
    revision: str | None
    digest: str
    by_person: bool
    by_setting: bool
    changed: tuple[str, ...]
    hooks: tuple[str, ...]
    extensions: tuple[str, ...]
    requirements: tuple[str, ...]
    unvouched: tuple[str, ...]
    machine: Tier = "strong"
    refused: str | None = None


class TrustDropped(msgspec.Struct, frozen=True):
    """Trust and grants that an update took from a template, since it is not what they were given for any more.

    Attributes:
        trust: What it had; it is `contained` now.
        grants: What it had; it has none now.
        changed: Which of `hooks`, `extensions` and `requirements` are different, or `only other files`,
            or `environments or bytecode in it` of a live folder.
        command: What a person types to give it again.
    """

    template: str
    trust: Trust
    grants: tuple[str, ...]
    changed: tuple[str, ...]
    command: str


class VariableChange(msgspec.Struct, frozen=True):
    """What an update changed of one question.

    Attributes:
        differs: Which of `default`, `choices`, `type`, `description` and `labels` do.
        before: As it was asked.
        after: As it is asked now.
    """

    name: str
    differs: tuple[str, ...]
    before: VariableInfo
    after: VariableInfo


class TemplateChange(msgspec.Struct, frozen=True):
    """What an update did; `from_revision` and `to_revision` are digests where there is no commit.

    Of a repository that holds several templates, each variable is named as `template: variable`, and so are hooks and
    requirements.

    Attributes:
        variables_changed: The names of variables that are asked otherwise now.
        variable_changes: How, of each; of a live folder, which is edited in place, that is not known.
        hooks_added: Files in the folder of hooks; of a live folder it is not known which are new, or others.
        requirements_added: Packages that are installed for it now; another version of one is removed and added.
        templates_added: Templates that it holds now and did not before.
        templates_removed: Templates that it holds no more, which were removed.
        trust_dropped: Raised trust and grants that ended with it, and how a person gives them again.
    """

    template: TemplateInfo
    changed: bool
    from_revision: str
    to_revision: str
    variables_added: tuple[str, ...] = ()
    variables_removed: tuple[str, ...] = ()
    variables_changed: tuple[str, ...] = ()
    variable_changes: tuple[VariableChange, ...] = ()
    hooks_added: tuple[str, ...] = ()
    hooks_removed: tuple[str, ...] = ()
    hooks_changed: tuple[str, ...] = ()
    requirements_added: tuple[str, ...] = ()
    requirements_removed: tuple[str, ...] = ()
    templates_added: tuple[str, ...] = ()
    templates_removed: tuple[str, ...] = ()
    trust_dropped: tuple[TrustDropped, ...] = ()


class Diagnosis(msgspec.Struct, frozen=True):
    """What this machine can do for a stranger's template.

    Attributes:
        tier: How well it confines: `strong`, `reduced` or `none`.
        meaning: What that means, in a sentence.
        trusts: The trusts that a stranger's template can be used with.
        backend: What walls renderers in at tier `strong`.
        mechanisms: What confines them.
        confinement: What confinement is made of, each tried.
        running: What else is needed to run, each tried.
        ready: All of that is there.
        commands: What brings what is missing, each to be typed as it is, in the same order.
        extras: What does without, and what would be there with it; none of it is needed.
    """

    tier: Tier
    meaning: str
    trusts: tuple[Trust, ...]
    backend: Backend | None
    mechanisms: tuple[str, ...]
    confinement: tuple[Primitive, ...]
    running: tuple[Primitive, ...]
    ready: bool
    commands: tuple[str, ...]
    extras: tuple[Primitive, ...] = ()


class Removed(msgspec.Struct, frozen=True):
    """Something of the home that was reclaimed.

    Attributes:
        kind: `checkout`, `environment`, `spares`, `base`, `compiled`, `mirror`, `package` or `wheel`.
        name: What it was called there.
        bytes: Bytes on the disk that went with it: what shares a file by hard links goes with the last that does.
        why: The limit that was passed, or that nothing led to it.
    """

    kind: str
    name: str
    bytes: int
    why: str


class Kept(msgspec.Struct, frozen=True):
    """What is kept of environments, their bases, wheels, packages and compiled code.

    Attributes:
        environments: How many templates have theirs.
        bytes: Bytes on the disk, each file counted once however many hard links it has.
    """

    environments: int
    bytes: int


class Reclaimed(msgspec.Struct, frozen=True):
    """What reclaiming did.

    Attributes:
        bytes: Bytes on the disk of all that was removed.
        notes: Why more is kept than may be.
    """

    removed: tuple[Removed, ...]
    bytes: int
    kept: Kept
    notes: tuple[str, ...] = ()


class Load(msgspec.Struct, frozen=True):
    """How much one server does at the moment.

    Attributes:
        working: Jobs of templates that have a place.
        waiting: Those that wait for one.
        renderers: How many are `idle`, `busy` and `coming`.
        environments: How often one was there, a `hit`, or had to be made, a `miss`, since the start.
        schemas: Likewise.
    """

    working: int
    waiting: int
    renderers: dict[str, int]
    environments: dict[str, int]
    schemas: dict[str, int]
