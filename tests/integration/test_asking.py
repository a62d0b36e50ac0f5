"""A person is asked by their client, and a real project is made of what they say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mcp_types as t
import pytest

from integration.places import CONFIGURATION, Era, Place, Transport, each_transport_and_each_era, write_template

pytestmark = pytest.mark.anyio


class Person:
    """Answers form after form, and remembers what was asked."""

    def __init__(self, *results: t.ElicitResult) -> None:
        self.forms: list[dict[str, Any]] = []
        self._results = list(results)

    async def __call__(self, _context: object, params: Any) -> t.ElicitResult | t.ErrorData:
        self.forms.append(params.requested_schema["properties"])
        return self._results.pop(0)


@pytest.mark.parametrize("transport", ["stdio", "http"])
@pytest.mark.parametrize("era", ["2026-07-28", "legacy"])
async def test_a_project_is_made_of_what_a_person_fills_in_and_none_of_what_they_refuse(
    place: Place, transport: Transport, era: Era
) -> None:
    folder = write_template(place.templates / "one")
    person = Person(
        t.ElicitResult(
            action="accept", content={"project_name": "{{ 7*7 }} it's", "slug": "", "use_ci": False, "workers": 9}
        ),
        t.ElicitResult(action="accept", content={"license": "mit", "workers": "many"}),
        t.ElicitResult(action="decline"),
    )
    async with place.joined(transport, era, elicitation_callback=person) as client:
        assert (client.protocol_version == "2026-07-28") == (era == "2026-07-28")
        assert not (await client.call_tool("add_template", {"url": str(folder)})).is_error
        where = {"_ask": True, "_output_dir": str(place.outputs)}
        made = await client.call_tool("create_one", {"license": "BSD-3-Clause", **where})
        assert not made.is_error, made.content
        wrong = await client.call_tool("create_one", {"slug": "wrong", **where})
        refused = await client.call_tool("create_one", {"slug": "refused", **where})
    project = made.structured_content
    assert project is not None
    readme = (Path(project["path"]) / "README.md").read_text()
    for line in (
        "name: {{ 7*7 }} it's",
        "slug: 7-7-it-s",
        "license: BSD-3-Clause",
        "ci: n",
        "workers: 9",
        "ratio: 0.5",
    ):
        assert f"{line}\n" in readme
    assert project["notes"] == ["a form can't ask for `owner`: the defaults were taken"]
    asked, again, _ = person.forms
    assert list(asked) == ["project_name", "slug", "use_docs", "use_ci", "workers", "ratio", "motto"]
    assert again["license"]["title"] == "Which licence?"
    assert again["license"]["oneOf"][0] == {"const": "MIT", "title": "The MIT licence"}
    told = "\n".join(block.text for block in wrong.content if isinstance(block, t.TextContent))
    assert wrong.is_error
    assert "did you mean `MIT`?" in told
    assert "`workers` can't be text `many`; it is a whole number" in told
    assert 'The person answered {"license":"mit","workers":"many"}' in told
    assert refused.is_error
    assert place.made == [Path(project["path"]).name]
    assert place.scratch == []


COMPUTED: dict[str, Any] = {
    **CONFIGURATION,
    "_extensions": ["cookiecutter.extensions.RandomStringExtension"],
    "token": "{{ random_ascii_string(12) }}",
    "place": ["{{ cookiecutter.slug }}", "src/{{ cookiecutter.slug }}", "flat"],
    "__prompts__": {"place": {"__prompt__": "Where to?", "flat": "Nowhere"}},
}


@each_transport_and_each_era
async def test_what_is_computed_is_asked_as_it_comes_to_and_follows_what_the_person_changes(
    place: Place, transport: Transport, era: Era
) -> None:
    folder = write_template(place.templates / "one", configuration=COMPUTED)
    broken = {**COMPUTED, "worse": "{{ cookiecutter.nowhere }}"}
    other = write_template(place.templates / "other", configuration=broken)
    _, written, _ = COMPUTED["place"]
    person = Person(
        t.ElicitResult(action="accept", content={"slug": "", "project_name": "Sea Shells", "place": written}),
        t.ElicitResult(action="accept", content={"slug": "mended", "worse": "better"}),
    )
    async with place.joined(transport, era, elicitation_callback=person) as client:
        assert not (await client.call_tool("add_template", {"url": str(folder)})).is_error
        added = await client.call_tool("add_template", {"url": str(other)})
        where = {"_ask": True, "_output_dir": str(place.outputs)}
        made = await client.call_tool("create_one", {"motto": "m", **where})
        assert not made.is_error, made.content
        mended = await client.call_tool("create_other", where)
        assert not mended.is_error, mended.content
    # What is random is another each time, which is no reason to ask again.
    first, second = person.forms
    assert first["slug"]["description"].endswith("with those so far it is: my-project")
    assert first["place"]["oneOf"] == [
        {"const": "{{ cookiecutter.slug }}", "title": "my-project"},
        {"const": "src/{{ cookiecutter.slug }}", "title": "src/my-project"},
        {"const": "flat", "title": "Nowhere"},
    ]
    assert made.structured_content is not None
    answers = made.structured_content["answers"]
    assert (answers["slug"], answers["place"]) == ("sea-shells", "src/sea-shells")
    assert len(answers["token"]) == 12
    # Where nothing can be computed the rest is asked, and told so; it was told when the template was added, too.
    assert added.structured_content is not None
    assert "the default of `worse`" in added.structured_content["notes"][0]
    assert "place" not in second
    assert second["slug"]["description"].endswith(
        "computed from the other answers: {{ cookiecutter.project_name | slugify }}"
    )
    assert mended.structured_content is not None
    assert mended.structured_content["answers"]["place"] == "mended"
    assert any("could not show what is computed" in note for note in mended.structured_content["notes"])
    assert place.scratch == []
