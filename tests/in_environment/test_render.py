"""What a job makes of templates and answers, beside what the real cookiecutter makes of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from in_environment import reference
from in_environment.workers import Tree, Worker, tree, write_template

Real: TypeAlias = Callable[[Path, dict[str, Any]], Tree]

SLUG = "{{cookiecutter.slug}}"
BUNDLED = Path(__file__).parents[2] / "templates"

LITERAL = [
    "{{ 7*7 }}",
    "{% if x %}",
    "{# gone #}",
    "{{ undefined_name }}",
    "{% raw %}",
    "}}{{",
    "It's \"quoted\" 'twice'",
    "$HOME `id` \\n \\",
    "🐍 é ß 日本",
    "  blanks  ",
    "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
]


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Real]:
    """Return what the real cookiecutter makes."""
    with reference.started(tmp_path_factory.mktemp("real") / "room") as started:

        def make(template: Path, answers: dict[str, Any]) -> Tree:
            made, said = started.make(template, answers)
            assert made is not None, said
            return made

        yield make


def single(
    folder: Path, content: str | bytes, configuration: dict[str, Any] | None = None, name: str = "file.txt"
) -> Path:
    chosen = configuration or {}
    chosen = chosen if "slug" in chosen else {"slug": "made", **chosen}
    return write_template(folder / "template", {f"{SLUG}/{name}": content}, chosen)


# Answers


@pytest.mark.parametrize("answer", [*LITERAL, "two\nlines", "tab\tand\rreturn", "", "x" * 100_000])
def test_an_answer_is_literal_in_the_content_of_files(worker: Worker, tmp_path: Path, answer: str) -> None:
    folder = single(tmp_path, "[{{ cookiecutter.text }}]", {"text": "default"})
    made = worker.create(folder, {"text": answer})
    assert made.resolved["answers"]["text"] == answer
    assert (made.project / "file.txt").read_text("utf-8", newline="") == f"[{answer}]"


@pytest.mark.parametrize("answer", LITERAL)
def test_an_answer_is_literal_in_every_name(worker: Worker, tmp_path: Path, answer: str) -> None:
    part = "{{cookiecutter.part}}"
    files: dict[str, str | bytes] = {
        f"{SLUG}/{part}/nested-{part}/{part}.txt": "text",
        f"{SLUG}/{part}/{part}.bin": b"\0binary",
        f"{SLUG}/raw-{part}/deeper/not-{part}.txt": "{{ not rendered }}",
        f"{SLUG}/{part}.raw": "{{ not rendered either }}",
    }
    configuration = {"slug": "made", "part": "x", "_copy_without_render": ["raw-*", "*.raw"]}
    folder = write_template(tmp_path / "template", files, configuration)
    # A backslash is a separator elsewhere, so that no project's folder may have it.
    top = answer.replace("\\", "")
    made = worker.create(folder, {"slug": top, "part": answer})
    assert made.event == "done", made.last
    assert made.last["directory"] == top
    assert [path.name for path in made.output.iterdir()] == [top]
    assert {path: content for path, (kind, _, content) in tree(made.project).items() if kind == "file"} == {
        f"{answer}/nested-{answer}/{answer}.txt": b"text",
        f"{answer}/{answer}.bin": b"\0binary",
        # What is copied without rendering keeps the names inside as they are, as in cookiecutter.
        f"raw-{answer}/deeper/not-{part}.txt": b"{{ not rendered }}",
        f"{answer}.raw": b"{{ not rendered either }}",
    }


def test_an_answer_is_literal_inside_a_mapping_and_in_what_is_derived_from_it(worker: Worker, tmp_path: Path) -> None:
    folder = single(
        tmp_path,
        "{{ cookiecutter.owner.name }}|{{ cookiecutter.derived }}|{{ cookiecutter.__private }}",
        {
            "name": "x",
            "derived": "<{{ cookiecutter.name }}>",
            "__private": "({{ cookiecutter.name }})",
            "owner": {"name": "{{ cookiecutter.name }}"},
        },
    )
    made = worker.create(folder, {"name": "{{ 7*7 }}", "owner": {"name": "{{ 6*6 }}"}})
    assert made.read("file.txt") == "{{ 6*6 }}|<{{ 7*7 }}>|({{ 7*7 }})"


def test_defaults_are_computed_in_order_from_what_was_answered(worker: Worker, tmp_path: Path) -> None:
    configuration = {
        "name": "My Name",
        "slug": "{{ cookiecutter.name|lower|replace(' ', '-') }}",
        "package": "{{ cookiecutter.slug|replace('-', '_') }}",
        "number": 3,
        "ratio": 1.5,
    }
    made = worker.create(single(tmp_path, "x", configuration), {"name": "Other Name"})
    assert made.resolved["answers"] == {
        "slug": "other-name",
        "name": "Other Name",
        "package": "other_name",
        "number": "3",
        "ratio": "1.5",
    }


def test_a_default_given_for_a_middle_variable_counts_for_the_later_ones(worker: Worker, tmp_path: Path) -> None:
    configuration = {"name": "a", "middle": "{{ cookiecutter.name }}b", "last": "{{ cookiecutter.middle }}c"}
    made = worker.create(single(tmp_path, "x", configuration), {"middle": "given"})
    assert made.resolved["answers"]["last"] == "givenc"


CHOICES = {
    "licence": ["MIT", "BSD"],
    "title": "T",
    "rendered": ["{{ cookiecutter.title }}-one", "{{ cookiecutter.title }}-two", 3],
}


@pytest.mark.parametrize(
    ("answers", "chosen"),
    [
        ({}, ("MIT", "T-one")),
        ({"licence": "BSD"}, ("BSD", "T-one")),
        ({"rendered": "T-two"}, ("MIT", "T-two")),
        ({"title": "X", "rendered": "X-two"}, ("MIT", "X-two")),
        ({"rendered": "3"}, ("MIT", "3")),
        # As it is written in `cookiecutter.json`, which is all that cookiecutter takes.
        ({"rendered": "{{ cookiecutter.title }}-two"}, ("MIT", "T-two")),
    ],
)
def test_a_choice_is_one_of_its_rendered_items(
    worker: Worker, tmp_path: Path, answers: dict[str, Any], chosen: tuple[str, str]
) -> None:
    made = worker.create(single(tmp_path, "{{cookiecutter.licence}} {{cookiecutter.rendered}}", CHOICES), answers)
    assert made.read("file.txt").split() == list(chosen)


@pytest.mark.parametrize(
    "answers", [{"licence": "mit"}, {"rendered": "{{ cookiecutter.slug }}-two"}, {"rendered": "x"}]
)
def test_a_choice_that_is_not_offered_is_refused_with_what_is(
    worker: Worker, tmp_path: Path, answers: dict[str, Any]
) -> None:
    made = worker.create(single(tmp_path, "x", CHOICES), answers)
    assert made.last["kind"] == "answers"
    name, given = next(iter(answers.items()))
    assert f"`{name}` can't be `{given}`" in made.message
    assert ("`T-one`, `T-two`, `3`" if name == "rendered" else "`MIT`, `BSD`") in made.message
    assert made.last["variable"] == name
    assert made.last["choices"] == (["T-one", "T-two", "3"] if name == "rendered" else ["MIT", "BSD"])


@pytest.mark.parametrize("answer", ["True", "False", "None"])
def test_a_choice_between_booleans_can_be_answered_as_it_is_offered(
    worker: Worker, tmp_path: Path, answer: str
) -> None:
    # The server offers a choice's items as text, and sends text.
    folder = single(tmp_path, "{{ cookiecutter.pick }}", {"pick": [True, False, None]})
    assert worker.create(folder, {"pick": answer}).read("file.txt") == answer


def test_mappings_come_second_and_are_merged_key_by_key(worker: Worker, tmp_path: Path) -> None:
    configuration = {
        "owner": {"name": "{{ cookiecutter.late }}", "age": 7, "nested": {"a": "1", "b": "2"}},
        "late": "known by then",
        "other": {"of": "{{ cookiecutter.owner.name }}"},
    }
    folder = single(tmp_path, "x", configuration)
    made = worker.create(folder, {"owner": {"nested": {"b": "given", "c": "new"}, "more": True}})
    assert made.resolved["answers"]["owner"] == {
        "name": "known by then",
        "age": "7",
        "nested": {"a": "1", "b": "given", "c": "new"},
        "more": True,
    }
    assert made.resolved["answers"]["other"] == {"of": "known by then"}


@pytest.mark.parametrize(("word", "meant"), [("no", False), ("True", True), ("off", False)])
def test_a_word_for_a_boolean_in_a_mapping_becomes_one(worker: Worker, tmp_path: Path, word: str, meant: bool) -> None:
    folder = single(tmp_path, "x", {"deep": {"in": {"flag": True}}})
    assert worker.create(folder, {"deep": {"in": {"flag": word}}}).resolved["answers"]["deep"] == {
        "in": {"flag": meant}
    }
    fails(worker, folder, "answers", "`deep.in.flag`", "`perhaps`", answers={"deep": {"in": {"flag": "perhaps"}}})


@pytest.mark.parametrize("answer", [True, False])
def test_a_boolean_stays_one(worker: Worker, tmp_path: Path, answer: bool) -> None:
    folder = single(
        tmp_path, "{% if cookiecutter.flag %}on{% else %}off{% endif %} {{cookiecutter.flag}}", {"flag": True}
    )
    assert worker.create(folder, {"flag": answer}).read("file.txt") == f"{'on' if answer else 'off'} {answer}"


def test_null_stays_null(worker: Worker, tmp_path: Path) -> None:
    folder = single(tmp_path, "{{ cookiecutter.nothing is none }}", {"nothing": None})
    made = worker.create(folder)
    assert made.read("file.txt") == "True"
    assert made.resolved["answers"]["nothing"] is None


def test_private_variables_are_kept_raw_or_rendered_and_not_told(worker: Worker, tmp_path: Path) -> None:
    configuration = {
        "_raw": "{{ cookiecutter.slug }}",
        "__rendered": "{{ cookiecutter.slug }}!",
        "__prompts__": {"slug": "What?"},
    }
    folder = single(
        tmp_path, "{{ cookiecutter._raw }} {{ cookiecutter.__rendered }} {{ cookiecutter._template }}", configuration
    )
    made = worker.create(folder)
    assert made.read("file.txt") == "{{ cookiecutter.slug }} made! here"
    assert made.resolved["answers"] == {"slug": "made"}


def test_a_private_variable_is_computed_once(worker: Worker, tmp_path: Path) -> None:
    configuration = {"__token": "{{ random_ascii_string(20) }}", "token": "{{ cookiecutter.__token }}"}
    folder = single(tmp_path, "{{ cookiecutter.__token }} {{ cookiecutter.token }}", configuration)
    first, second = worker.create(folder).read("file.txt").split()
    assert first == second


# Against the real one

COMPARED: dict[str, tuple[dict[str, Any], dict[str, str | bytes], dict[str, Any]]] = {
    "every kind of variable": (
        {
            "name": "My Name",
            "slug": "{{ cookiecutter.name|slugify }}",
            "pick": ["one", "two", "{{ cookiecutter.name }}"],
            "yes": True,
            "nothing": None,
            "number": 3,
            "map": {"k": "{{ cookiecutter.name }}", "n": 1, "inner": {"b": True}},
            "after": "plain",
            "_raw": ["{{ x }}", 2],
            "__made": "{{ cookiecutter.pick }}",
            "__both": {"a": "{{ cookiecutter.after }}"},
        },
        {f"{SLUG}/all.json": "{{ public|jsonify }}\n{{ _cookiecutter|jsonify }}\n"},
        {"pick": "two", "yes": False, "number": "9"},
    ),
    "names and folders": (
        {"slug": "made", "part": "a b", "extra": "no"},
        {
            f"{SLUG}/{{{{cookiecutter.part}}}}/{{{{cookiecutter.part}}}}.txt": "{{cookiecutter.part}}",
            f"{SLUG}/{{% if cookiecutter.extra == 'yes' %}}extra.txt{{% endif %}}": "not made",
            f"{SLUG}/empty.txt": "",
            f"{SLUG}/no-newline.txt": "x",
            f"{SLUG}/newline.txt": "x\n\n",
            f"{SLUG}/dos.txt": "a\r\nb\r\n{{cookiecutter.part}}\r\n",
            f"{SLUG}/mixed.txt": "a\r\nb\nc\n",
            f"{SLUG}/binary.bin": b"\0\1{{ cookiecutter.slug }}\xff",
            f"{SLUG}/text.raw": "{{ cookiecutter.slug }}",
            f"{SLUG}/raw/{{{{cookiecutter.part}}}}/x.txt": "{{ cookiecutter.slug }}",
            f"{SLUG}/.hidden/file": "{{ cookiecutter.slug }}",
        },
        {"part": "given"},
    ),
    "includes": (
        {"slug": "made"},
        {
            "templates/base.txt": "<{% block body %}{% endblock %}>",
            "templates/part.txt": "part of {{ cookiecutter.slug }}",
            f"{SLUG}/file.txt": "{% extends 'base.txt' %}{% block body %}{% include 'part.txt' %}{% endblock %}",
            f"{SLUG}/macro.txt": "{% macro m(x) %}[{{x}}]{% endmacro %}{{ m(cookiecutter.slug) }}",
        },
        {},
    ),
    "private lists": (
        {"slug": "made", "__list": ["{{ cookiecutter.slug }}", 2, {"a": "{{ cookiecutter.slug }}"}], "_raw": [1]},
        {f"{SLUG}/all.json": "{{ public|jsonify }}\n"},
        {},
    ),
    "questions and their answers": (
        {
            "slug": "made",
            "pick": ["a", "{{ cookiecutter.slug }}", "b"],
            "map": {"k": "{{ cookiecutter.slug }}", "n": 1},
        },
        {f"{SLUG}/all.json": "{{ public|jsonify }}\n{{ _cookiecutter|jsonify }}\n"},
        {"pick": "{{ cookiecutter.slug }}", "map": {"more": "m"}},
    ),
    "line ends of the template's choice": (
        {"slug": "made", "_jinja2_env_vars": {"newline_sequence": "\r\n"}, "_new_lines": "\n"},
        {f"{SLUG}/plain.txt": "a\nb\n", f"{SLUG}/jinja.txt": "a\n{{ cookiecutter.slug }}\n"},
        {},
    ),
    "marks of an encoding": (
        {"slug": "made"},
        {
            f"{SLUG}/bom.txt": "\ufeffa{{ cookiecutter.slug }}\n",
            f"{SLUG}/plain.txt": "\ufeffa\n",
            f"{SLUG}/cr.txt": "a\rb\r",
        },
        {},
    ),
    "a text of patterns": (
        {"slug": "made", "_copy_without_render": "*.raw"},
        {f"{SLUG}/all.txt": "{{ cookiecutter.slug }}"},
        {},
    ),
    "other delimiters": (
        {
            "slug": "made",
            "_jinja2_env_vars": {
                "variable_start_string": "<<",
                "variable_end_string": ">>",
                "block_start_string": "<%",
                "block_end_string": "%>",
                "trim_blocks": True,
            },
        },
        {
            "<<cookiecutter.slug>>/<<cookiecutter.slug>>": "<<cookiecutter.slug>> {{ left }}<% if 1 %>\ny<% endif %>\n",
        },
        {"slug": "given"},
    ),
    "line ends": (
        {"slug": "made", "_new_lines": "\r\n"},
        {f"{SLUG}/unix.txt": "a\nb\n", f"{SLUG}/dos.txt": "a\r\nb\r\n"},
        {},
    ),
    "hooks": (
        {"slug": "made", "word": "w"},
        {
            "hooks/pre_gen_project.py": "open('pre.txt', 'w').write('{{ cookiecutter.word }}')",
            "hooks/post_gen_project.sh": "#!/bin/sh\nls > listed.txt\necho {{ cookiecutter.word }} > post.txt\n",
            f"{SLUG}/file.txt": "x",
        },
        {"word": "given"},
    ),
    "a hook before the questions": (
        {"slug": "never"},
        {
            "hooks/pre_prompt.py": 'open(\'cookiecutter.json\', \'w\').write(\'{"slug": "hooked", "new": "n"}\')',
            f"{SLUG}/file.txt": "{{ cookiecutter.new }}",
        },
        {},
    ),
    "an extension of its own": (
        {"slug": "made", "_extensions": ["local_ours.shout"]},
        {
            "local_ours.py": "from cookiecutter import utils\n@utils.simple_filter\ndef shout(v): return v * 2\n",
            f"{SLUG}/file.txt": "{{ cookiecutter.slug|shout }}",
        },
        {},
    ),
}


@pytest.mark.parametrize("case", COMPARED)
def test_a_project_is_byte_for_byte_what_the_real_cookiecutter_makes(
    worker: Worker, real: Real, tmp_path: Path, case: str
) -> None:
    configuration, files, answers = COMPARED[case]
    dump = "{% set public = dict(cookiecutter) %}{% for k in ['_template', '_output_dir', '_repo_dir', '_checkout'] %}"
    dump += "{% set _ = public.pop(k) %}{% endfor %}"
    files = {
        name: dump + content if isinstance(content, str) and "public|" in content else content
        for name, content in files.items()
    }
    folder = write_template(tmp_path / "template", files, configuration)
    for name, mode in (("newline.txt", 0o755), ("dos.txt", 0o640), ("binary.bin", 0o600), ("text.raw", 0o755)):
        if (folder / SLUG / name).exists():
            (folder / SLUG / name).chmod(mode)
    made = worker.create(folder, answers)
    assert made.event == "done", made.last
    assert tree(made.output) == real(folder, answers)


@pytest.mark.parametrize("name", ["python-package", "mcp-server", "web-service"])
@pytest.mark.parametrize("given", [False, True])
def test_a_bundled_template_makes_what_the_real_cookiecutter_makes(
    worker: Worker,
    real: Real,
    name: str,
    given: bool,
) -> None:
    answers = {"project_name": "Some Other Name", "author_name": "É. Ünïcode"} if given else {}
    made = worker.create(BUNDLED / name, answers)
    assert made.event == "done", made.last
    expected = real(BUNDLED / name, answers)
    assert len(expected) > 5
    assert tree(made.output) == expected


# Extensions


@pytest.mark.parametrize("module", ["hooks_ours", "hooks", "render", "job", "confine", "failure", "worker", "seccomp"])
def test_an_extension_may_have_a_module_of_a_name_that_we_use(worker: Worker, tmp_path: Path, module: str) -> None:
    code = "from cookiecutter.utils import simple_filter\n@simple_filter\ndef ours(text): return text + '!'\n"
    folder = write_template(
        tmp_path / "template",
        {f"{module}.py": code, f"{SLUG}/file": "{{ cookiecutter.slug|ours }}"},
        {"slug": "made", "_extensions": [f"{module}.ours"]},
    )
    made = worker.create(folder)
    assert made.event == "done", made.last
    assert made.read("file") == "made!"


def test_an_extension_that_is_not_installed_is_named_with_what_to_do(worker: Worker, tmp_path: Path) -> None:
    made = worker.create(single(tmp_path, "x", {"_extensions": ["not_there_at_all.Extension"]}))
    assert made.last["kind"] == "template"
    assert "not_there_at_all" in made.message
    assert "requirements" in made.message


# Failures


def fails(worker: Worker, folder: Path, kind: str, *said: str, **options: Any) -> str:
    made = worker.create(folder, **options)
    assert made.event == "failed", made.last
    assert made.last["kind"] == kind, made.last
    for text in said:
        assert text in made.message
    return made.message


def test_a_syntax_error_in_a_file_is_told_with_file_and_line(worker: Worker, tmp_path: Path) -> None:
    fails(worker, single(tmp_path, "one\ntwo\n{% if %}\n"), "render", "file.txt", "line 3")


def test_a_syntax_error_in_an_included_file_is_told_with_that_file(worker: Worker, tmp_path: Path) -> None:
    folder = single(tmp_path, "{% include 'part.txt' %}")
    write_template(folder, {"templates/part.txt": "one\n{{ 7 ! }}\n"})
    fails(worker, folder, "render", "part.txt", "line 2")


def test_a_syntax_error_in_a_file_name_is_told_with_the_name(worker: Worker, tmp_path: Path) -> None:
    fails(worker, single(tmp_path, "x", name="{{ bad ! }}.txt"), "render", "{{ bad ! }}.txt")


def test_a_syntax_error_in_a_default_is_told_with_the_variable(worker: Worker, tmp_path: Path) -> None:
    made = worker.create(single(tmp_path, "x", {"broken": "{{ bad ! }}"}))
    assert made.last["kind"] in {"render", "template"}, made.last
    assert "broken" in made.message


def test_a_syntax_error_in_a_hook_is_told_with_the_hook_and_the_line(worker: Worker, tmp_path: Path) -> None:
    folder = single(tmp_path, "x")
    write_template(folder, {"hooks/post_gen_project.py": "one = 1\n# {{ bad ! }}\n"})
    fails(worker, folder, "render", "post_gen_project.py", "line 2")


def test_an_unknown_filter_is_told_with_file_and_line(worker: Worker, tmp_path: Path) -> None:
    fails(worker, single(tmp_path, "one\n{{ 'x'|nonsense }}\n"), "render", "file.txt", "line 2", "nonsense")


def test_an_undefined_variable_in_a_file_is_told_with_file_and_line(worker: Worker, tmp_path: Path) -> None:
    fails(worker, single(tmp_path, "one\ntwo\n{{ cookiecutter.nope }}\n"), "render", "file.txt", "nope", "line 3")


def test_an_undefined_variable_in_a_default_is_told_with_the_variable(worker: Worker, tmp_path: Path) -> None:
    fails(worker, single(tmp_path, "x", {"derived": "{{ cookiecutter.nope }}"}), "template", "`derived`", "nope")


def test_a_default_that_uses_a_later_variable_is_told_so(worker: Worker, tmp_path: Path) -> None:
    fails(worker, single(tmp_path, "x", {"a": "{{ cookiecutter.b }}", "b": "x"}), "template", "`a`", "`cookiecutter.b`")


def test_an_undefined_variable_in_a_folder_name_is_told_with_the_folder(worker: Worker, tmp_path: Path) -> None:
    folder = single(tmp_path, "x", name="{{cookiecutter.nope}}/file.txt")
    fails(worker, folder, "render", "{{cookiecutter.nope}}", "nope")


def test_an_undefined_variable_in_the_name_of_the_project_folder_is_told(worker: Worker, tmp_path: Path) -> None:
    folder = write_template(tmp_path / "template", {"{{cookiecutter.nope}}/file": "x"}, {"slug": "s"})
    fails(worker, folder, "render", "{{cookiecutter.nope}}", "nope")


def test_an_undefined_variable_in_a_hook_is_told_with_the_hook(worker: Worker, tmp_path: Path) -> None:
    folder = single(tmp_path, "x")
    write_template(folder, {"hooks/pre_gen_project.py": "x = '{{ cookiecutter.nope }}'"})
    fails(worker, folder, "render", "pre_gen_project.py", "nope")


def test_a_calculation_that_fails_in_a_file_is_told_with_file_and_line(worker: Worker, tmp_path: Path) -> None:
    fails(worker, single(tmp_path, "one\n{{ 1 // 0 }}\n"), "render", "file.txt", "line 2", "ZeroDivisionError")


def test_a_file_that_is_not_utf_8_is_named(worker: Worker, tmp_path: Path) -> None:
    text = "Ceci est écrit en latin-1, et personne ne le sait.\n".encode("latin-1")
    fails(worker, single(tmp_path, text), "render", "not UTF-8", "file.txt")


@pytest.mark.parametrize("answer", ["../escaped", "../../escaped", "a/../../escaped", "/etc/escaped-by-name", "/etc/x"])
def test_a_name_that_leaves_the_project_is_refused(worker: Worker, tmp_path: Path, answer: str) -> None:
    folder = single(tmp_path, "x", {"part": "p"}, name="{{cookiecutter.part}}")
    fails(worker, folder, "render", "leaves the project", answer, answers={"part": answer})
    folder = single(tmp_path / "folder", "x", {"part": "p"}, name="{{cookiecutter.part}}/file")
    fails(worker, folder, "render", "leaves the project", answer, answers={"part": answer})
    folder = single(
        tmp_path / "raw", "x", {"part": "p", "_copy_without_render": ["*"]}, name="{{cookiecutter.part}}/file"
    )
    fails(worker, folder, "render", "leaves the project", answer, answers={"part": answer})
    assert [path for path in worker.room.rglob("*escaped*") if "made" not in path.parts] == []
    assert not Path("/etc/escaped-by-name").exists()


@pytest.mark.parametrize("answer", ["", " ", ".", "..", "../x", "/etc/x", "a/b", "a\\b", "a\0b", "a\nb", "a\x1b[31mb"])
def test_a_project_folder_without_a_plain_name_is_refused(worker: Worker, tmp_path: Path, answer: str) -> None:
    made = worker.create(single(tmp_path, "x"), {"slug": answer})
    assert made.event == "failed", made.last
    assert made.last["kind"] == "answers"
    assert "not a plain folder name" in made.message
    assert made.last["variable"] == "slug"


@pytest.mark.parametrize("answer", ["x" * 256, "é" * 128])
def test_a_project_folder_with_a_name_that_is_too_long_is_refused_as_such(
    worker: Worker, tmp_path: Path, answer: str
) -> None:
    made = worker.create(single(tmp_path, "x"), {"slug": answer})
    assert (made.last["kind"], made.last["variable"]) == ("answers", "slug")
    assert made.message.endswith("which has more than 255 bytes")
    assert len(made.message) < 300
    assert "at most 255 bytes" in made.last["allowed"]
    assert worker.create(single(tmp_path, "x"), {"slug": "x" * 255}).event == "done"
    folder = write_template(tmp_path / "two", {"{{cookiecutter.a}}-{{cookiecutter.b}}/x": "x"}, {"a": "a", "b": "b"})
    assert worker.create(folder, {"b": answer}).last["variable"] == "b"


@pytest.mark.parametrize("name", ["part", "part.py"])
def test_a_file_that_includes_itself_is_told_with_its_line(worker: Worker, tmp_path: Path, name: str) -> None:
    include = f"\n{{% include '{name}' %}}"
    folder = write_template(tmp_path, {f"{SLUG}/file": include, f"templates/{name}": include}, {"slug": "s"})
    told = f"`../templates/{name}`, line 2: it includes or calls itself without end"
    assert fails(worker, folder, "render") == told


def test_a_macro_in_a_default_that_calls_itself_is_told_with_the_default(worker: Worker, tmp_path: Path) -> None:
    endless = "{% macro again() %}{{ again() }}{% endmacro %}{{ again() }}"
    folder = single(tmp_path, "x", {"slug": "s", "a": endless})
    assert fails(worker, folder, "template") == "the default of `a`: it includes or calls itself without end"


def test_what_is_wrong_with_an_extension_names_no_line_of_a_library(worker: Worker, tmp_path: Path) -> None:
    folder = single(tmp_path, "x", {"slug": "s", "_extensions": ["local_lacking.Gone"]})
    write_template(folder, {"local_lacking.py": "x = 1"})
    told = "its `_extensions` can't be used: AttributeError: module 'local_lacking' has no attribute 'Gone'"
    assert fails(worker, folder, "template") == told
    write_template(folder, {"local_lacking.py": "\nraise ValueError('no')"})
    assert fails(worker, folder, "template").endswith("ValueError: no (local_lacking.py, line 2)")


def test_a_template_without_a_folder_to_render_is_told_so(worker: Worker, tmp_path: Path) -> None:
    folder = write_template(tmp_path / "template", {"plain/file": "x"}, {"slug": "s"})
    fails(worker, folder, "template", "{{cookiecutter.project_slug}}")


@pytest.mark.parametrize("content", ["{", '{"a": 1,}', "", "\ufeff{}", "[1]", '"x"', "null"])
def test_a_configuration_that_is_no_object_is_told_so(worker: Worker, tmp_path: Path, content: str) -> None:
    folder = single(tmp_path, "x")
    (folder / "cookiecutter.json").write_text(content, "utf-8")
    fails(worker, folder, "template", "cookiecutter.json")


def test_of_two_folders_to_render_none_is_picked_and_both_are_named(worker: Worker, tmp_path: Path) -> None:
    folder = single(tmp_path, "x")
    write_template(folder, {"{{cookiecutter.slug}}-tests/file": "x"})
    fails(worker, folder, "template", "`{{cookiecutter.slug}}`, `{{cookiecutter.slug}}-tests`")
    write_template(folder, {f"{{{{cookiecutter.slug}}}}{number}/file": "x" for number in range(30)})
    fails(worker, folder, "template", "` and 12 more")


def test_a_file_with_the_name_of_a_folder_to_render_is_no_folder_to_render(worker: Worker, tmp_path: Path) -> None:
    folder = single(tmp_path, "x")
    write_template(folder, {"Read {{cookiecutter.slug}}.md": "x"})
    assert worker.create(folder).read("file.txt") == "x"


@pytest.mark.parametrize("name", ["{% if false %}x{% endif %}", "{{ '.' }}", "{{ 'made-by-another' }}"])
def test_a_folder_without_a_name_of_its_own_is_named(worker: Worker, tmp_path: Path, name: str) -> None:
    folder = single(tmp_path, "x", name=f"{name}/file")
    write_template(folder, {f"{SLUG}/made-by-another/x": "x"})
    message = fails(worker, folder, "render", f"the folder `{name}`" if "made" not in name else "the folder `")
    assert str(worker.room) not in message


def test_a_file_whose_name_renders_to_nothing_is_left_out(worker: Worker, real: Real, tmp_path: Path) -> None:
    folder = single(tmp_path, "x", name="{% if false %}x{% endif %}")
    made = worker.create(folder)
    assert tree(made.output) == real(folder, {})
    assert list(made.project.iterdir()) == []


def test_a_file_in_a_folder_that_nobody_made_is_told_by_its_place_in_the_project(
    worker: Worker, tmp_path: Path
) -> None:
    folder = single(tmp_path, "x", {"part": "a"}, name="{{cookiecutter.part}}.txt")
    message = fails(worker, folder, "render", "`no/such.txt`: No such file", answers={"part": "no/such"})
    assert str(worker.room) not in message


def test_a_file_that_is_included_and_not_there_is_told_with_file_and_line(worker: Worker, tmp_path: Path) -> None:
    fails(worker, single(tmp_path, "one\n{% include 'x.txt' %}"), "render", "file.txt", "line 2", "no file `x.txt`")


def test_an_included_file_that_is_not_utf_8_is_named(worker: Worker, tmp_path: Path) -> None:
    folder = single(tmp_path, "{% include 'part.txt' %}")
    write_template(folder, {"templates/part.txt": b"caf\xe9 et th\xe9, des mots en latin-1"})
    fails(worker, folder, "render", "not UTF-8", "`part.txt`")


def test_defaults_that_are_computed_from_each_other_are_told_so(worker: Worker, tmp_path: Path) -> None:
    folder = single(tmp_path, "x", {"a": "{{ cookiecutter.b }}", "b": "{{ cookiecutter['a'] }}"})
    fails(worker, folder, "template", "the default of `a`", "`b` is only answered after `a`", "computed itself")
    itself = single(tmp_path / "itself", "x", {"a": "{{ cookiecutter.a }}"})
    fails(worker, itself, "template", "the default of `a`", "computed from itself")


def test_a_default_whose_calculation_fails_is_told_with_the_variable(worker: Worker, tmp_path: Path) -> None:
    fails(worker, single(tmp_path, "x", {"a": "{{ 1 // 0 }}"}), "template", "the default of `a`", "ZeroDivisionError")


@pytest.mark.parametrize(
    ("configuration", "said"),
    [
        ({"_extensions": "jinja2.ext.do"}, '`["jinja2.ext.do"]`'),
        ({"_extensions": None}, "`_extensions` is not a list"),
        ({"_copy_without_render": 3}, "`_copy_without_render` is not a list"),
        ({"_copy_without_render": ["*", 3]}, "`_copy_without_render` is not a list"),
        ({"_jinja2_env_vars": ["x"]}, "`_jinja2_env_vars` is not an object"),
        ({"_jinja2_env_vars": {"keep_trailing_newline": False}}, "keep_trailing_newline"),
        ({"_jinja2_env_vars": {"nonsense": 1}}, "nonsense"),
        ({"_jinja2_env_vars": {"block_start_string": "{{"}}, "must be different"),
        ({"_new_lines": "\n\n"}, "`_new_lines`"),
        ({"_new_lines": True}, "`_new_lines`"),
        ({"_extensions": ["os.nothing"]}, "nothing"),
        ({"_extensions": ["broken.Extension"]}, "SyntaxError"),
    ],
)
def test_a_setting_of_the_wrong_type_is_told_by_its_name(
    worker: Worker, tmp_path: Path, configuration: dict[str, Any], said: str
) -> None:
    folder = single(tmp_path, "x", configuration)
    write_template(folder, {"broken.py": "def x(:"})
    fails(worker, folder, "template", said)


def test_a_configuration_that_is_not_there_is_told_so(worker: Worker, tmp_path: Path) -> None:
    fails(worker, write_template(tmp_path / "template", {f"{SLUG}/x": "x"}), "template", "cookiecutter.json")


def test_a_choice_of_nothing_is_told_so(worker: Worker, tmp_path: Path) -> None:
    fails(worker, single(tmp_path, "x", {"pick": []}), "template", "`pick`")


# Inert

SSTI = "{{ cycler.__init__.__globals__.os.popen('touch FLAG').read() }}"


def inert(worker: Worker, folder: Path, *said: str) -> None:
    made = worker.create(folder, trust="inert")
    assert made.event == "failed", made.last
    for text in said:
        assert text in made.message


@pytest.mark.parametrize("place", ["default", "file", "name", "folder", "top", "included"])
def test_at_inert_a_template_reaches_nothing_through_jinja(worker: Worker, tmp_path: Path, place: str) -> None:
    flag = tmp_path / "flag"
    evil = SSTI.replace("FLAG", str(flag))
    # A name can hold no slash.
    named = "{{ cycler.__init__.__globals__.os.popen('touch flag').read() }}"
    files: dict[str, str | bytes] = {f"{SLUG}/file": "x"}
    configuration: dict[str, Any] = {"slug": "made"}
    match place:
        case "default":
            configuration["evil"] = evil
        case "file":
            files[f"{SLUG}/evil"] = evil
        case "name":
            files[f"{SLUG}/{named}"] = "x"
        case "folder":
            files[f"{SLUG}/{named}/file"] = "x"
        case "top":
            files = {f"{SLUG}{named}/file": "x"}
        case _:
            files |= {"templates/evil": evil, f"{SLUG}/including": "{% include 'evil' %}"}
    made = worker.create(write_template(tmp_path / "template", files, configuration), trust="inert")
    assert made.event == "failed", made.last
    assert "SecurityError" in made.message
    places = (tmp_path, made.output, made.temporary)
    assert [found for place in places for found in place.rglob("flag")] == []
    # The very same does run where the template may.
    allowed = worker.create(tmp_path / "template")
    assert [found for place in (tmp_path, allowed.output, allowed.temporary) for found in place.rglob("flag")] != []


def test_at_inert_no_hook_runs(worker: Worker, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    hook = f"open({str(flag)!r}, 'w')"
    names = ("pre_prompt", "pre_gen_project", "post_gen_project")
    folder = single(tmp_path, "{{ cookiecutter.slug }}")
    write_template(folder, {f"hooks/{name}.py": hook for name in names})
    made = worker.create(folder, trust="inert")
    assert made.read("file.txt") == "made"
    assert made.last["hooks"] == []
    assert not flag.exists()


def test_at_inert_an_extension_that_is_not_known_is_refused(worker: Worker, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    folder = single(tmp_path, "x", {"_extensions": ["jinja2.ext.do", "ours.Extension"]})
    write_template(folder, {"ours.py": f"open({str(flag)!r}, 'w')"})
    inert(worker, folder, "`inert`", "ours.Extension")
    assert not flag.exists()


@pytest.mark.parametrize("module", ["jinja2_time", "jinja2", "cookiecutter"])
def test_at_inert_a_template_cannot_pass_its_own_code_off_as_a_known_extension(
    worker: Worker, tmp_path: Path, module: str
) -> None:
    flag = tmp_path / "flag"
    name = {"jinja2": "jinja2.ext.evil", "cookiecutter": "cookiecutter.extensions.evil"}.get(
        module, f"{module}.TimeExtension"
    )
    folder = single(tmp_path, "x", {"_extensions": [name]})
    code = f"open({str(flag)!r}, 'w')\nfrom jinja2.ext import Extension\nclass TimeExtension(Extension): pass\n"
    write_template(folder, {f"{module}.py": code, f"{module}/__init__.py": code, f"{module}/ext.py": code})
    worker.create(folder, trust="inert")
    assert not flag.exists()


@pytest.mark.parametrize("name", ["python-package", "mcp-server", "web-service"])
def test_at_inert_a_bundled_template_renders(worker: Worker, tmp_path: Path, name: str) -> None:
    made = worker.create(BUNDLED / name, {"project_name": f"From {tmp_path.name}"}, trust="inert")
    assert made.event == "done", made.last


def test_at_inert_what_the_known_extensions_do_works(worker: Worker, tmp_path: Path) -> None:
    content = (
        "{{ 'A B'|slugify }} {% now 'utc', '%Y' %} {{ {'a': 1}|jsonify(None) }} {{ random_ascii_string(3)|length }}"
    )
    made = worker.create(single(tmp_path, content, {"_extensions": ["jinja2.ext.do"]}), trust="inert")
    words = made.read("file.txt").split(" ", 2)
    assert words[0] == "a-b"
    assert words[1].isdigit()
    assert words[2] == '{"a": 1} 3'


def test_what_a_hook_leaves_before_the_questions_is_told_and_nothing_is_rendered(
    worker: Worker, tmp_path: Path
) -> None:
    hook = "import os\nopen('cookiecutter.json', 'w').write('{\"slug\": \"hooked\"}')\nos.mkdir('cookiecutter {{x}}')\n"
    folder = write_template(tmp_path / "template", {"hooks/pre_prompt.py": hook, f"{SLUG}/f": "x"}, {"slug": "made"})
    made = worker.create(folder, action="inspect")
    assert (made.event, made.last["configuration"]) == ("done", '{"slug": "hooked"}')
    assert made.last["names"] == sorted(["cookiecutter {{x}}", SLUG])
    assert [run["hook"] for run in made.last["hooks"]] == ["pre_prompt.py"]
    assert [message["event"] for message in made.messages] == ["step", "done"]
    assert list(made.output.iterdir()) == []
    assert tree(folder)["cookiecutter.json"][2] == b'{"slug": "made"}'


def test_an_answer_to_what_is_not_asked_is_refused_and_not_dropped(worker: Worker, tmp_path: Path) -> None:
    folder = write_template(tmp_path / "template", {f"{SLUG}/f": "x"}, {"slug": "made"})
    made = worker.create(folder, {"other": "x"})
    assert (made.event, made.last["kind"]) == ("failed", "answers")
    assert "`other` is not asked" in made.message
