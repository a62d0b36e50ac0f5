"""Templates that nobody wrote: what a job makes of them is byte for byte what the real cookiecutter makes.

`EXAMPLES=2000 pytest tests/in_environment/test_differential.py` tries more of them.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
from hypothesis import strategies as st

from in_environment import reference
from in_environment.reference import Reference
from in_environment.workers import Pool, tree, write_template

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLES = int(os.environ.get("EXAMPLES", "60"))
MARKS = {
    "variable_start_string": "<<",
    "variable_end_string": ">>",
    "block_start_string": "<%",
    "block_end_string": "%>",
}
PRIVATE = ("_template", "_output_dir", "_repo_dir", "_checkout")

# Answers in which nothing is Jinja: the real one would render them.
BENIGN = st.text(st.sampled_from("ab Z9.-_'\"\\$é日🐍\u200f\t"), max_size=12)
WORDS = st.text(st.sampled_from("abcXY _-.é0"), min_size=1, max_size=6)
NAMES = ("alpha", "beta", "gamma", "delta")


def texts(names: tuple[str, ...]) -> st.SearchStrategy[str]:
    """Return texts with and without Jinja, which may use the variables of these names."""
    uses = [f"{{{{ cookiecutter.{name}|string|lower }}}}" for name in names]
    return st.lists(st.sampled_from(["a", " B ", "{{ 1 + 1 }}", "}", "{", "%", "é", *uses]), max_size=3).map("".join)


def values(names: tuple[str, ...]) -> st.SearchStrategy[Any]:
    """Return what a variable may be that comes after the named ones."""
    plain = st.one_of(texts(names), st.integers(-9, 9), st.just(1.5), st.booleans(), st.none())
    return st.one_of(
        plain,
        st.sampled_from(["y", "n", "yes", "no", "true", "False"]),
        st.lists(st.one_of(texts(names), st.integers(0, 9), st.booleans()), min_size=1, max_size=3),
        st.dictionaries(WORDS, st.recursive(plain, lambda x: st.dictionaries(WORDS, x, max_size=2), max_leaves=3)),
    )


@st.composite
def configurations(draw: st.DrawFn) -> dict[str, Any]:
    made: dict[str, Any] = {"slug": draw(st.sampled_from(["made", "Some Thing", "é-{{ 1 + 1 }}"]))}
    for name in draw(st.permutations(NAMES)):
        if draw(st.booleans()):
            known = tuple(other for other in made if not isinstance(made[other], dict))
            # Now and then a default uses what comes later, or is not there: both must fail.
            made[name] = draw(values((*known, "later") if draw(st.integers(0, 19)) == 7 else known))
    if draw(st.booleans()):
        made["_raw"] = draw(st.sampled_from(["{{ raw }}", ["{{ raw }}", 2], {"a": "{{ raw }}"}, None, 3]))
    if draw(st.booleans()):
        made["__rendered"] = draw(values(("slug",)))
    if draw(st.booleans()):
        made["__prompts__"] = {"slug": "What?", "alpha": {"__prompt__": "Which?"}}
    if draw(st.integers(0, 2)) == 0:
        made["_new_lines"] = draw(st.sampled_from(["\n", "\r\n", "\r", ""]))
    if draw(st.integers(0, 2)) == 0:
        made["_copy_without_render"] = draw(
            st.lists(st.sampled_from(["*.raw", "raw*", "*/x*", "a/*", "*.txt", "nothing"]), max_size=2)
        )
    if draw(st.integers(0, 2)) == 0:
        made["_jinja2_env_vars"] = draw(
            st.sampled_from(
                [
                    {"trim_blocks": True, "lstrip_blocks": True},
                    {"newline_sequence": "\r\n"},
                    {"line_statement_prefix": "%%", "line_comment_prefix": "##"},
                    {"autoescape": True},
                    MARKS,
                ]
            )
        )
    return made


def parts(names: tuple[str, ...]) -> st.SearchStrategy[str]:
    uses = [f"{{{{cookiecutter.{name}}}}}" for name in names]
    whole = ["a", "b.txt", "x.raw", "raw", "é x", ".hidden", "{% if cookiecutter.slug == 'made' %}if{% endif %}"]
    return st.sampled_from([*whole, *uses, *(f"{use}.txt" for use in uses), "{{ 'q' * 2 }}"])


PIECES = [
    "text",
    "\n",
    "\r\n",
    "\r",
    "\ufeff",
    "é日🐍",
    "{ } }} %} #}",
    "{# gone #}",
    "{% raw %}{{ kept }}{% endraw %}",
    "{% if cookiecutter.slug %}\nyes\n{% endif %}\n",
    "  {%- for i in [1, 2] -%} {{ i }} {%- endfor %}\n",
    "%% if true\nline\n%% endif\n",
    "## comment\n",
    "{{ cookiecutter.slug|slugify }}",
    "{{ cookiecutter.slug }}",
    "{{ '<&>' }}",
    "{{ cookiecutter._raw }}",
    "{% include 'part.txt' %}",
]


@st.composite
def templates(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, bytes], list[str], dict[str, int], dict[str, str]]:
    """Return a configuration, files, empty folders, modes and links."""
    configuration = draw(configurations())
    usable = tuple(name for name, value in configuration.items() if isinstance(value, (str, int)) and name in NAMES)
    contents = st.one_of(
        st.binary(max_size=40),
        st.lists(st.sampled_from(PIECES), max_size=6).map(lambda pieces: "".join(pieces).encode()),
    )
    marked = "<<cookiecutter.slug>>" if "<<" in json.dumps(configuration) else "{{cookiecutter.slug}}"
    paths = st.lists(parts(usable), min_size=1, max_size=3).map("/".join)
    files = {
        f"{marked}/{path}": content for path, content in draw(st.dictionaries(paths, contents, max_size=6)).items()
    }
    files["templates/part.txt"] = b"part {{ cookiecutter.slug }}"
    opening, closing = ("<<", ">>") if marked.startswith("<<") else ("{{", "}}")
    shown = f"{opening} dict(cookiecutter, {', '.join(f'{name}=0' for name in PRIVATE)})|jsonify {closing}"
    files[f"{marked}/all.json"] = f"{shown}\n{opening} _cookiecutter|jsonify {closing}\n".encode()
    files = {
        path: content for path, content in files.items() if not any(other.startswith(path + "/") for other in files)
    }
    folders = [f"{marked}/{path}" for path in draw(st.lists(paths, max_size=2))]
    folders = [path for path in folders if not any(path == file or path.startswith(file + "/") for file in files)]
    modes = {path: draw(st.sampled_from([0o644, 0o755, 0o600, 0o640, 0o444])) for path in files}
    links = {}
    if draw(st.booleans()):
        links[f"{marked}/link"] = draw(st.sampled_from(["all.json", "../templates/part.txt", "../templates", "a"]))
    return configuration, files, folders, modes, links


@st.composite
def answers(draw: st.DrawFn, configuration: dict[str, Any]) -> dict[str, Any]:
    """Return valid answers to some of the questions."""
    given: dict[str, Any] = {}
    for name, value in configuration.items():
        if name.startswith("_") or name == "slug" or draw(st.booleans()):
            continue
        match value:
            case bool():
                given[name] = draw(st.booleans())
            case list():
                offered: list[str | None] = [item for item in value if isinstance(item, str)]
                given[name] = draw(st.sampled_from(offered or [None]))
            case dict():
                given[name] = draw(st.dictionaries(WORDS, st.one_of(BENIGN, st.none()), max_size=2))
            case int() | float():
                given[name] = str(draw(st.integers(0, 9)))
            case _:
                given[name] = draw(BENIGN)
    return {name: value for name, value in given.items() if value is not None}


def write(folder: Path, made: tuple[Any, dict[str, bytes], list[str], dict[str, int], dict[str, str]]) -> Path:
    configuration, files, folders, modes, links = made
    shutil.rmtree(folder, ignore_errors=True)
    write_template(folder, dict(files), configuration)
    for path in folders:
        (folder / path).mkdir(parents=True, exist_ok=True)
    for path, target in links.items():
        if not os.path.lexists(folder / path) and (folder / path).parent.joinpath(target).exists():
            (folder / path).symlink_to(target)
    for path, mode in modes.items():
        (folder / path).chmod(mode)
    return folder


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reference]:
    with reference.started(tmp_path_factory.mktemp("real") / "room") as started:
        yield started


@hypothesis.settings(max_examples=EXAMPLES, suppress_health_check=list(hypothesis.HealthCheck))
@hypothesis.given(data=st.data())
def test_whatever_the_template_it_makes_what_the_real_cookiecutter_makes(
    unmeasured_pool: Pool, real: Reference, tmp_path: Path, data: st.DataObject
) -> None:
    made = data.draw(templates())
    folder = write(tmp_path / "template", made)
    given = data.draw(answers(made[0]))
    expected, said = real.make(folder, given)
    ours = unmeasured_pool.worker().create(folder, given)
    hypothesis.note(f"real: {said or 'made'}; ours: {ours.last}")
    hypothesis.event("made" if expected is not None else "failed")
    assert (ours.event == "done") == (expected is not None)
    if expected is not None:
        assert tree(ours.output) == expected
    shutil.rmtree(ours.output, ignore_errors=True)


ANYTHING = st.one_of(
    st.text(st.characters(codec="utf-8"), max_size=200),
    st.lists(
        st.sampled_from(["{{ 7*7 }}", "{% raw %}", "{#", "'", '"', "\\", "\r\n", "\n", "👩‍👧", "\u202e", "\0"])
    ).map("".join),
    st.sampled_from(["x" * 10_240, "{{ é }}" * 2000]),
)


@hypothesis.settings(max_examples=EXAMPLES, suppress_health_check=list(hypothesis.HealthCheck))
@hypothesis.given(text=ANYTHING)
def test_whatever_is_answered_reaches_files_and_what_is_computed_from_it_literally(
    unmeasured_pool: Pool, tmp_path: Path, text: str
) -> None:
    content = "[{{ cookiecutter.text }}][{{ cookiecutter.owner.name }}][{{ cookiecutter.derived }}]"
    configuration = {"slug": "made", "text": "x", "owner": {"name": "y"}, "derived": "{{ cookiecutter.text }}"}
    folder = write_template(tmp_path / "template", {"{{cookiecutter.slug}}/file": content}, configuration)
    made = unmeasured_pool.worker().create(folder, {"text": text, "owner": {"name": text}})
    assert made.read("file") == f"[{text}][{text}][{text}]"
    shutil.rmtree(made.output)
