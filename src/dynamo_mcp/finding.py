"""Which templates are there to be found, registered or not, and which of them fit?

What is registered and an entry of a catalogue that it comes from are one. The index of all words is kept until a
template, its questions or a catalogue changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import anyio.lowlevel
import anyio.to_thread
import msgspec

from dynamo_mcp import catalogue
from dynamo_mcp.catalogue_form import is_remote
from dynamo_mcp.catalogue_views import CatalogueEntry, Category, CategoryInfo, Found, FoundTemplate
from dynamo_mcp.catalogues import Catalogues, Known, check_name
from dynamo_mcp.errors import DynamoError, InvalidLocation, NotFound, UsageError
from dynamo_mcp.once import as_before
from dynamo_mcp.registry import NAME, Registry
from dynamo_mcp.schema_cache import SchemaCache
from dynamo_mcp.search import Document, Index, Match, named_languages, words_of
from dynamo_mcp.settings import Settings
from dynamo_mcp.text import plain
from dynamo_mcp.types import Location, Template
from dynamo_mcp.variables import Schema
from dynamo_mcp.views import TOOL_PREFIX, TemplateInfo

MOST = 50
"""Results of one search."""
RECOMMENDED = 5
NOTHING = "nothing fits: say it in other words; `discover_templates` lists what could be added"
_TOGETHER = 50
_OF_ANOTHER_LANGUAGE = 0.2
"""What a match is worth still that is in no language that a sentence names."""
_QUESTION = 200


class _Subject(msgspec.Struct, frozen=True):
    """What can be found, and its words."""

    found: FoundTemplate
    document: Document


class _Kept(msgspec.Struct, frozen=True):
    """What was made of a template, and of what."""

    template: Template
    schema: Schema | None
    entry: CatalogueEntry | None
    subject: _Subject


class Finding:
    """Searches the templates of one home."""

    def __init__(self, settings: Settings, registry: Registry, schemas: SchemaCache, *, catalogues: Catalogues) -> None:
        """Know nothing yet.

        Args:
            settings: What callers may name.
            registry: What is registered.
            schemas: What that asks.
            catalogues: What could be added.
        """
        self._settings = settings
        self._registry = registry
        self._schemas = schemas
        self._catalogues = catalogues
        self._kept: dict[str, _Kept] = {}
        self._offered: dict[int, tuple[CatalogueEntry, _Subject]] = {}
        self._places: tuple[Known, dict[catalogue.Place, CatalogueEntry]] | None = None
        self._made: tuple[Known, tuple[Template, ...]] | None = None
        self._subjects: tuple[_Subject, ...] = ()
        self._index = Index(())

    async def locate(
        self, address: str, *, revision: str | None, directory: str | None, live: bool
    ) -> tuple[CatalogueEntry | None, Location, Settings]:
        """Say where a template is: by an entry's name, a bundled template's location, or an address.

        Args:
            address: What the caller typed, and so are the others.
            revision: Branch, tag or commit; an entry's own when None.
            directory: The template's folder in the repository; likewise.
            live: Use a local folder in place.

        Returns:
            The entry, if it is one; the location; and the settings to fetch it with: what a catalogue of another
            machine names is no word of a person, who may name hosts and folders that it may not.

        Raises:
            InvalidLocation: It can't be understood, or may not be used.
            FetchFailed: It is not known which catalogue's entry it is.
        """
        # No address is a name, so that none waits for catalogues.
        known = await self._catalogues.known() if NAME.fullmatch(address) else Known(catalogue.entries())
        named = next((entry for entry in known.entries if entry.name == address), None)
        if named is not None:
            check_name(named, known, self._settings)
        strange = named is not None and is_remote(named.catalogue)
        settings = msgspec.structs.replace(self._settings, person=False) if strange else self._settings
        try:
            entry, location = catalogue.locate(
                address, settings=settings, revision=revision, directory=directory, live=live, among=known.entries
            )
        except InvalidLocation as error:
            names = [entry.name for entry in known.entries]
            if not NAME.fullmatch(address) or address in names:
                raise
            near = catalogue.nearest(address, names)
            other = f"did you mean `{plain(near, catalogue.SHOWN)}`? else " if near else None
            hint = other or "find one by words with `search_templates`, or "
            raise InvalidLocation(error.message, hint=hint + error.hint) from error
        return entry, location, settings

    async def discover(self, category: str | None = None) -> tuple[CatalogueEntry, ...]:
        """Return the entries that are not registered, sorted by name; raises NotFound if there is no such category."""
        known, templates = await self._catalogues.known(), self._registry.all()
        if category is not None:
            catalogue.check_category(category, _categories(templates, known))
        return tuple(
            entry
            for entry in catalogue.unregistered(templates, known.entries)
            if category is None or entry.category == category
        )

    async def categories(self) -> tuple[CategoryInfo, ...]:
        """Return every category of registered templates and of the catalogues, sorted by name."""
        return catalogue.categories(self._registry.all(), (await self._catalogues.known()).entries)

    async def category(self, name: str, summaries: Sequence[TemplateInfo]) -> Category:
        """Return what is of one category; raises NotFound if there is no such one."""
        known = await self._catalogues.known()
        return catalogue.category(name, self._registry.all(), summaries, known.entries)

    async def search(
        self,
        query: str,
        *,
        category: str | None = None,
        language: str | None = None,
        tags: Sequence[str] = (),
        limit: int = 10,
    ) -> Found:
        """Return the templates that have all of the words, or else as many of them as any, best first.

        Args:
            query: Words; none where filters say what is wanted.
            category: Only what is of it.
            language: Only what is in it; letters' case does not count.
            tags: Only what has all of them; likewise.
            limit: Results at most.

        Raises:
            UsageError: Nothing is asked for, or the query is too long, or the limit can't be.
            NotFound: There is no such category or language.
        """
        if not 1 <= limit <= MOST:
            raise UsageError(f"`limit` is {limit}, which can't be", hint=f"it is 1 to {MOST}")
        known = await self._catalogues.known()
        subjects, index = await self._indexed(known)
        if category is not None:
            catalogue.check_category(category, _categories(self._registry.all(), known))
        if language is not None:
            _check_language(language, subjects)
        filtered = category is not None or language is not None or bool(tags)
        passing = partial(_passes, category=category, language=language, tags={tag.lower() for tag in tags})
        notes = known.notes
        if not query.strip() and filtered:
            matches = [Match(number, 0.0, 0, ()) for number, each in enumerate(subjects) if passing(each.found)]
        else:
            found = await anyio.to_thread.run_sync(index.search, query)
            matches = [match for match in found if not filtered or passing(subjects[match.number].found)]
            most, words = max((match.words for match in matches), default=0), len(words_of(query, index.vocabulary))
            matches = [match for match in matches if match.words == most]
            if 0 < most < words:
                missing = await anyio.to_thread.run_sync(index.missing, query)
                none = f"; none at all has {_listed(missing)}" if missing else ""
                notes = (f"nothing has all {words} words: these have {most} of them{none}", *notes)
        notes = (*_unknown_tags(tags, subjects), *notes)
        if not matches and notes == known.notes:
            notes = (NOTHING, *notes)
        return Found(_told(matches[:limit], subjects), max(0, len(matches) - limit), notes)

    async def recommend(self, wanted: str) -> Found:
        """Return the five templates that fit a sentence best, and why; raises UsageError as `search`.

        What is in a language that the sentence names comes before what merely has more of its words.
        """
        known = await self._catalogues.known()
        subjects, index = await self._indexed(known)
        matches = await anyio.to_thread.run_sync(index.search, wanted)
        if not matches:
            return Found((), 0, (NOTHING, *known.notes))
        missing = await anyio.to_thread.run_sync(index.missing, wanted)
        notes = ((f"no template has {_listed(missing)}",) if missing else ()) + known.notes
        return Found(_told(_by_language(matches, subjects, wanted)[:RECOMMENDED], subjects), 0, notes)

    async def _indexed(self, known: Known) -> tuple[tuple[_Subject, ...], Index]:
        """Return all that can be found, what is registered first, and the index of its words."""
        if self._places is None or self._places[0] is not known:
            self._places = (known, catalogue.by_place(known.entries))
            self._offered = {id(entry): (entry, _of_entry(entry)) for entry in known.entries}
        places = self._places[1]
        templates = self._registry.all()
        # What a pinned template asks can't change without its record.
        same = self._made is not None and self._made[0] is known and self._made[1] is templates
        if same and not any(template.location.live for template in templates):
            return self._subjects, self._index
        found = []
        for number, template in enumerate(templates):
            if number % _TOGETHER == 0:
                await anyio.lowlevel.checkpoint()
            found.append(await self._of_template(template, catalogue.entry_of(template, places)))
        names = {template.name for template in templates}
        self._kept = {name: kept for name, kept in self._kept.items() if name in names}
        found += [
            self._offered[id(entry)][1]
            for entry, marked in zip(known.entries, catalogue.marked(templates, known.entries), strict=True)
            if not marked.registered and id(entry) in self._offered
        ]
        subjects = as_before(found, self._subjects)
        if subjects is not self._subjects:
            index = await anyio.to_thread.run_sync(partial(Index, [subject.document for subject in subjects]))
            self._subjects, self._index = subjects, index
        self._made = (known, templates)
        return self._subjects, self._index

    async def _of_template(self, template: Template, entry: CatalogueEntry | None) -> _Subject:
        try:
            schema = await self._schemas.ready(template)
        except DynamoError:
            schema = None
        kept = self._kept.get(template.name)
        if kept is not None and kept.template is template and kept.schema is schema and kept.entry is entry:
            return kept.subject
        found = FoundTemplate(
            name=template.name,
            description=template.description,
            registered=True,
            score=0.0,
            why=(),
            category=catalogue.category_of(template) or (entry.category if entry else None),
            language=entry.language if entry else None,
            tags=template.tags or (entry.tags if entry else ()),
            location=catalogue.url(template.location),
            directory=template.location.directory,
            tool=f"{TOOL_PREFIX}{template.name}",
            catalogue=entry.catalogue if entry else None,
        )
        questions = [f"{each.name} {each.prompt[:_QUESTION]}" for each in schema.variables] if schema else []
        # Most repositories do not describe themselves as well as an entry does.
        said = f"{template.description} {entry.description}" if entry else template.description
        document = msgspec.structs.replace(_document(found, tuple(questions)), description=said)
        subject = _Subject(found, document)
        self._kept[template.name] = _Kept(template, schema, entry, subject)
        return subject


def _of_entry(entry: CatalogueEntry) -> _Subject:
    found = FoundTemplate(
        name=entry.name,
        description=entry.description,
        registered=False,
        score=0.0,
        why=(),
        category=entry.category,
        language=entry.language,
        tags=entry.tags,
        location=entry.location,
        directory=entry.directory,
        catalogue=entry.catalogue,
    )
    return _Subject(found, _document(found, ()))


def _document(found: FoundTemplate, questions: tuple[str, ...]) -> Document:
    return Document(found.name, found.description, found.category, found.language, found.tags, questions)


def _told(matches: Sequence[Match], subjects: Sequence[_Subject]) -> tuple[FoundTemplate, ...]:
    return tuple(
        msgspec.structs.replace(subjects[match.number].found, score=match.score, why=match.why) for match in matches
    )


def _by_language(matches: Sequence[Match], subjects: Sequence[_Subject], wanted: str) -> list[Match]:
    """Return matches again, best first, those worth less that are in no language that is named."""
    languages = {subject.found.language for subject in subjects}
    named = {each.lower() for each in named_languages(wanted, filter(None, languages))}
    if not named:
        return list(matches)

    def is_in(found: FoundTemplate) -> bool:
        return not named.isdisjoint(each.lower() for each in (found.language or "", *found.tags))

    weighed = [
        match
        if is_in(subjects[match.number].found)
        else msgspec.structs.replace(match, score=round(match.score * _OF_ANOTHER_LANGUAGE, 1))
        for match in matches
    ]
    return sorted(weighed, key=lambda match: -match.score)


def _unknown_tags(tags: Sequence[str], subjects: Sequence[_Subject]) -> tuple[str, ...]:
    """Return a note for each tag that no template has, with the nearest."""
    known = {tag.lower() for subject in subjects for tag in subject.found.tags} if tags else set()
    notes = []
    for tag in tags:
        if tag.lower() not in known:
            near = catalogue.nearest(tag.lower(), sorted(known))
            meant = f"; did you mean `{plain(near, catalogue.SHOWN)}`?" if near else ""
            notes.append(f"no template has the tag `{plain(tag, catalogue.SHOWN)}`{meant}")
    return tuple(notes)


def _listed(words: Sequence[str]) -> str:
    return ", ".join(f"`{plain(word, catalogue.SHOWN)}`" for word in words)


def _passes(found: FoundTemplate, category: str | None, language: str | None, tags: set[str]) -> bool:
    return (
        (category is None or found.category == category)
        and (language is None or (found.language or "").lower() == language.lower())
        and tags <= {tag.lower() for tag in found.tags}
    )


def _categories(templates: Sequence[Template], known: Known) -> list[str]:
    return [category.name for category in catalogue.categories(templates, known.entries)]


def _check_language(language: str, subjects: Sequence[_Subject]) -> None:
    known = sorted({subject.found.language for subject in subjects if subject.found.language})
    if language.lower() in [each.lower() for each in known]:
        return
    shown = plain(language, catalogue.SHOWN)
    raise NotFound(f"There is no template in the language `{shown}`", hint=catalogue.meant(language, known))
