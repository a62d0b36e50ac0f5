"""What do the packages that a template imports need without saying so?"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from dynamo_mcp.types import Need, Needs
from dynamo_mcp.undeclared import with_undeclared

CODE = {
    "__init__.py": "",
    "used.py": "from .inner import x\n",
    "inner/__init__.py": "x = '{#'\nimport os, yaml, odd_one.part, beside\ny = '#}'\nfrom silent.deep import y\n",
    "deep.py": "try:\n    import tried\nexcept ImportError:\n    pass\nimport distutils\n",
    "unused.py": "import never\n",
}


def _missing(folder: Path, *, metadata: str = "", hook: str = "from silent.used import z\n") -> list[tuple[str, str]]:
    template, packages = folder / "template", folder / "site-packages"
    (template / "hooks").mkdir(parents=True)
    (template / "hooks" / "post_gen_project.py").write_text(hook)
    for name, code in CODE.items():
        path = packages / "silent" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code)
    (packages / "silent_one-1.0.dist-info").mkdir()
    (packages / "silent_one-1.0.dist-info" / "METADATA").write_text(f"Name: silent-one\n{metadata}\nRequires-Dist: no")
    needs = Needs((Need("silent-one>=1", "silent", "hooks/post_gen_project.py, line 1", "table"),))
    present = frozenset({"silent", "beside", "setuptools"})
    found = with_undeclared(needs, template, template, packages, present, install=False)
    assert all(missing.always and "`silent-one>=1` imports it" in missing.why for missing in found.missing)
    return [(missing.module, missing.found) for missing in found.missing]


def test_what_a_package_can_not_do_without_and_nobody_holds_is_told(tmp_path: Path) -> None:
    assert _missing(tmp_path) == [("odd_one", "silent/inner/__init__.py, line 2")]


def test_a_package_that_names_a_requirement_is_believed(tmp_path: Path) -> None:
    assert _missing(tmp_path, metadata="Requires-Dist: click\n") == []


def test_what_was_once_in_every_environment_is_told_or_installed_whatever_a_package_names(
    tmp_path: Path,
) -> None:
    packages = tmp_path / "site-packages"
    (packages / "aged-1.0.dist-info").mkdir(parents=True)
    (packages / "aged-1.0.dist-info" / "METADATA").write_text("Name: aged\nRequires-Dist: click\n\n")
    (packages / "aged").mkdir()
    (packages / "aged" / "__init__.py").write_text("import click, other\nfrom pkg_resources import get_distribution\n")
    needs = Needs((Need("aged", "aged", "hooks/post_gen_project.py, line 1", "index"),))
    look = partial(with_undeclared, needs, tmp_path, tmp_path, packages)
    (missing,) = look(frozenset({"aged", "setuptools"}), install=False).missing
    assert (missing.module, missing.found) == ("pkg_resources", "aged/__init__.py, line 2")
    assert "name `setuptools<81` in `requirements`" in missing.why
    held = frozenset({"aged", "setuptools", "pkg_resources"})
    assert look(held, install=True) == needs
    found = look(frozenset({"aged", "setuptools"}), install=True)
    assert found.missing == ()
    assert [(need.requirement, need.module, need.how) for need in found.requirements] == [
        ("aged", "aged", "index"),
        ("setuptools<81", "pkg_resources", "table"),
    ]


@pytest.mark.parametrize("hook", ["import silent\n", "def main():\n    import silent.used\n", "import other\n"])
def test_only_what_a_hook_leads_to_counts(hook: str, tmp_path: Path) -> None:
    assert _missing(tmp_path, hook=hook) == []
