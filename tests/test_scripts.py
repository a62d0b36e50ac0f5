"""Which files of a template run, and what do they import from elsewhere?"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from cookiecutter.hooks import find_hook
from cookiecutter.utils import work_in

from dynamo_mcp.configuration import has_pre_prompt
from dynamo_mcp.effort import Effort
from dynamo_mcp.scripts import LARGEST_BYTES, MOST_FILES, Survey, hooks, survey


def _survey(folder: Path, files: dict[str, str], *, template: str = ".", extensions: Any = None) -> Survey:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, "utf-8")
    return survey(folder / template, folder, {"_extensions": extensions} if extensions is not None else {}, Effort())


def _modules(surveyed: Survey) -> list[str]:
    return [use.module for use in surveyed.uses]


def test_hooks_are_what_cookiecutter_takes_for_hooks(tmp_path: Path) -> None:
    assert hooks(tmp_path) == ()
    (tmp_path / "hooks").mkdir()
    switched_off = ("post_gen_project.py.bak", "pre_prompt.py.disabled", "pre_prompt.sh~", "pre_prompt.d.sh")
    for name in (
        "post_gen_project.py",
        "pre_prompt.sh",
        "pre_gen_project",
        "pre_gen_project.py~",
        "help.py",
        *switched_off,
    ):
        (tmp_path / "hooks" / name).touch()
    assert hooks(tmp_path) == ("post_gen_project.py", "pre_gen_project", "pre_prompt.sh")
    with work_in(tmp_path):
        found = [find_hook(hook) or [] for hook in ("pre_prompt", "pre_gen_project", "post_gen_project")]
    assert {Path(path).name for paths in found for path in paths} == {*hooks(tmp_path)}


def test_whether_there_is_a_hook_that_rewrites_the_questions_is_recognised_in_the_same_way(tmp_path: Path) -> None:
    (tmp_path / "hooks").mkdir()
    for name, is_one in (("pre_prompt.py.disabled", False), ("pre_prompt.py~", False), ("pre_prompt", True)):
        (tmp_path / "hooks" / name).touch()
        assert has_pre_prompt(tmp_path) is is_one
        assert bool(hooks(tmp_path)) is is_one


def test_a_hook_that_is_no_python_is_a_script_without_imports(tmp_path: Path) -> None:
    surveyed = _survey(tmp_path, {"hooks/pre_gen_project.sh": "#!/bin/sh\nimport x\n"})
    assert [(script.where, script.python) for script in surveyed.scripts] == [("hooks/pre_gen_project.sh", False)]
    assert surveyed.uses == ()


def test_a_hook_without_a_suffix_is_python_if_its_first_line_says_so(tmp_path: Path) -> None:
    surveyed = _survey(tmp_path, {"hooks/pre_gen_project": "#!/usr/bin/env python3\nimport x\n"})
    assert _modules(surveyed) == ["x"]


def test_modules_beside_a_hook_are_of_the_template_and_are_read_in_turn(tmp_path: Path) -> None:
    surveyed = _survey(
        tmp_path,
        {
            "hooks/post_gen_project.py": "import help\nfrom package.deep import thing, name\nfrom outside import x\n",
            "hooks/help.py": "import first\n",
            "hooks/package/__init__.py": "from . import beside\n",
            "hooks/package/beside.py": "import second\nimport help\n",
            "hooks/package/deep/__init__.py": "from ..beside import y\n",
            "hooks/package/deep/thing.py": "import third\n",
            "hooks/package/unused.py": "import never\n",
        },
    )
    assert sorted(_modules(surveyed)) == ["first", "outside.x", "second", "third"]
    assert {use.found for use in surveyed.uses} >= {"hooks/help.py, line 1", "hooks/package/deep/thing.py, line 1"}


def test_modules_elsewhere_in_the_tree_are_of_the_template_where_a_hook_changes_its_path(tmp_path: Path) -> None:
    files = {
        "one/hooks/post_gen_project.py": "import sys\nsys.path.insert(0, '..')\nimport own_package.part\n",
        "lib/own_package/part.py": "import edx_lint\n",
        "lib/own_package/__init__.py": "",
    }
    assert _modules(_survey(tmp_path, files, template="one")) == ["sys", "edx_lint"]
    files["one/hooks/post_gen_project.py"] = "import own_package.part\n"
    assert _modules(_survey(tmp_path, files, template="one")) == ["own_package.part"]


def test_an_extension_of_the_template_is_read_and_any_other_is_told(tmp_path: Path) -> None:
    files = {"mine.py": "import x\n", "own/deep.py": "import y\n"}
    surveyed = _survey(tmp_path, files, extensions=["mine.A", "own.deep.B", "other.C", 5])
    assert [(use.module, use.extension) for use in surveyed.uses] == [
        ("other", "other.C"),
        ("5", "5"),
        ("x", None),
        ("y", None),
    ]


def test_what_an_optional_module_imports_is_no_more_than_optional(tmp_path: Path) -> None:
    files = {
        "hooks/post_gen_project.py": "try:\n    import extra\nexcept ImportError:\n    pass\n",
        "hooks/extra.py": "import x\n",
    }
    assert [(use.module, use.demand) for use in _survey(tmp_path, files).uses] == [("x", "optional")]


def test_nothing_outside_the_checkout_is_read(tmp_path: Path) -> None:
    (tmp_path / "outside.py").write_text("import secret\n")
    inside = tmp_path / "inside"
    (inside / "hooks").mkdir(parents=True)
    (inside / "hooks" / "post_gen_project.py").symlink_to(tmp_path / "outside.py")
    assert survey(inside, inside, {}, Effort()) == Survey((), ())


@pytest.mark.parametrize("level", [".", "..", "......................................"])
def test_an_import_that_leads_out_of_the_tree_ends_there(level: str, tmp_path: Path) -> None:
    assert _survey(tmp_path, {"hooks/post_gen_project.py": f"from {level} import x\n"}).uses == ()


def test_what_is_no_file_is_left_out_and_what_is_too_long_is_cut(tmp_path: Path) -> None:
    (tmp_path / "hooks").mkdir()
    os.mkfifo(tmp_path / "hooks" / "pre_prompt.py")
    (tmp_path / "hooks" / "pre_gen_project.py").mkdir()
    text = "import x\n" + "#" * LARGEST_BYTES + "\nimport y\n"
    surveyed = _survey(tmp_path, {"hooks/post_gen_project.py": text})
    assert (_modules(surveyed), surveyed.unread) == (["x"], ("hooks/post_gen_project.py",))


def test_what_may_be_spent_does_not_reach_for_is_told(tmp_path: Path) -> None:
    files = {f"hooks/{name}.py": f"import {name}_needs\n" for name in ("post_gen_project", "pre_gen_project")}
    _survey(tmp_path, files)
    surveyed = survey(tmp_path, tmp_path, {}, Effort(steps=40))
    assert (_modules(surveyed), surveyed.unread) == (["post_gen_project_needs"], ("hooks/pre_gen_project.py",))


def test_of_more_files_than_are_read_the_others_are_told(tmp_path: Path) -> None:
    (tmp_path / "hooks").mkdir()
    for number in range(MOST_FILES + 2):
        (tmp_path / "hooks" / f"part_{number:03}.py").touch()
    code = "".join(f"import part_{number:03}\n" for number in range(MOST_FILES + 2))
    surveyed = _survey(tmp_path, {"hooks/post_gen_project.py": code})
    assert surveyed.unread == tuple(f"hooks/part_{MOST_FILES + more:03}.py" for more in (-1, 0, 1))


def test_an_extension_may_be_named_as_jinja_also_takes_it(tmp_path: Path) -> None:
    surveyed = _survey(tmp_path, {"mine.py": "import x\n"}, extensions=["mine:A", "other.deep:B"])
    assert _modules(surveyed) == ["other.deep", "x"]


def test_many_names_of_a_long_module_do_not_fill_the_memory(tmp_path: Path) -> None:
    code = f"from {'x' * 20_000} import {', '.join(f'y{number}' for number in range(2000))}\n"
    uses = _survey(tmp_path, {"hooks/post_gen_project.py": code}).uses
    assert sum(len(use.module) for use in uses) < LARGEST_BYTES * 10
