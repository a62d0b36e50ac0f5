"""What do clients read of a template? Its record, and what can be told of it now."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import anyio.lowlevel
import msgspec

from dynamo_mcp.catalogue import category_of, url
from dynamo_mcp.configuration import has_pre_prompt
from dynamo_mcp.environments import Environments
from dynamo_mcp.errors import DynamoError
from dynamo_mcp.executables import look
from dynamo_mcp.once import as_before
from dynamo_mcp.requirements import installed
from dynamo_mcp.sandbox.grants import command
from dynamo_mcp.sandbox.trust import permit
from dynamo_mcp.schema_cache import SchemaCache
from dynamo_mcp.scripts import hooks
from dynamo_mcp.settings import Settings
from dynamo_mcp.sources.places import is_among
from dynamo_mcp.text import plain
from dynamo_mcp.types import Confinement, Template, Tier
from dynamo_mcp.views import TOOL_PREFIX, ChildInfo, TemplateInfo

NOT_RUN = (
    "its `pre_prompt` hook has not run, since trust or this machine did not allow it: what it asks is what its "
    "`cookiecutter.json` says as it is; `update_template` with `force` runs the hook where that is allowed"
)

_REVISION = 100


TOGETHER = 50
"""Templates that are described before others go first."""
TRUSTED_SECONDS = 0.1
"""Seconds for which the disk, where nobody but this program writes, is believed to be as it was for the last list."""


class _Kept(msgspec.Struct, frozen=True):
    """What was told of a template, and of what."""

    seen: tuple[Template, Confinement, Path, bool, str | None]
    info: TemplateInfo


class Summaries:
    """Describes templates; as long as nothing of one has changed, by the same object."""

    def __init__(self, schemas: SchemaCache, environments: Environments, settings: Settings) -> None:
        """Take what is asked about a template."""
        self._settings = settings
        self._schemas = schemas
        self._environments = environments
        self._kept: dict[str, _Kept] = {}
        self._all: tuple[TemplateInfo, ...] = ()
        self._believed: tuple[Sequence[Template], Confinement, float] | None = None
        """Of what all were described, and until when that need not be looked at again."""

    async def all(self, templates: Sequence[Template], confinement: Confinement) -> tuple[TemplateInfo, ...]:
        """Describe all templates that there are; as long as nothing of them has changed it is the same tuple."""
        if self._are_as_before(templates, confinement):
            return self._all
        until = anyio.current_time() + TRUSTED_SECONDS
        found = []
        keys: dict[tuple[str, ...], str] = {}
        for number, template in enumerate(templates, start=1):
            if number % TOGETHER == 0:
                await anyio.lowlevel.checkpoint()
                keys.clear()
            found.append(self._told(template, confinement, await self._broken(template), keys))
        names = {info.name for info in found}
        self._kept = {name: kept for name, kept in self._kept.items() if name in names}
        self._all = as_before(found, self._all)
        self._believed = None if any(map(_may_change, templates)) else (templates, confinement, until)
        return self._all

    def _are_as_before(self, templates: Sequence[Template], confinement: Confinement) -> bool:
        if self._believed is None:
            return False
        described, confined, until = self._believed
        return templates is described and confinement == confined and anyio.current_time() < until

    async def one(self, template: Template, confinement: Confinement) -> TemplateInfo:
        """Describe one template, without its variables."""
        return self._told(template, confinement, await self._broken(template))

    async def _broken(self, template: Template) -> str | None:
        """Say what is wrong with what a template asks, if anything is."""
        try:
            await self._schemas.ready(template)
        except DynamoError as error:
            return error.message
        return None

    def forget(self, name: str) -> None:
        """Drop what is kept for a template that was removed."""
        self._kept.pop(name, None)
        self._believed = None

    def of(self, template: Template, confinement: Confinement) -> TemplateInfo:
        """Describe a template that was just prepared, and wait for nothing."""
        self._believed = None
        try:
            self._schemas.get(template)
        except DynamoError as error:
            return self._told(template, confinement, error.message)
        return self._told(template, confinement, None)

    def _told(
        self,
        template: Template,
        confinement: Confinement,
        broken: str | None,
        keys: dict[tuple[str, ...], str] | None = None,
    ) -> TemplateInfo:
        """Say what is told of a template; `keys` of environments that are known need not be looked up for each."""
        requirements, keys = installed(template, template.trust), {} if keys is None else keys
        if requirements not in keys:
            keys[requirements] = self._environments.key(requirements)
        environment = self._environments.place(template.name, keys[requirements])
        made = os.path.isdir(environment)  # noqa: PTH112 - half the cost for each of hundreds of templates
        problem = broken or _lack(template) or template.problem
        seen = (template, confinement, environment, made, problem)
        kept = self._kept.get(template.name)
        if kept is not None and kept.seen == seen and not _may_change(template):
            return kept.info
        info = self._described(template, confinement, environment, made=made, problem=problem)
        if kept is not None and kept.info == info:
            info = kept.info
        self._kept[template.name] = _Kept(seen, info)
        return info

    def _described(
        self, template: Template, confinement: Confinement, environment: Path, *, made: bool, problem: str | None
    ) -> TemplateInfo:
        # One that was reclaimed is made again from its base, and holds the same.
        like = environment if made else self._environments.base(installed(template, template.trust))
        return TemplateInfo(
            name=template.name,
            description=template.description,
            url=url(template.location),
            venv_path=str(environment) if made else None,
            is_active=problem is None,
            last_updated=template.last_updated,
            variables_cache=None,
            tool=f"{TOOL_PREFIX}{template.name}",
            directory=template.location.directory,
            revision=template.revision,
            digest=template.digest,
            origin=template.origin,
            live=template.location.live,
            trust=template.trust,
            grants=template.grants,
            tier=tier_of(template, confinement),
            hooks=hooks(template.path),
            requirements=template.requirements,
            needs=msgspec.structs.replace(template.needs, executables=look(template, like, self._settings)),
            category=category_of(template),
            tags=template.tags,
            problem=problem,
            group=template.group.name if template.group else None,
            notes=(*_notes(template), *self._strangers(template)),
        )

    def whole(
        self, repository: Template, children: tuple[ChildInfo, ...], notes: tuple[str, ...], confinement: Confinement
    ) -> TemplateInfo:
        """Describe a repository of several templates as a whole: it is none itself, and has no tool."""
        return TemplateInfo(
            name=repository.name,
            description=repository.description,
            url=url(repository.location),
            venv_path=None,
            is_active=any(child.tool for child in children),
            last_updated=repository.last_updated,
            variables_cache=None,
            tool="",
            directory=repository.location.directory,
            revision=repository.revision,
            digest=repository.digest,
            origin=repository.origin,
            live=repository.location.live,
            trust=repository.trust,
            grants=repository.grants,
            tier=tier_of(repository, confinement),
            category=category_of(repository),
            tags=repository.tags,
            children=children,
            notes=(*notes, *_left_out(repository), *self._strangers(repository)),
        )

    def _strangers(self, template: Template) -> tuple[str, ...]:
        """Say why a template is not trusted for its place."""
        if template.listed or template.trust == "full" or not is_among(template.location, self._settings.trusted):
            return ()
        asked = plain(str(template.location.revision), _REVISION)
        why = f"`{asked}`: no branch and no tag of the repository points to that commit, so it may be a stranger's"
        if template.location.kind == "archive":
            why = "an archive of a host, which makes them of any commit that it knows, also of a stranger's"
        said = f"`DYNAMO_MCP_TRUSTED` does not count for {why}; a person can trust it: "
        return (f"{said}`{command(template.name, 'full')}`",)


def _may_change(template: Template) -> bool:
    """Tell whether what is told of a template rests on more of the disk than is looked at each time."""
    return template.location.live or bool(template.needs.executables)


def _notes(template: Template) -> tuple[str, ...]:
    not_run = template.configuration is None and has_pre_prompt(template.path)
    guessed = [need for need in template.needs.requirements if need.how == "index"]
    return (
        *([NOT_RUN] if not_run else []),
        *(
            f"`{need.requirement}` is a guess for {need.told}: the package of that name on the index, which anybody "
            "may have published; it runs in the sandbox only. Name the right one in `requirements`"
            for need in guessed
        ),
        *template.notes,
        *_left_out(template),
    )


def _left_out(template: Template) -> tuple[str, ...]:
    inside = f"{template.location.directory}/" if template.location.directory else ""
    return tuple(plain(f"left out: {line}") for line in template.left_out if line.startswith(inside))


def tier_of(template: Template, confinement: Confinement) -> Tier:
    """Return how well this machine confines a template at its trust; what it has, where that is refused."""
    try:
        return permit(template, template.trust, confinement).tier
    except DynamoError:
        return confinement.tier


def _lack(template: Template) -> str | None:
    """Say which modules a template can't run without and nobody holds; at `inert` nothing of it is imported."""
    lacking = [missing for missing in template.needs.missing if missing.always] if template.trust != "inert" else []
    if not lacking:
        return None
    said = ", ".join(f"`{missing.module}` ({missing.found})" for missing in lacking)
    return plain(f"It can't run without {said}: no package of its environment holds that; name one in `requirements`")
