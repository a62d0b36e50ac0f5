"""Which templates are measured? Small ones that the benchmark writes itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal, TypeAlias

ANSWERS = {"project_name": "Measured Project", "description": "made by a benchmark", "license": "BSD"}

_QUESTIONS: dict[str, str | list[str]] = {
    "project_name": "My Project",
    "project_slug": "{{ cookiecutter.project_name|lower|replace(' ', '_') }}",
    "description": "What it does",
    "author": "Somebody",
    "license": ["MIT", "BSD"],
    "use_docs": "y",
}

_FILES = {
    "README.md": """\
# {{ cookiecutter.project_name }}

{{ cookiecutter.description }}
{% if cookiecutter.use_docs == "y" %}
The documentation is in `docs/`.
{% endif %}
""",
    "LICENSE": """\
{% if cookiecutter.license == "MIT" %}MIT License{% else %}BSD License{% endif %}

Copyright (c) {{ cookiecutter.author }}
""",
    ".gitignore": "__pycache__/\n.venv/\ndist/\n",
    "pyproject.toml": """\
[project]
name = "{{ cookiecutter.project_slug }}"
version = "0.1.0"
description = "{{ cookiecutter.description }}"
authors = [{ name = "{{ cookiecutter.author }}" }]
license = "{{ cookiecutter.license }}"
""",
    "src/{{cookiecutter.project_slug}}/__init__.py": '"""{{ cookiecutter.description }}."""\n',
    "src/{{cookiecutter.project_slug}}/main.py": """\
def main() -> None:
{%- for word in cookiecutter.project_name.split() %}
    print("{{ word }}")
{%- endfor %}
""",
    "tests/test_main.py": """\
from {{ cookiecutter.project_slug }}.main import main


def test_{{ cookiecutter.project_slug }}() -> None:
    main()
""",
    "docs/index.md": "# {{ cookiecutter.project_name }}\n\nBy {{ cookiecutter.author }}.\n",
}

_HOOK = """\
from pathlib import Path

if "{{ cookiecutter.use_docs }}" != "y":
    Path("docs/index.md").unlink()
Path("HOOK").write_text("{{ cookiecutter.project_slug }}")
"""


_MODULE = '''\
"""{{ cookiecutter.description }}."""

from __future__ import annotations


class Part:
    """Belongs to {{ cookiecutter.project_name }}."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __str__(self) -> str:
        return f"{{ cookiecutter.project_slug }}.{self.name}"
'''


_SHELL_HOOK = """\
#!/bin/sh
[ "{{ cookiecutter.use_docs }}" = y ] || rm docs/index.md
printf %s "{{ cookiecutter.project_slug }}" > HOOK
"""

Hook: TypeAlias = Literal["Python", "shell"]


def write(folder: Path, *, hook: Hook | None = None, files: int = len(_FILES)) -> Path:
    """Write a template.

    Args:
        folder: Where; it does not exist yet.
        hook: What its `post_gen_project` hook is written in; None is none.
        files: How many files it makes, of which eight are those of a small package and the others its modules.

    Returns:
        The folder.
    """
    source = "src/{{cookiecutter.project_slug}}"
    modules = {f"{source}/part_{number // 10}/module_{number}.py": _MODULE for number in range(files - len(_FILES))}
    for name, text in {**_FILES, **modules}.items():
        file = folder / "{{cookiecutter.project_slug}}" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    (folder / "cookiecutter.json").write_text(json.dumps(_QUESTIONS, indent=2))
    if hook:
        (folder / "hooks").mkdir()
        name, text = ("post_gen_project.py", _HOOK) if hook == "Python" else ("post_gen_project.sh", _SHELL_HOOK)
        (folder / "hooks" / name).write_text(text)
        (folder / "hooks" / name).chmod(0o755)
    return folder


def write_for_copier(folder: Path, *, files: int = len(_FILES)) -> Path:
    """Write the same template for copier: the same files, questions and answers.

    Args:
        folder: Where; it does not exist yet.
        files: As of `write`.
    """
    written = write(folder.with_name(f"{folder.name}-before"), files=files)
    questions = {
        name: {"type": "str", "choices": default, "default": default[0]}
        if isinstance(default, list)
        else {"type": "str", "default": default.replace("cookiecutter.", "")}
        for name, default in _QUESTIONS.items()
    }
    # JSON is YAML.
    told = {"_templates_suffix": "", "_subdirectory": "template", **questions}
    for file in sorted(written.rglob("*")):
        if file.is_file() and file.name != "cookiecutter.json":
            target = folder / "template" / str(file.relative_to(written)).replace("cookiecutter.", "")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(file.read_text().replace("cookiecutter.", ""))
    (folder / "copier.yml").write_text(json.dumps(told, indent=2))
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder with what is in it."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}
