"""Which distribution holds this module? The bundled table."""

from __future__ import annotations

import json
import re
from importlib.metadata import requires
from pathlib import Path

import pytest

from dynamo_mcp import distributions
from dynamo_mcp.distributions import Known, comes_with_python, executable, known
from dynamo_mcp.requirements import normalise


@pytest.mark.parametrize(
    ("module", "found"),
    [
        ("yaml", Known("yaml", "pyyaml")),
        ("PIL.Image", Known("PIL", "pillow")),
        ("google.cloud.storage.blob", Known("google.cloud.storage", "google-cloud-storage")),
        ("google.cloud.unknown", Known("google.cloud", None)),
        ("imghdr", Known("imghdr", "standard-imghdr")),
        ("lib2to3.pgen2", Known("lib2to3", None)),
        ("nobody_knows", None),
        ("jinja2cli.cli", Known("jinja2cli", "jinja2-cli")),
        ("pkg_resources", Known("pkg_resources", "setuptools<81")),  # from 82 on it is no part of it
    ],
)
def test_the_longest_part_of_a_name_that_is_known_decides(module: str, found: Known | None) -> None:
    assert known(module) == found if module != "yaml" else comes_with_python("yaml")


def test_everything_in_the_table_is_a_requirement() -> None:
    assert set(normalise(distributions.requirements())) == set(distributions.requirements())


def test_the_table_is_sorted_so_that_changes_are_seen() -> None:
    table = json.loads((Path(distributions.__file__).parent / "distributions.json").read_text())
    assert list(table["modules"]) == sorted(table["modules"], key=str.lower)
    assert list(table["executables"]) == sorted(table["executables"])


def test_what_cookiecutter_depends_on_comes_with_it() -> None:
    modules = {"pyyaml": "yaml", "python-slugify": "slugify"}
    names = [re.split(r"[^\w-]", text)[0].lower() for text in requires("cookiecutter") or () if "extra" not in text]
    assert names
    assert all(comes_with_python(modules.get(name, name)) for name in names)


def test_no_name_of_the_table_has_more_parts_than_are_looked_up() -> None:
    table = json.loads((Path(distributions.__file__).parent / "distributions.json").read_text())
    assert [known(name) for name in table["modules"]] == [Known(*row) for row in table["modules"].items()]
    assert known("a." * 100_000) is None


def test_executables_that_come_as_packages_are_known() -> None:
    assert executable("pre-commit") == "pre-commit"
    assert executable("pip-compile") == "pip-tools"
    assert executable("make") is None


def test_what_python_has_given_up_is_never_guessed() -> None:
    gone = (
        "aifc asynchat asyncore audioop cgi cgitb chunk crypt distutils imghdr imp lib2to3 mailcap msilib nis nntplib"
    )
    gone += " ossaudiodev pipes smtpd sndhdr spwd sunau telnetlib uu xdrlib"  # PEP 594, PEP 632, Python 3.12 and 3.13
    assert [module for module in gone.split() if known(module) is None] == []
