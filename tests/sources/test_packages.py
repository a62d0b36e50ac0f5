"""Which package is meant by what was typed?"""

from __future__ import annotations

from pathlib import Path

import pytest

from dynamo_mcp.errors import InvalidLocation
from dynamo_mcp.settings import Settings
from dynamo_mcp.sources import default_name, display, parse
from dynamo_mcp.sources.places import is_among, same_place
from dynamo_mcp.types import Location


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


@pytest.mark.parametrize(
    ("typed", "checkout", "address", "version"),
    [
        ("pypi:web", None, "pypi:web", None),
        ("pypi:My_Web.Template", None, "pypi:my-web-template", None),
        ("PyPI:web==1.2.0", None, "pypi:web", "1.2.0"),
        ("pypi:web == v1.2.0-rc1", None, "pypi:web", "1.2.0rc1"),
        ("pypi:web", "1.2", "pypi:web", "1.2"),
        ("pypi:web", "latest", "pypi:web", None),
        ("pypi:web==1.2", "1.2.0", "pypi:web", "1.2"),
        ("pypi:web==1!2.0+local.1", None, "pypi:web", "1!2.0+local.1"),
    ],
)
def test_a_package_is_a_name_and_a_version(
    typed: str, checkout: str | None, address: str, version: str | None, settings: Settings
) -> None:
    found = parse(typed, settings=settings, revision=checkout, directory="a/b")
    assert found == Location("pypi", address, version, "a/b")
    assert parse(found.address, settings=settings, revision=found.revision, directory="a/b") == found
    assert display(found) == address


@pytest.mark.parametrize(
    "typed",
    [
        *("pypi:", "pypi:==1.0", "pypi:../etc", "pypi:a/b", "pypi:/web", "pypi:a b", "pypi:-e", "pypi:.", "pypi:ü"),
        *("pypi:web>=1", "pypi:web[extra]", "pypi:web; x", "pypi:web==1.*", "pypi:web==", "pypi:web===1", "pypi:web=1"),
        *("pypi:web @ https://host/x.whl", "pypi:me:swordfish@web", "pypi:web\n--index-url=x", "pypi:web==1\x1b[2J"),
        *(f"pypi:{'a' * 200}", f"pypi:web=={'1' * 200}"),
    ],
)
def test_whatever_else_a_requirement_may_say_is_refused_before_anything_is_asked(
    typed: str, settings: Settings
) -> None:
    with pytest.raises(InvalidLocation) as raised:
        parse(typed, settings=settings)
    assert "pypi:" in raised.value.hint
    assert "swordfish" not in str(raised.value)
    assert "\x1b" not in str(raised.value)


def test_two_versions_and_a_live_package_make_no_sense(settings: Settings) -> None:
    with pytest.raises(InvalidLocation, match="`checkout` says `2`"):
        parse("pypi:web==1", settings=settings, revision="2")
    with pytest.raises(InvalidLocation, match="`checkout` says `latest`"):
        parse("pypi:web==1", settings=settings, revision="latest")
    with pytest.raises(InvalidLocation, match="can't be live"):
        parse("pypi:web", settings=settings, live=True)


def test_a_url_whose_scheme_is_pypi_is_no_package(settings: Settings) -> None:
    with pytest.raises(InvalidLocation, match="the scheme `pypi`"):
        parse("pypi://web", settings=settings)


def test_a_template_is_called_as_its_package(settings: Settings) -> None:
    assert default_name(parse("pypi:Cookiecutter-Web_App", settings=settings)) == "web-app"
    assert default_name(parse("pypi:web", settings=settings, directory="pkg/lib")) == "lib"


def test_two_spellings_are_the_same_place_and_nobody_owns_an_index(settings: Settings) -> None:
    web = parse("pypi:web", settings=settings)
    assert same_place(web, parse("pypi:WEB==1.0", settings=settings))
    assert not same_place(web, parse("pypi:web-app", settings=settings))
    assert not is_among(web, ["https://index.example/", "gh:web/", "/pypi/"])
