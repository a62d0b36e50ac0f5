"""What happens to all templates of one repository together? They are added, updated and removed by one name."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AsyncExitStack
from functools import partial

import anyio
import anyio.to_thread
import msgspec

from dynamo_mcp import catalogue, sources
from dynamo_mcp.changes import change, difference, look, look_back, together
from dynamo_mcp.confining import Confining
from dynamo_mcp.environments import Environments
from dynamo_mcp.errors import DynamoError, InvalidTemplate
from dynamo_mcp.nesting import Child, Found, find, none_usable
from dynamo_mcp.pinning import Target, check_pin, fetch_pinned
from dynamo_mcp.progress import Progress
from dynamo_mcp.registration import Registration
from dynamo_mcp.registry import Registry
from dynamo_mcp.requirements import installed
from dynamo_mcp.schema_cache import SchemaCache
from dynamo_mcp.settings import Settings
from dynamo_mcp.sources.places import is_own
from dynamo_mcp.store import Store
from dynamo_mcp.summaries import Summaries
from dynamo_mcp.text import plain
from dynamo_mcp.trusting import Trusting
from dynamo_mcp.types import Confinement, Group, Template, Trust
from dynamo_mcp.views import ChildInfo, TemplateChange, TemplateInfo
from dynamo_mcp.vouching import dropped, renewed, unseen


class Groups:
    """The repositories of several templates of one home.

    A repository itself is no template and has no record; each of its templates knows what it came with. They share one
    checkout, and each has its own name, schema, environment and tool.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        environments: Environments,
        *,
        confining: Confining,
        registry: Registry,
        schemas: SchemaCache,
        summaries: Summaries,
        registration: Registration,
        trusting: Trusting,
    ) -> None:
        """Take what keeps single templates."""
        self._settings = settings
        self._store = store
        self._environments = environments
        self._confining = confining
        self._registry = registry
        self._schemas = schemas
        self._registration = registration
        self._trusting = trusting
        self._summaries = summaries

    async def add(self, repository: Template, progress: Progress) -> TemplateInfo | None:
        """Register every template that a fetched repository holds; on any failure nothing of it is left.

        Args:
            repository: As if it were one template; its name is claimed by the caller.
            progress: Is told the steps.

        Returns:
            The whole, with those that can't be used and why; None if it is one template.

        Raises:
            NotATemplate: It holds none, or does not say which folders are.
            InvalidTemplate: None of them can be used.
            NameTaken: One of the names is.
        """
        try:
            # Asked for first: once the records are written nothing waits, and nothing can be cancelled.
            confinement = await self._confining.confinement()
            found = await self._find(repository)
            if found is None:
                return None
            usable = _usable(found)
            self._registry.make_room(child.name for child in usable)
            group = Group(repository.name, repository.location.directory, ())
            async with self._registration.using(repository), AsyncExitStack() as claims:
                for name in sorted(child.name for child in usable):
                    await claims.enter_async_context(self._registry.claim(name))
                templates = [_template(repository, child, group) for child in usable]
                registered, failures = await self._registration.complete_all(templates, progress, prepare=True)
        except BaseException:  # also a cancelled add leaves nothing
            with anyio.CancelScope(shield=True):
                await self._registration.release(repository)
            raise
        return self._whole(repository, found, registered, failures, confinement)

    async def update(self, name: str, progress: Progress, *, force: bool, to: Target | None = None) -> TemplateChange:
        """Fetch a repository again and use what came; a template that fails stays as it was.

        Raises:
            TemplateNotFound: There is no such group.
            InvalidTemplate: It holds several templates no more, or none can be used; everything stays as it was.
            Refused: It holds one no more that a person lets run nothing, and a program asks; likewise.
        """
        async with self._registry.hold_group(name) as old:
            repository = await self._fetch(name, old, to, progress)
            try:
                check_pin(repository, to.pin if to else None)
                confinement = await self._confining.confinement()
                found = _several(await self._find(repository, old), name)
                named = {child.directory for child in found.children}
                vanished = [template for template in old if template.location.directory not in named]
                self._trusting.check_removal(vanished)
                templates = _renewal(repository, old, found)
                known = {template.name: template for template in old}
                fresh = sorted(template.name for template in templates if template.name not in known)
                own = self._settings.trusted
                templates = [
                    await renewed(known[new.name], new, own) if new.name in known else new for new in templates
                ]
                changed = any(template.digest != repository.digest for template in old)
                before = {template.name: await look_back(template, self._schemas) for template in old}
                async with self._registration.using(repository), AsyncExitStack() as claims:
                    for new in fresh:
                        await claims.enter_async_context(self._registry.claim(new))
                    for template in old if force else ():
                        requirements = installed(template, template.trust)
                        await self._environments.rebuild(template.name, requirements, progress.detail)
                    registered, failures = await self._registration.complete_all(
                        templates, progress, prepare=changed or force or bool(fresh)
                    )
            except BaseException:  # also a cancelled update leaves nothing new
                with anyio.CancelScope(shield=True):
                    await self._registration.release(repository)
                raise
            replaced = [template for template in old if any(template.name == new.name for new in registered)]
            told = [
                (new.name, difference(known[new.name], new, before[new.name], await look(new, self._schemas)))
                for new in registered
                if new.name in known
            ]
            await self._forget(vanished, replaced)
        whole = self._whole(repository, found, registered, failures, confinement)
        return change(
            old,
            whole,
            together(told),
            templates_added=tuple(new.name for new in registered if new.name not in known),
            templates_removed=tuple(template.name for template in vanished),
            trust_dropped=await dropped((known[new.name], new) for new in registered if new.name in known),
        )

    async def info(self, name: str, members: tuple[Template, ...]) -> TemplateInfo:
        """Describe a repository as a whole, with those of its templates that are registered."""
        newest = max(members, key=lambda template: template.last_updated)
        directory = _group(newest).directory
        repository = msgspec.structs.replace(
            newest,
            name=name,
            description=f"The templates of `{name}`",
            location=msgspec.structs.replace(newest.location, directory=directory),
            path=newest.checkout / (directory or ""),
            trust=newest.trust if len({template.trust for template in members}) == 1 else "contained",
            grants=newest.grants if len({template.grants for template in members}) == 1 else (),
        )
        confinement = await self._confining.confinement()
        told = [self._summaries.of(template, confinement) for template in members]
        children = tuple(_child(each, each.directory or "") for each in told)
        return self._summaries.whole(repository, children, (), confinement)

    async def remove(self, name: str) -> str:
        """Forget every template of a group.

        Returns:
            What was done, as a sentence.

        Raises:
            TemplateNotFound: There is no such group.
        """
        async with self._registry.hold_group(name) as templates:
            self._trusting.check_removal(templates)
            await self._forget(templates, ())
        names = ", ".join(f"`{template.name}`" for template in templates)
        return f"The templates of `{name}` were removed: {names}; the projects made from them stay."

    async def _forget(self, removed: Iterable[Template], replaced: Iterable[Template]) -> None:
        """Remove templates, and what those that were replaced rested on."""
        for template in removed:
            self._registry.delete(template.name)
        for template in (*removed, *replaced):
            self._schemas.forget(template)
            self._summaries.forget(template.name)
            await self._registration.release(template)

    async def _fetch(self, name: str, old: tuple[Template, ...], to: Target | None, progress: Progress) -> Template:
        """Fetch a repository again, and return it as if it were one template."""
        first = old[0]
        location = msgspec.structs.replace(catalogue.relocate(first.location), directory=_group(first).directory)
        location, pin = (to.location, to.pin) if to else (location, None)
        await progress.begin("fetch", f"fetching `{sources.display(location)}`")
        tree = await fetch_pinned(location, pin, store=self._store, settings=self._settings, progress=progress)
        return Template(
            name,
            f"The templates of `{name}`",
            **sources.fetched(location, tree),
            named_requirements=first.named_requirements,
            named_by_person=first.named_by_person,
            # A new template may do no more than those that somebody looked at, unless the operator owns all of them.
            trust=(trust := _trust_of_new(old, own=is_own(location, self._settings.trusted, listed=tree.listed))),
            trusted_for=unseen(tree.digest, tree.revision, by_setting=True) if trust == "full" else None,
            category=first.category,
            tags=first.tags,
        )

    async def _find(self, repository: Template, old: tuple[Template, ...] = ()) -> Found | None:
        known = {template.location.directory or "": template.name for template in old}
        taken = [template.name for template in self._registry.all()] if old else []
        look = partial(
            find,
            repository.checkout,
            repository.location.directory,
            group=repository.name,
            place=f"`{sources.display(repository.location)}`",
            known=known,
            taken=taken,
        )
        return await anyio.to_thread.run_sync(look)

    def _whole(
        self,
        repository: Template,
        found: Found,
        registered: tuple[Template, ...],
        failures: dict[str, DynamoError],
        confinement: Confinement,
    ) -> TemplateInfo:
        infos = {template.name: self._summaries.of(template, confinement) for template in registered}
        children = []
        for child in found.children:
            failure = failures.get(child.name)
            problem = child.problem or (plain(failure.message) if failure else None)
            info = infos.get(child.name)
            if problem is not None:
                description = info.description if info else child.description
                children.append(ChildInfo(child.name, child.directory, description, None, problem))
            elif info is not None:  # otherwise it was removed by itself
                children.append(_child(info, child.directory))
        return self._summaries.whole(repository, tuple(children), found.notes, confinement)


def _trust_of_new(old: tuple[Template, ...], *, own: bool) -> Trust:
    if all(template.trust == "inert" for template in old):
        return "inert"
    return "full" if own else "contained"


def _child(info: TemplateInfo, directory: str) -> ChildInfo:
    tool = info.tool if info.is_active else None
    return ChildInfo(info.name, directory, info.description, tool, info.problem, needs=info.needs, notes=info.notes)


def _usable(found: Found) -> list[Child]:
    """Return the children that nothing is known against.

    Raises:
        InvalidTemplate: There is none.
    """
    usable = [child for child in found.children if child.problem is None]
    if not usable:
        raise none_usable({child.name: child.problem or "" for child in found.children})
    return usable


def _several(found: Found | None, name: str) -> Found:
    """Return what an updated repository holds.

    Raises:
        InvalidTemplate: It is one template now.
    """
    if found is None:
        raise InvalidTemplate(
            f"The repository of `{name}` does not hold several templates any more",
            hint="remove it with `remove_template` and add it again",
        )
    return found


def _renewal(repository: Template, old: tuple[Template, ...], found: Found) -> list[Template]:
    """Return the templates that an updated repository gives: those that were there, and new ones.

    Raises:
        InvalidTemplate: None of them can be used.
    """
    by_directory = {template.location.directory or "": template for template in old}
    members = {*by_directory, *(member for template in old for member in _group(template).members)}
    group = Group(repository.name, repository.location.directory, tuple(sorted(members)))
    templates = [
        _renewed(by_directory[child.directory], repository, group)
        if child.directory in by_directory
        else _template(repository, child, group)
        for child in _usable(found)
        # What somebody removed by itself stays removed.
        if child.directory in by_directory or child.directory not in members
    ]
    if not templates:
        raise none_usable({child.name: child.problem or "it was removed" for child in found.children})
    return templates


def _template(repository: Template, child: Child, group: Group) -> Template:
    return msgspec.structs.replace(
        repository,
        name=child.name,
        description=child.description or f"Projects from the template `{child.name}`",
        location=msgspec.structs.replace(repository.location, directory=child.directory),
        path=repository.checkout / child.directory,
        group=group,
    )


def _renewed(old: Template, repository: Template, group: Group) -> Template:
    return msgspec.structs.replace(
        old,
        location=msgspec.structs.replace(repository.location, directory=old.location.directory),
        path=repository.checkout / (old.location.directory or ""),
        checkout=repository.checkout,
        digest=repository.digest,
        revision=repository.revision,
        left_out=repository.left_out,
        listed=repository.listed,
        validator=repository.validator,
        origin=repository.origin,
        last_updated=repository.last_updated,
        group=group,
    )


def _group(template: Template) -> Group:
    assert template.group is not None  # noqa: S101 - `Registry.group` returns those that have one
    return template.group
