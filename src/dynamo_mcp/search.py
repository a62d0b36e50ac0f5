"""Which of these templates fit the words, best first, and why?

Each word is looked up among all words of all documents: itself, another name of it, its beginning, a part, or, where
it is long enough, what it may be a misspelling of. A rare word says more than one that many documents have, a name more
than a description, and half of a word less than most of it.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from collections.abc import Container, Iterable, Iterator, Sequence

import msgspec

from dynamo_mcp.errors import UsageError
from dynamo_mcp.text import plain

MOST_CHARACTERS = 500
"""Characters of a query."""
MOST_WORDS = 40
"""Words of a query that are looked for."""

_WORDS_OF_DOCUMENT = 2000
_SHOWN = 40
_WORD = re.compile(r"[^\W_]+(?:[-_.][^\W_]+)*(?:\+\+|#)?")
_PARTS = re.compile(r"[-_.]")

_WEIGHTS = {
    "name": 5.0,
    "tags": 4.0,
    "language": 4.0,
    "category": 3.0,
    "description": 2.0,
    "questions": 1.0,
}
_BEST = max(_WEIGHTS.values())

_PREFIX = 3
_PART = 4
_STEM = 3
_FUZZY = 4
_ALIKE = 78
"""Per cent that two words are alike at least (Indel similarity)."""
_ALIKE_BUT_FOR_THE_FIRST = 90
"""Likewise where they begin with other letters, which hardly any misspelling does: `online` is not `line`."""
_LONGEST_AS_WRITTEN = 2
_AS_ALIAS, _AS_BEGINNING, _AS_PART, _AS_LIKE = 0.95, 0.85, 0.6, 0.7

_ALIASES = {
    "api": ("rest",),
    "arduino": ("microcontroller", "firmware"),
    "cli": ("command-line",),
    "cpp": ("c++",),
    "csharp": ("c#",),
    "dl": ("deep-learning",),
    "frontend": ("single-page",),
    "golang": ("go",),
    "gui": ("desktop",),
    "js": ("javascript", "typescript", "nodejs"),
    "javascript": ("typescript", "nodejs"),
    "k8s": ("kubernetes",),
    "microservice": ("service",),
    "ml": ("machine-learning",),
    "node": ("nodejs",),
    "postgres": ("postgresql",),
    "py": ("python",),
    "tf": ("terraform",),
    "thesis": ("article", "report"),
    "ts": ("typescript",),
    "website": ("web", "site"),
    "webapp": ("web", "site"),
    "terminal": ("cli", "command-line"),
    "paper": ("article",),
    "shop": ("e-commerce",),
}
_SAYING_NOTHING = frozenset(
    re.findall(
        r"\w+",
        "a an and any app application are as at be build by can could create do for from generate get have "
        "help i in into is it like make me my need new of on or our please project projects scaffold should "
        "some something start starter template templates that the there this to up us use uses using want we "
        "which with would you ",
    )
)


class Document(msgspec.Struct, frozen=True):
    """What is searched of one template."""

    name: str
    description: str
    category: str | None = None
    language: str | None = None
    tags: tuple[str, ...] = ()
    questions: tuple[str, ...] = ()


class Match(msgspec.Struct, frozen=True):
    """A document that fits.

    Attributes:
        number: Which, in the order that the index was made of.
        score: How well, from 0 to 100.
        words: How many of the query's words it has.
        why: What of it fits, a phrase for each word.
    """

    number: int
    score: float
    words: int
    why: tuple[str, ...]


class Index:
    """The words of documents."""

    def __init__(self, documents: Sequence[Document]) -> None:
        """Read the documents."""
        self._count = len(documents)
        self._names = [document.name for document in documents]
        self._fields: dict[str, dict[int, str]] = {}
        for number, document in enumerate(documents):
            for word, field in _words_of(document).items():
                self._fields.setdefault(word, {})[number] = field
        self._vocabulary = sorted(self._fields)
        self._joined = "\n" + "\n".join(self._vocabulary) + "\n"

    @property
    def vocabulary(self) -> Container[str]:
        """All words that there are."""
        return self._fields.keys()

    def search(self, query: str) -> list[Match]:
        """Return every document that has any of the words, best first.

        Raises:
            UsageError: The query is too long, or has no word.
        """
        words = words_of(query, self._fields)
        scores: dict[int, float] = {}
        why: dict[int, list[str]] = {}
        most = 0.0
        for word in words:
            found = self._look_up(word)
            # A word that every document has says little, one that none has says nothing of the others.
            rarity = math.log(1 + self._count / (1 + len(found)))
            most += rarity * _BEST
            for number, (strength, known) in found.items():
                field = self._fields[known][number]
                scores[number] = scores.get(number, 0.0) + rarity * strength * _WEIGHTS[field]
                why.setdefault(number, []).append(_reason(word, known, field))
        typed = query.strip().lower()
        matches = []
        for number, score in scores.items():
            exact = self._names[number] == typed
            share = len(why[number]) / len(words)
            matches.append(
                Match(
                    number,
                    100.0 if exact else round(100 * score / most * share, 1),
                    len(why[number]),
                    ("that is its name",) if exact else tuple(why[number]),
                )
            )
        return sorted(matches, key=lambda match: (-match.score, match.number))

    def missing(self, query: str) -> tuple[str, ...]:
        """Return the words of a query that no document has, nor one like them; raises UsageError as `search`."""
        return tuple(word for word in words_of(query, self._fields) if not any(True for _ in self._like(word)))

    def _look_up(self, word: str) -> dict[int, tuple[float, str]]:
        """Return the documents that have a word, or one like it: how much like it, and which."""
        found: dict[int, tuple[float, str]] = {}
        for known, strength in self._like(word):
            for number, field in self._fields[known].items():
                before = found.get(number)
                if before is None or strength * _WEIGHTS[field] > before[0] * _WEIGHTS[self._fields[before[1]][number]]:
                    found[number] = (strength, known)
        return found

    def _beginning(self, word: str) -> Iterator[str]:
        """Return the words that begin with this one, or that it begins with and ends soon after."""
        if len(word) >= _PREFIX:
            for known in self._vocabulary[bisect_left(self._vocabulary, word) :]:
                if not known.startswith(word):
                    break
                if known != word:
                    yield known
        stems = (word[:-cut] for cut in range(1, _STEM + 1) if len(word) - cut >= _PART)
        yield from (stem for stem in stems if stem in self._fields)

    def _holding(self, word: str) -> Iterator[str]:
        """Return the words that hold this one; all are searched as one text, which is many times as fast."""
        at = self._joined.find(word) if len(word) >= _PART else -1
        while at >= 0:
            end = self._joined.index("\n", at)
            known = self._joined[self._joined.rindex("\n", 0, at) + 1 : end]
            if not known.startswith(word):
                yield known
            at = self._joined.find(word, end)

    def _like(self, word: str) -> Iterator[tuple[str, float]]:
        from rapidfuzz import fuzz, process  # noqa: PLC0415 - only a search waits for it

        if word in self._fields:
            yield word, 1.0
        yield from ((alias, _AS_ALIAS) for alias in _ALIASES.get(word, ()) if alias in self._fields)
        for strength, words in ((_AS_BEGINNING, self._beginning(word)), (_AS_PART, self._holding(word))):
            for known in words:
                yield known, strength * min(len(word), len(known)) / max(len(word), len(known))
        if len(word) >= _FUZZY:
            for known, alike, _ in process.extract(
                word, self._vocabulary, scorer=fuzz.ratio, processor=None, score_cutoff=_ALIKE, limit=20
            ):
                if known != word and (known[0] == word[0] or alike >= _ALIKE_BUT_FOR_THE_FIRST):
                    yield known, _AS_LIKE * alike / 100


def named_languages(text: str, languages: Iterable[str]) -> set[str]:
    """Return those programming languages that a text names.

    A name of one or two letters counts only as it is written: one may go with Django, and want no Go.

    Args:
        text: A sentence.
        languages: The languages that there are.
    """
    words = set(_WORD.findall(text.lower()))
    also = {alias for word in words for alias in _ALIASES.get(word, ())}
    return {
        language
        for language in languages
        if language.lower() in also
        or re.search(
            rf"(?<!\w){re.escape(language)}(?![\w+#])",
            text,
            re.IGNORECASE if len(language) > _LONGEST_AS_WRITTEN else 0,
        )
    }


def words_of(query: str, known: Container[str] = ()) -> list[str]:
    """Return the words of a query that say something, each once.

    Args:
        query: What was typed.
        known: Words that stay whole though they have a hyphen.

    Raises:
        UsageError: It is too long, or has no word.
    """
    if len(query) > MOST_CHARACTERS:
        raise UsageError(
            f"The query has {len(query)} characters, and may have {MOST_CHARACTERS}",
            hint="say in a sentence or in some words what is wanted",
        )
    words = [
        part
        for word in _WORD.findall(query.lower())
        for part in ([word] if word in known or word in _ALIASES else filter(None, _PARTS.split(word)))
    ]
    saying = [word for word in dict.fromkeys(words) if word not in _SAYING_NOTHING] or list(dict.fromkeys(words))
    if not saying:
        raise UsageError(
            f"The query `{plain(query, _SHOWN)}` has no word", hint="say what is wanted, such as `django rest`"
        )
    return saying[:MOST_WORDS]


def _words_of(document: Document) -> dict[str, str]:
    """Return the words of a document, each with the field that says most."""
    found: dict[str, str] = {}
    for field, texts in (
        ("name", (document.name,)),
        ("tags", document.tags),
        ("language", (document.language or "",)),
        ("category", (document.category or "",)),
        ("description", (document.description,)),
        ("questions", document.questions),
    ):
        for text in texts:
            for word in _WORD.findall(text.lower()):
                for part in (word, *_PARTS.split(word)):
                    if len(found) >= _WORDS_OF_DOCUMENT:
                        return found
                    if part and (field == "name" or part not in _SAYING_NOTHING):
                        found.setdefault(part, field)
    return found


def _reason(word: str, known: str, field: str) -> str:
    place = "its name" if field == "name" else f"its {field}"
    if word == known:
        return f"`{plain(word, _SHOWN)}` is in {place}"
    return f"`{plain(word, _SHOWN)}` is like `{plain(known, _SHOWN)}` in {place}"
