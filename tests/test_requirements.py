"""What does a template need installed? What it names, mapped to packages, and nothing that is not a package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from dynamo_mcp.errors import InvalidRequirement, MissingRequirement
from dynamo_mcp.requirements import COOKIECUTTER, DISTRIBUTIONS, derive, normalise


class TestNormalising:
    @pytest.mark.parametrize(
        ("text", "normal"),
        [
            ("Jinja2_Time", "jinja2-time"),
            ("jinja2.time >= 0.2", "jinja2-time>=0.2"),
            ("  x<2,>=1 ", "x<2,>=1"),
            ("x>=1,<2", "x<2,>=1"),
            ("x (==1.0)", "x==1.0"),
            ("x[b,a]==1.*", "x[a,b]==1.*"),
            ('x ; python_version < "4"', 'x ; python_version < "4"'),
            ("x===1.0", "x===1.0"),
        ],
    )
    def test_a_requirement_is_written_one_way(self, text: str, normal: str) -> None:
        assert normalise([text]) == (normal,)
        assert normalise([normal]) == (normal,)

    def test_requirements_are_sorted_and_once(self) -> None:
        assert normalise(["b", "A", "a", "B>=1"]) == ("a", "b", "b>=1")
        assert normalise([]) == ()

    @pytest.mark.parametrize(
        "text",
        [
            "",
            " ",
            "-r requirements.txt",
            "--index-url=https://example.org",
            "-e .",
            ".",
            "./package",
            "/package.whl",
            "package.whl/",
            "https://example.org/x.whl",
            "git+https://example.org/x",
            "x @ https://example.org/x.whl",
            "x @ file:///tmp/x",
            "x\n--index-url=https://example.org",
            "x --hash=sha256:0",
            "x==",
            "x==1;",
            "x y",
            "x\0",
            "../x",
            "\uff58",
        ],
    )
    def test_what_is_not_a_name_with_versions_is_refused(self, text: str) -> None:
        with pytest.raises(InvalidRequirement) as caught:
            normalise(["fine", text])
        assert f"`{text}`" in caught.value.message
        assert "no URLs, paths or options" in caught.value.hint


class TestDeriving:
    def _derive(self, folder: Path, extensions: Any, *given: str) -> tuple[str, ...]:
        return derive({"_extensions": extensions}, template=folder, given=given)

    def test_the_package_of_a_known_extension_is_added(self, tmp_path: Path) -> None:
        assert self._derive(tmp_path, ["jinja2_time.TimeExtension"]) == ("jinja2-time",)

    def test_what_the_caller_named_of_it_wins(self, tmp_path: Path) -> None:
        assert self._derive(tmp_path, ["jinja2_time.TimeExtension"], "Jinja2_Time<1") == ("jinja2-time<1",)

    @pytest.mark.parametrize("extension", ["cookiecutter.extensions.SlugifyExtension", "jinja2.ext.do"])
    def test_what_comes_with_cookiecutter_needs_nothing(self, extension: str, tmp_path: Path) -> None:
        assert self._derive(tmp_path, [extension]) == ()

    @pytest.mark.parametrize("kind", ["module", "package"])
    def test_what_lies_beside_the_configuration_needs_nothing(self, kind: str, tmp_path: Path) -> None:
        if kind == "module":
            (tmp_path / "local_extensions.py").touch()
        else:
            (tmp_path / "local_extensions").mkdir()
        assert self._derive(tmp_path, ["local_extensions.Mine"]) == ()

    def test_an_extension_whose_package_nobody_knows_is_told(self, tmp_path: Path) -> None:
        with pytest.raises(MissingRequirement) as caught:
            self._derive(tmp_path, ["strange_thing.Extension"])
        assert "`strange_thing.Extension`" in caught.value.message
        assert "`--requirement strange-thing`" in caught.value.hint

    def test_an_extension_whose_package_nobody_knows_is_told_behind_one_that_is_known(self, tmp_path: Path) -> None:
        with pytest.raises(MissingRequirement, match="strange_thing"):
            self._derive(tmp_path, ["jinja2_time.TimeExtension", "strange_thing.Extension"])

    def test_the_order_of_the_extensions_changes_nothing(self, tmp_path: Path) -> None:
        extensions = ["jinja2_time.TimeExtension", "strange_thing.Extension"]
        for order in (extensions, extensions[::-1]):
            with pytest.raises(MissingRequirement):
                self._derive(tmp_path, order)

    def test_an_extension_whose_package_nobody_knows_may_come_with_what_the_caller_named(self, tmp_path: Path) -> None:
        assert self._derive(tmp_path, ["strange_thing.Extension"], "odd-name") == ("odd-name",)

    @pytest.mark.parametrize("extensions", [None, [], "jinja2_time.X", {"a": 1}, 5])
    def test_extensions_that_are_no_list_are_none(self, extensions: Any, tmp_path: Path) -> None:
        assert self._derive(tmp_path, extensions) == ()

    @pytest.mark.parametrize("extension", ["/etc.X", "", "a b.X", None, 5, "\0.X"])
    def test_an_extension_that_names_no_module_is_told(self, extension: Any, tmp_path: Path) -> None:
        with pytest.raises(MissingRequirement):
            self._derive(tmp_path, [extension])

    def test_no_extensions_and_nothing_named_need_nothing(self, tmp_path: Path) -> None:
        assert derive({}, template=tmp_path, given=()) == ()

    def test_what_is_derived_is_sorted_and_normal(self, tmp_path: Path) -> None:
        derived = self._derive(tmp_path, ["jinja2_time.X", "jinja2_slug.Y"], "Zebra", "apple")
        assert derived == ("apple", "jinja2-slug", "jinja2-time", "zebra") == normalise(derived)


def test_every_known_distribution_is_a_requirement_and_cookiecutter_is_pinned() -> None:
    assert normalise(DISTRIBUTIONS.values()) == tuple(sorted(set(DISTRIBUTIONS.values())))
    (pin,) = Requirement(COOKIECUTTER).specifier
    assert pin.operator == "=="
