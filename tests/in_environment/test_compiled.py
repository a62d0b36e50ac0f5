"""What a job leaves for later ones of its template: it makes them quicker, and nothing else."""

from __future__ import annotations

import hashlib
import marshal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from in_environment.workers import Outcome, Pool, Worker, write_template

if TYPE_CHECKING:
    from collections.abc import Iterator

SLUG = "{{cookiecutter.slug}}"
LEFT = ".compiled"
FILES: dict[str, str | bytes] = {
    f"{SLUG}/plain.txt": "nothing to do\n",
    f"{SLUG}/a.txt": "{% for x in 'ab' %}{{ x }}{{ cookiecutter.slug | upper }}{% endfor %}\n",
    f"{SLUG}/windows.txt": "{{ cookiecutter.slug }}\r\nsecond\r\n",
    f"{SLUG}/{{% if cookiecutter.more == 'yes' %}}yes{{% else %}}no{{% endif %}}/b.txt": "more {{ cookiecutter.more }}",
    f"{SLUG}/{{{{ cookiecutter.slug }}}}.txt": "{% include 'part.txt' %}",
    f"{SLUG}/copied.raw": "{{ untouched }}",
    f"{SLUG}/image.png": bytes(range(256)) * 8,
    "templates/part.txt": "part of {{ cookiecutter.slug }}",
    "hooks/post_gen_project.py": "open('hooked', 'w').write('{{ cookiecutter.slug }}')",
}
ASKED: dict[str, Any] = {"slug": "made", "more": ["yes", "no"], "_copy_without_render": ["*.raw"]}


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    pool = Pool(tmp_path_factory.mktemp("workers"))
    yield pool
    pool.close()


@pytest.fixture
def worker(pool: Pool) -> Worker:
    return pool.worker()


def tree(made: Outcome) -> dict[str, bytes]:
    return {
        str(path.relative_to(made.project)): path.read_bytes() for path in made.project.rglob("*") if path.is_file()
    }


def left(worker: Worker, template: Path, kept: Path, **changes: Any) -> None:
    """Have a job leave what it can, and keep it."""
    done = worker.compile(template, **changes)
    assert done.event == "done", done.last
    kept.write_bytes((done.temporary / LEFT).read_bytes())


@pytest.mark.parametrize("answers", [{}, {"slug": "other", "more": "no"}])
@pytest.mark.parametrize("trust", ["contained", "inert"])
def test_what_is_made_is_the_same(worker: Worker, tmp_path: Path, answers: dict[str, Any], trust: str) -> None:
    template = write_template(tmp_path / "template", FILES, ASKED)
    kept = tmp_path / "kept"
    left(worker, template, kept, trust=trust)
    plain = tree(worker.create(template, answers, trust=trust))
    assert tree(worker.create(template, answers, trust=trust, compiled=str(kept))) == plain
    assert len(plain) > 5


def test_what_was_left_is_used(worker: Worker, tmp_path: Path) -> None:
    template = write_template(tmp_path / "template", FILES, ASKED)
    kept = tmp_path / "kept"
    left(worker, template, kept)
    code, binary = marshal.loads(kept.read_bytes())  # noqa: S302 - of this test
    (key,) = [key for key in code if key[0] == "a.txt"]
    code[key] = compile(
        "name = 'a.txt'\nblocks = {}\ndebug_info = ''\ndef root(context):\n    yield 'kept'\n", "a.txt", "exec"
    )
    kept.write_bytes(marshal.dumps((code, {**binary, "windows.txt": True})))
    made = tree(worker.create(template, compiled=str(kept)))
    assert made["a.txt"] == b"kept"
    assert made["windows.txt"] == FILES[f"{SLUG}/windows.txt"].encode()  # type: ignore[union-attr]


def test_defaults_and_the_name_of_the_project_are_left_too(worker: Worker, tmp_path: Path) -> None:
    asked = {"name": "made", "slug": "{{ cookiecutter.name | lower }}", "map": {"a": "{{ cookiecutter.slug }}"}}
    template = write_template(tmp_path / "template", {f"{SLUG}/file": "text"}, asked)
    kept = tmp_path / "kept"
    left(worker, template, kept)
    code, binary = marshal.loads(kept.read_bytes())  # noqa: S302 - of this test
    spoilt = {key: compile("raise ValueError('kept')", "kept", "exec") for key in code}
    kept.write_bytes(marshal.dumps((spoilt, binary)))
    made = worker.create(template, compiled=str(kept))
    assert made.event == "failed"
    assert "the default of `slug`" in made.last["message"]
    assert hashlib.sha256(b"{{ cookiecutter.name | lower }}").digest() in {digest for _, _, digest in code}
    assert hashlib.sha256(SLUG.encode()).digest() in {digest for _, _, digest in code}


def test_a_text_that_has_changed_is_compiled_again(worker: Worker, tmp_path: Path) -> None:
    template = write_template(tmp_path / "template", FILES, ASKED)
    kept = tmp_path / "kept"
    left(worker, template, kept)
    (template / SLUG / "a.txt").write_text("now {{ cookiecutter.slug }}")
    assert tree(worker.create(template, compiled=str(kept)))["a.txt"] == b"now made"


@pytest.mark.parametrize("content", [b"", b"nonsense", marshal.dumps(1), marshal.dumps((1, 2, 3)), marshal.dumps("ab")])
def test_what_is_no_such_thing_is_passed_over(worker: Worker, tmp_path: Path, content: bytes) -> None:
    kept = tmp_path / "kept"
    kept.write_bytes(content)
    template = write_template(tmp_path / "template", FILES, ASKED)
    assert tree(worker.create(template, compiled=str(kept))) == tree(worker.create(template))


def test_nothing_is_left_of_a_template_whose_filters_may_give_another_value_each_time(
    worker: Worker, tmp_path: Path
) -> None:
    code = (
        "import uuid\nfrom jinja2.ext import Extension\n"
        "class Extra(Extension):\n    def __init__(self, environment):\n        super().__init__(environment)\n"
        "        environment.filters['unique'] = lambda text: text + uuid.uuid4().hex\n"
    )
    files: dict[str, str | bytes] = {f"{SLUG}/a.txt": "{{ 'x' | unique }}", "extra.py": code}
    template = write_template(tmp_path / "template", files, {"slug": "made", "_extensions": ["extra.Extra"]})
    done = worker.compile(template)
    assert done.event == "done"
    assert not (done.temporary / LEFT).exists()
    made = [worker.create(template) for _ in range(2)]
    assert tree(made[0]) != tree(made[1])


def test_a_template_that_is_broken_fails_as_it_would(worker: Worker, tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {f"{SLUG}/a.txt": "one\n{% if %}"}
    template = write_template(tmp_path / "template", files, {"slug": "made"})
    kept = tmp_path / "kept"
    left(worker, template, kept)
    assert worker.create(template, compiled=str(kept)).last["message"] == worker.create(template).last["message"]


def test_nothing_is_left_of_a_template_that_a_hook_makes_anew_each_time(worker: Worker, tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {f"{SLUG}/a.txt": "{{ cookiecutter.slug }}", "hooks/pre_prompt.py": "print('ran')"}
    done = worker.compile(write_template(tmp_path / "template", files, {"slug": "made"}))
    assert (done.event, done.last["hooks"]) == ("done", [])
    assert not (done.temporary / LEFT).exists()
