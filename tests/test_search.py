"""Which templates fit the words, best first, and why?"""

from __future__ import annotations

import time

import pytest

from dynamo_mcp import catalogue
from dynamo_mcp.errors import UsageError
from dynamo_mcp.search import MOST_CHARACTERS, Document, Index, Match, words_of

DOCUMENTS = [
    Document(entry.name, entry.description, entry.category, entry.language, entry.tags) for entry in catalogue.entries()
]
INDEX = Index(DOCUMENTS)


def _names(query: str, index: Index = INDEX) -> list[str]:
    return [DOCUMENTS[match.number].name for match in index.search(query)]


def _match(query: str, name: str) -> Match:
    return next(match for match in INDEX.search(query) if DOCUMENTS[match.number].name == name)


@pytest.mark.parametrize("name", [document.name for document in DOCUMENTS])
def test_a_template_is_found_first_by_its_name(name: str) -> None:
    assert _names(name)[0] == name
    assert _match(name, name).score == 100
    assert _match(name, name).why == ("that is its name",)


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("djngo", "django"),
        ("flsk", "flask"),
        ("kuberntes", "continuous-delivery"),
        ("pytroch", "pytorch"),
        ("fastpai react", "fastapi-react"),
        ("terrafrom", "terraform-module"),
    ],
)
def test_a_misspelled_word_is_understood(query: str, name: str) -> None:
    assert name in _names(query)[:3]
    assert any("is like" in reason for reason in _match(query, name).why)


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("golang", "golang"),
        ("k8s", "continuous-delivery"),
        ("ml", "mlops"),
        ("cpp", "cpp-project"),
        ("c++", "cpp-project"),
        ("csharp", "aws-sam-dotnet"),
        ("postgres", "django-rest"),
        ("ts", "aws-sam-typescript"),
        ("microservice", "web-service"),
        ("gui", "qt-app"),
        ("thesis", "latex-article"),
        ("arduino", "circuitpython-library"),
        ("cli manual", "c-autotools"),
        ("tf", "terraform-module"),
    ],
)
def test_another_name_of_a_thing_finds_it(query: str, name: str) -> None:
    assert name in _names(query)[:6]


@pytest.mark.parametrize(
    ("sentence", "name"),
    [
        ("I want to build a REST API with Django and PostgreSQL", "django-rest"),
        ("a plugin for QGIS to work with maps", "qgis-plugin"),
        ("please make me a serverless function on AWS in Java", "aws-sam-java"),
        ("we need a data science project with notebooks for analysis", "data-science"),
        ("an MCP server for agents", "mcp-server"),
        ("firmware for my ESP32 with a web server", "esp32-webserver"),
        ("I'd like to write a video game in lisp", "lisp-game"),
        ("write a report in LaTeX with a bibliography", "latex-article"),
        ("command line tool in Python with click", "click-app"),
        ("an Android and iOS mobile app written in Python", "briefcase-app"),
        ("training neural networks with PyTorch Lightning and hydra", "pytorch-lightning"),
        ("extract data from an API with Meltano", "singer-tap"),
    ],
)
def test_a_sentence_finds_what_is_wanted_among_the_best_five(sentence: str, name: str) -> None:
    assert name in _names(sentence)[:5]


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("call", "click-app"),
        ("express", "r-project"),
        ("online", "c-autotools"),
        ("typescript", "purescript-halogen"),
    ],
)
def test_a_word_that_only_ends_alike_is_no_misspelling(query: str, name: str) -> None:
    assert name not in _names(query)


@pytest.mark.parametrize("query", ["jango", "ython"])
def test_a_first_letter_may_be_left_out_of_a_word_that_is_otherwise_the_same(query: str) -> None:
    assert {"jango": "django", "ython": "python-lib"}[query] in _names(query)


def test_the_more_of_a_word_was_typed_the_better_it_fits() -> None:
    found = Index([Document("a", "", tags=("functional",)), Document("b", "", tags=("funny",))]).search("fun")
    assert [match.number for match in found] == [1, 0]
    assert found[0].score > found[1].score


def test_words_that_no_document_has_are_named() -> None:
    assert INDEX.missing("a Kubernetes operator in Haskell, with django") == ("operator", "haskell")
    assert INDEX.missing("djngo") == ()


def test_a_match_says_what_of_it_fits() -> None:
    match = _match("python postgres settings", "django")
    assert match.why == ("`python` is in its language", "`postgres` is like `postgresql` in its tags")
    assert match.words == 2
    asked = Index([Document("one", "A thing", questions=("Which license do you want?",))])
    assert asked.search("license")[0].why == ("`license` is in its questions",)


def test_a_name_says_more_than_a_tag_and_a_tag_more_than_a_description() -> None:
    found = Index(
        [Document("a", "of bees"), Document("b", "", tags=("bees",)), Document("bees-c", ""), Document("d", "of ants")]
    ).search("bees")
    assert [match.number for match in found] == [2, 1, 0]
    assert found[0].score > found[1].score > found[2].score > 0


def test_more_words_that_fit_are_better_than_one() -> None:
    assert _names("rust web service")[0] == "rust-actix"
    assert _names("rust lambda")[0] == "aws-sam-rust"


def test_words_that_say_nothing_are_left_out_unless_there_are_no_others() -> None:
    assert words_of("I want a new project with Django, please") == ["django"]
    assert words_of("a new project") == ["a", "new", "project"]
    assert words_of("machine-learning Machine learning c++ C# .net") == ["machine", "learning", "c++", "c#", "net"]
    assert words_of("machine-learning", {"machine-learning"}) == ["machine-learning"]


def test_what_is_nothing_to_look_for_is_refused() -> None:
    for query in ("", "   ", "!?", "\x1b[2J"[:1]):
        with pytest.raises(UsageError, match="no word"):
            INDEX.search(query)
    with pytest.raises(UsageError, match=f"may have {MOST_CHARACTERS}"):
        INDEX.search("x" * (MOST_CHARACTERS + 1))


def test_nothing_is_found_where_nothing_fits_and_nothing_of_no_documents() -> None:
    assert INDEX.search("zzyzxqqq") == []
    assert Index([]).search("django") == []


def test_the_longest_query_of_hostile_words_takes_no_longer_than_a_blink() -> None:
    hostile = [Document(f"n{number}", "abcdefgh " * 55, tags=("a-" * 19 + "a",)) for number in range(2000)]
    index = Index(hostile)
    begun = time.perf_counter()
    for query in (" ".join(f"abcdef{number:02}" for number in range(40)), "a" * MOST_CHARACTERS, "-" * MOST_CHARACTERS):
        try:
            index.search(query)
        except UsageError:
            continue
    assert time.perf_counter() - begun < 5
