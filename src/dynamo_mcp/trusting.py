"""How much of a template may run, by whose word? A person's, in a shell or in the settings; never a program's."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack

import msgspec

from dynamo_mcp import sources
from dynamo_mcp.catalogue import url
from dynamo_mcp.confining import Confining
from dynamo_mcp.errors import DynamoError, Refused, UsageError
from dynamo_mcp.progress import Progress
from dynamo_mcp.registry import Registry
from dynamo_mcp.sandbox.grants import command, granted, parse
from dynamo_mcp.sandbox.trust import lowered, permit, raised, unvouched
from dynamo_mcp.scripts import hooks
from dynamo_mcp.settings import Settings
from dynamo_mcp.sources.places import is_own, same_place
from dynamo_mcp.store import Store
from dynamo_mcp.summaries import tier_of
from dynamo_mcp.text import plain
from dynamo_mcp.types import Checkout, Confinement, Location, Template, Trust, Vouched
from dynamo_mcp.views import TrustInfo
from dynamo_mcp.vouching import bound, changed, extensions_of, is_same, unseen

_WORD = 200


class Said(msgspec.Struct, frozen=True):
    """How much of a template may run; `trusted_for` where a person has said so of this one."""

    trust: Trust
    grants: tuple[str, ...] = ()
    trusted_for: Vouched | None = None


class Trusting:
    """What persons have said of the templates of one home."""

    def __init__(self, settings: Settings, store: Store, registry: Registry, confining: Confining) -> None:
        """Take what knows the templates."""
        self._settings = settings
        self._store = store
        self._registry = registry
        self._confining = confining

    def word(self, trust: Trust | None, grants: Sequence[str] = ()) -> tuple[Trust | None, tuple[str, ...]]:
        """Return a caller's word, if it is a person's.

        Raises:
            UsageError: It is a program's, or trust and grants do not go together.
            Refused: A grant would undo the sandbox.
        """
        if (trust is not None or grants) and not self._settings.person:
            raise UsageError(
                "Only a person can say how much of a template may run",
                hint="a person says it in a shell: `dynamo-mcp trust NAME full`",
            )
        if grants and trust == "inert":
            raise UsageError(
                "A template of trust `inert` takes no grants: no hook of it runs that could use them",
                hint="leave `--grant` out, or say `contained`",
            )
        if grants and trust == "full":
            raise UsageError(
                "A template of trust `full` needs no grants: it can reach all that you can",
                hint="leave `--grant` out, or say `contained`, which gives it these and nothing else",
            )
        return trust, parse(grants, self._settings)

    def of_added(
        self, location: Location, word: tuple[Trust | None, tuple[str, ...]], tree: Checkout, *, vouched: bool
    ) -> Said:
        """Decide for a template that is being added; by a person, where one vouches for it."""
        trust, grants = word
        if trust is not None or grants:
            return Said(trust or "contained", grants, unseen(tree.digest, tree.revision))
        if not (vouched and self._settings.person) and self._kept_inert(location, tree):
            return Said("inert")
        if is_own(location, self._settings.trusted, listed=tree.listed):
            return Said("full", trusted_for=unseen(tree.digest, tree.revision, by_setting=True))
        return Said(self._settings.trust)

    def _kept_inert(self, location: Location, tree: Checkout) -> bool:
        """Tell whether one of the same place, or of the same content, may only be rendered."""
        return any(
            template.digest == tree.digest or same_place(template.location, location)
            for template in self._registry.all()
            if template.trust == "inert"
        )

    def check_removal(self, templates: Sequence[Template]) -> None:
        """Let nobody but a person forget what a person has said.

        Raises:
            Refused: A program would remove a template that a person lets run nothing.
        """
        for template in templates:
            if template.trust == "inert" and template.trusted_for is not None and not self._settings.person:
                raise Refused(
                    f"Template `{template.name}` can't be removed by a program: a person has set its trust to `inert`, "
                    "and adding it again would undo that",
                    hint=f"a person can remove it in a shell: `dynamo-mcp remove {template.name}`; or let more of it "
                    f"run: `{command(template.name, 'contained')}`",
                )

    async def as_it_is(self, template: Template, progress: Progress) -> tuple[Template, tuple[str, ...]]:
        """Return a template with the trust that counts now, and what is to be said of that.

        A live folder may have been edited since a person's word on it was given, which then counts no more.

        Raises:
            InvalidTemplate: A live folder can't be used as it is now, and so is InvalidLocation.
        """
        if not (template.location.live and raised(template)):
            return template, ()
        now = await self._now(template, progress)
        if await is_same(template, now):
            return template, ()
        what = ", ".join(await changed(template, now))
        had = ", ".join([f"trust `{template.trust}`", *(f"`{grant}`" for grant in template.grants)])
        again = command(template.name, template.trust, template.grants)
        note = (
            f"trust `contained` without grants counts, since `{template.name}` was edited after it was given {had} "
            f"(changed: {what}); a person can give it again: `{again}`"
        )
        return lowered(template), (note,)

    async def _now(self, template: Template, progress: Progress) -> Template:
        """Return a template as its folder is now."""
        if not template.location.live:
            return template
        tree = await sources.fetch(template.location, store=self._store, settings=self._settings, progress=progress)
        return msgspec.structs.replace(template, digest=tree.digest)

    async def _changed(self, template: Template, progress: Progress) -> tuple[str, ...]:
        """Say what of a live template was edited since more was given to it than every template gets."""
        if not raised(template):
            return ()
        try:
            now = await self._now(template, progress)
            same = await is_same(template, now)
        except DynamoError as error:  # less can be let run also where the folder is gone
            return (plain(error.message),)
        return () if same else await changed(template, now)

    async def show(self, name: str, progress: Progress) -> tuple[TrustInfo, ...]:
        """Tell what of a template, or of each of a repository, may run, and for what that was said.

        Raises:
            TemplateNotFound: There is none.
        """
        return tuple([await self._told(template, progress) for template in self._named(name)])

    async def set(self, name: str, trust: Trust, grants: Sequence[str], progress: Progress) -> tuple[TrustInfo, ...]:
        """Set trust and exactly these grants, as a person's word on what is there now.

        Raises:
            TemplateNotFound: There is none.
            UsageError: A program asks, or trust and grants do not go together.
            Refused: A grant would undo the sandbox.
        """
        _, given = self.word(trust, grants)
        async with AsyncExitStack() as held:
            if self._registry.group(name):
                templates = await held.enter_async_context(self._registry.hold_group(name))
            else:
                templates = (await held.enter_async_context(self._registry.hold(name)),)
            told = []
            for template in templates:
                new = msgspec.structs.replace(template, trust=trust, grants=given, trusted_for=None)
                # What lets less run than before is done also where the folder is gone.
                new = await bound(await self._now(new, progress) if raised(new) else new)
                # The record's own digest stays that of the last update, so that the next one sees what has changed.
                self._registry.save(msgspec.structs.replace(new, digest=template.digest))
                told.append(await self._told(new, progress))
        return tuple(told)

    def _named(self, name: str) -> tuple[Template, ...]:
        return self._registry.group(name) or (self._registry.get(name),)

    def _refusal(self, template: Template, confinement: Confinement) -> str | None:
        """Say why each create of a template is refused as it is, and what a person can do; None where none is."""
        try:
            permission = permit(template, template.trust, confinement)
            granted(template.name, permission.grants, self._settings)
        except Refused as error:
            return f"{error.message}; {error.hint}"
        return None

    async def _told(self, template: Template, progress: Progress) -> TrustInfo:
        given = template.trusted_for
        confinement = await self._confining.confinement()
        edited = await self._changed(template, progress)
        return TrustInfo(
            template=template.name,
            trust=template.trust,
            grants=template.grants,
            tier=tier_of(template, confinement),
            url=url(template.location),
            directory=template.location.directory,
            revision=given.revision if given else template.revision,
            digest=given.digest if given else template.digest,
            by_person=given is not None and not given.by_setting,
            by_setting=given is not None and given.by_setting,
            changed=edited,
            hooks=hooks(template.path),
            extensions=tuple(plain(each, _WORD) for each in extensions_of(template)),
            requirements=template.requirements,
            unvouched=tuple(need.requirement for need in unvouched(template)),
            machine=confinement.tier,
            refused=self._refusal(lowered(template) if edited else template, confinement),
        )
