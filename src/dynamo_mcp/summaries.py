"""What do clients read of a template? Its record, and what can be told of it now."""

from __future__ import annotations

import os
from pathlib import Path

from dynamo_mcp import sources
from dynamo_mcp.catalogue import BUNDLED
from dynamo_mcp.configuration import has_pre_prompt
from dynamo_mcp.environments import Environments
from dynamo_mcp.errors import DynamoError
from dynamo_mcp.sandbox.trust import permit
from dynamo_mcp.schema_cache import SchemaCache
from dynamo_mcp.types import TOOL_PREFIX, ChildInfo, Confinement, Location, Template, TemplateInfo, Tier

HOOKS = ("pre_prompt", "pre_gen_project", "post_gen_project")


NOT_RUN = (
    "its `pre_prompt` hook has not run, since trust or this machine did not allow it: what it asks is what its "
    "`cookiecutter.json` says as it is; `update_template` with `force` runs the hook where that is allowed"
)


class Summaries:
    """Describes templates."""

    def __init__(self, schemas: SchemaCache, environments: Environments) -> None:
        """Take what is asked about a template."""
        self._schemas = schemas
        self._environments = environments

    def of(self, template: Template, confinement: Confinement) -> TemplateInfo:
        """Describe one template, without its variables."""
        environment = self._environments.path(template.name, template.requirements)
        made = environment.is_dir()
        problem = None
        try:
            self._schemas.get(template)
        except DynamoError as error:
            problem = error.message
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
            live=template.location.live,
            trust=template.trust,
            tier=_tier(template, confinement),
            hooks=_hooks(template.path),
            requirements=template.requirements,
            category=template.category,
            tags=template.tags,
            problem=problem,
            group=template.group.name if template.group else None,
            notes=_notes(template),
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
            live=repository.location.live,
            trust=repository.trust,
            tier=_tier(repository, confinement),
            category=repository.category,
            tags=repository.tags,
            children=children,
            notes=notes,
        )


def url(location: Location) -> str:
    """Return where a template comes from, as clients read it."""
    return BUNDLED + Path(location.address).name if location.bundled else sources.display(location)


def _notes(template: Template) -> tuple[str, ...]:
    if template.configuration is None and has_pre_prompt(template.path):
        return (NOT_RUN,)
    return ()


def _tier(template: Template, confinement: Confinement) -> Tier:
    try:
        return permit(template, template.trust, confinement).tier
    except DynamoError:
        return confinement.tier


def _hooks(path: Path) -> tuple[str, ...]:
    try:
        names = sorted(os.listdir(path / "hooks"))
    except OSError:
        return ()
    return tuple(name for name in names if name.partition(".")[0] in HOOKS and not name.endswith("~"))
