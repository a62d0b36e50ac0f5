"""What does a template need installed? What it names, mapped to packages, and nothing that is not a package."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from packaging.requirements import Requirement

from dynamo_mcp.errors import EnvironmentFailed, InvalidRequirement, InvalidTemplate, MissingRequirement
from dynamo_mcp.requirements import (
    COOKIECUTTER,
    MOST_ASKED,
    MOST_MODULES,
    MOST_TOLD,
    NOT_GUESSED,
    derive,
    normalise,
    obtainable,
    packages,
    verified,
)
from dynamo_mcp.types import MissingModule, Need, Needs
from patience import soon

if TYPE_CHECKING:
    from conftest import Listener

HOOK = "hooks/post_gen_project.py"


class Index:
    """A package index that has some packages, and counts what it is asked."""

    def __init__(self, *has: str, reached: bool = True) -> None:
        self.asked: list[str] = []
        self._has = has
        self._reached = reached

    async def lacks(self, requirements: tuple[str, ...]) -> str | None:
        self.asked += requirements
        if not self._reached:
            raise EnvironmentFailed("no network", hint="plug it in")
        missing = [each for each in requirements if each not in self._has]
        return f"{missing[0]} was not found in the package registry" if missing else None


def _needs(
    folder: Path, configuration: dict[str, Any], *given: str, index: Index | None = None, guess: bool = True
) -> Needs:
    async def derived() -> Needs:
        lacks = (index or Index()).lacks
        return await derive(configuration, template=folder, checkout=folder, given=given, lacks=lacks, guess=guess)

    return anyio.run(derived)


def _hook(folder: Path, code: str) -> Path:
    """Write a template's only hook."""
    path = folder / HOOK
    path.parent.mkdir(exist_ok=True)
    path.write_text(code, "utf-8")
    return folder


def test_of_very_many_needs_the_first_are_told_and_the_others_counted(tmp_path: Path) -> None:
    calls = "".join(f"subprocess.run(['tool-{number:03}'])\n" for number in range(MOST_TOLD + 20))
    imports = "".join(f"import module_{number:03}\n" for number in range(MOST_TOLD + 7))
    needs = _needs(_hook(tmp_path, f"import subprocess\n{calls}{imports}"), {})
    assert needs.more == {"missing": 7, "executables": 20}
    assert [len(each) for each in (needs.missing, needs.executables)] == [MOST_TOLD, MOST_TOLD]


def test_what_is_always_needed_is_told_first(tmp_path: Path) -> None:
    some = "".join(f"    import some_{number:03}\n" for number in range(MOST_TOLD + 5))
    needs = _needs(_hook(tmp_path, f"def f():\n{some}import always_one\n"), {})
    assert (needs.missing[0].module, needs.missing[0].always) == ("always_one", True)
    assert needs.more == {"missing": 6}


def test_however_many_modules_nobody_knows_the_tree_is_walked_once(tmp_path: Path, audited: list[Listener]) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "unknown_3.py").touch()
    _hook(tmp_path, "".join(f"import unknown_{number}\n" for number in range(MOST_ASKED + 5)))
    walked: list[str] = []

    def listen(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "os.scandir" and str(arguments[0]).startswith(str(tmp_path)):
            walked.append(str(arguments[0]))

    audited.append(listen)
    needs = _needs(tmp_path, {})
    assert sorted(walked) == [str(tmp_path), str(tmp_path / "hooks"), str(tmp_path / "lib")]
    assert [missing.module for missing in needs.missing if "own folder `lib`" in missing.why] == ["unknown_3"]


def test_code_is_parsed_where_nobody_waits_for_it(tmp_path: Path, audited: list[Listener]) -> None:
    threads: set[int] = set()

    def listen(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "compile" and arguments[0] and b"here_and_nowhere_else" in arguments[0]:
            threads.add(threading.get_ident())

    audited.append(listen)
    code = "import subprocess, here_and_nowhere_else\nsubprocess.run('git init')\n"
    assert [each.name for each in _needs(_hook(tmp_path, code), {}).executables] == ["git"]
    assert threads
    assert threading.get_ident() not in threads


def test_fifteen_thousand_modules_are_sorted_out_soon(tmp_path: Path) -> None:
    code = "".join(f"import a{number}\n" for number in range(15_000))
    named = [f"package-{number}" for number in range(200)]
    with soon():
        needs = _needs(_hook(tmp_path, f"import pkg_resources\n{code}"), {}, *named, "setuptools<70")
    assert needs.requirements[-1] == Need("setuptools<70", "pkg_resources", f"{HOOK}, line 1", "named")
    assert needs.more == {"requirements": 15_001 - MOST_MODULES}


def test_files_that_cost_too_much_are_told(tmp_path: Path) -> None:
    _hook(tmp_path, "os.system(" + "a if b else " * 2000 + "c)\n")
    assert _needs(tmp_path, {}).unread == (HOOK,)


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
        return packages(_needs(folder, {"_extensions": extensions}, *given))

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
        assert "in `requirements`; its name is not `strange-thing`" in caught.value.hint

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

    @pytest.mark.parametrize("extension", ["/etc.X", "", "a b.X", 5, "\0.X", "x..Y"])
    def test_an_extension_that_names_no_class_is_told(self, extension: Any, tmp_path: Path) -> None:
        with pytest.raises(InvalidTemplate, match=r"`_extensions` hold (`.+`|an empty text), which names no class"):
            self._derive(tmp_path, [extension])

    def test_an_extension_that_may_not_be_looked_up_may_have_the_name_of_its_package(self, tmp_path: Path) -> None:
        with pytest.raises(MissingRequirement) as caught:
            _needs(tmp_path, {"_extensions": ["strange_thing.E"]}, guess=False)
        assert "its name is not" not in caught.value.hint

    def test_no_extensions_and_nothing_named_need_nothing(self, tmp_path: Path) -> None:
        assert _needs(tmp_path, {}) == Needs()

    def test_what_is_derived_is_sorted_and_normal(self, tmp_path: Path) -> None:
        derived = self._derive(tmp_path, ["jinja2_time.X", "jinja2_slug.Y"], "Zebra", "apple")
        assert derived == ("apple", "jinja2-slug", "jinja2-time", "zebra") == normalise(derived)


def test_cookiecutter_is_pinned() -> None:
    (pin,) = Requirement(COOKIECUTTER).specifier
    assert pin.operator == "=="


class TestWhatHooksImport:
    def test_what_the_table_knows_is_required_without_asking_the_index(self, tmp_path: Path) -> None:
        index = Index()
        needs = _needs(_hook(tmp_path, "import os\nimport yaml, rich\nfrom PIL import Image\n"), {}, index=index)
        assert needs.requirements == (Need("pillow", "PIL", f"{HOOK}, line 3", "table"),)
        assert index.asked == []

    def test_a_package_of_the_modules_own_name_is_required_when_the_index_has_it(self, tmp_path: Path) -> None:
        needs = _needs(_hook(tmp_path, "import tiny_thing.part\n"), {}, index=Index("tiny-thing"))
        assert needs.requirements == (Need("tiny-thing", "tiny_thing", f"{HOOK}, line 1", "index"),)
        assert needs.missing == ()

    def test_where_nothing_may_be_guessed_the_index_is_not_asked_and_the_reason_is_told(self, tmp_path: Path) -> None:
        index = Index("tiny-thing")
        needs = _needs(_hook(tmp_path, "import yaml, tiny_thing, git\n"), {}, index=index, guess=False)
        assert packages(needs) == ("gitpython",)
        (missing,) = needs.missing
        assert (missing.module, missing.why) == ("tiny_thing", NOT_GUESSED)
        assert index.asked == []
        with pytest.raises(MissingRequirement, match="only guessed"):
            _needs(tmp_path, {"_extensions": ["tiny_thing.E"]}, index=index, guess=False)

    def test_a_module_that_nobody_holds_is_missing_with_the_reason(self, tmp_path: Path) -> None:
        (missing,) = _needs(_hook(tmp_path, "\nimport nobody_has_it\n"), {}).missing
        assert (missing.module, missing.found, missing.always) == ("nobody_has_it", f"{HOOK}, line 2", True)
        assert "was not found in the package registry" in missing.why

    def test_an_index_that_can_not_be_asked_is_the_reason(self, tmp_path: Path) -> None:
        (missing,) = _needs(_hook(tmp_path, "import unsure\n"), {}, index=Index(reached=False)).missing
        assert "could not be asked" in missing.why

    def test_a_name_that_is_known_to_be_somebody_elses_is_never_looked_up(self, tmp_path: Path) -> None:
        index = Index("google", "utils")
        needs = _needs(_hook(tmp_path, "import google.strange\nimport utils\n"), {}, index=index)
        assert [missing.module for missing in needs.missing] == ["google", "utils"]
        assert index.asked == []

    def test_packages_that_share_a_namespace_are_told_apart(self, tmp_path: Path) -> None:
        code = "from google.cloud import storage\nfrom google.protobuf import message\n"
        assert packages(_needs(_hook(tmp_path, code), {})) == ("google-cloud-storage", "protobuf")

    def test_a_module_that_lies_in_the_template_is_never_looked_up(self, tmp_path: Path) -> None:
        (tmp_path / "lib" / "own_package").mkdir(parents=True)
        (tmp_path / "lib" / "own_package" / "__init__.py").touch()
        index = Index("own-package")
        (missing,) = _needs(_hook(tmp_path, "import own_package\n"), {}, index=index).missing
        assert missing.why == "it is in the template's own folder `lib`, where hooks do not find it"
        assert index.asked == []

    def test_so_many_modules_are_looked_up_and_no_more(self, tmp_path: Path) -> None:
        index = Index()
        code = "".join(f"import unknown{number}\n" for number in range(MOST_ASKED + 5))
        needs = _needs(_hook(tmp_path, code), {}, index=index)
        assert len(index.asked) == MOST_ASKED
        assert len(needs.missing) == MOST_ASKED + 5
        assert "no more are looked up" in needs.missing[-1].why

    @pytest.mark.parametrize("named", ["PyYAML-x", "tiny.thing>=1", "other-name"])
    def test_what_the_caller_named_wins_over_the_index(self, named: str, tmp_path: Path) -> None:
        index = Index("tiny-thing")
        needs = _needs(_hook(tmp_path, "import tiny_thing\n"), {}, named, index=index)
        assert [(need.module, need.how) for need in needs.requirements] == [("tiny_thing", "named")]
        assert index.asked == []

    def test_what_the_caller_named_for_a_known_module_pins_it(self, tmp_path: Path) -> None:
        hook = _hook(tmp_path, "import git\nfrom PIL import Image\n")
        assert packages(_needs(hook, {}, "gitpython<4")) == ("gitpython<4", "pillow")

    def test_what_the_caller_named_for_an_executable_does_not_stand_for_a_module(self, tmp_path: Path) -> None:
        needs = _needs(_hook(tmp_path, "import tiny_thing\n"), {}, "ruff", index=Index("tiny-thing"))
        assert packages(needs) == ("ruff", "tiny-thing")

    def test_an_optional_import_is_told_and_not_required(self, tmp_path: Path) -> None:
        code = "try:\n    import tiny_thing\nexcept ImportError:\n    tiny_thing = None\n"
        index = Index("tiny-thing")
        needs = _needs(_hook(tmp_path, code), {}, index=index)
        assert needs == Needs(optional=(f"`tiny_thing`: {HOOK}, line 2",))
        assert index.asked == []

    def test_a_module_that_is_demanded_anywhere_is_required(self, tmp_path: Path) -> None:
        code = "try:\n    import PIL\nexcept ImportError:\n    pass\ndef main():\n    import PIL\n"
        (need,) = _needs(_hook(tmp_path, code), {}).requirements
        assert (need.found, need.always) == (f"{HOOK}, line 6", False)

    def test_the_module_that_the_template_makes_is_no_package(self, tmp_path: Path) -> None:
        assert _needs(_hook(tmp_path, "import {{ cookiecutter.slug }}.core\n"), {}) == Needs()

    def test_what_a_local_extension_imports_is_required(self, tmp_path: Path) -> None:
        (tmp_path / "mine.py").write_text("from jinja2.ext import Extension\nimport git\n")
        assert packages(_needs(tmp_path, {"_extensions": ["mine.Extension"]})) == ("gitpython",)

    def test_an_extension_that_only_the_index_has_is_required(self, tmp_path: Path) -> None:
        needs = _needs(tmp_path, {"_extensions": ["odd_one.E"]}, index=Index("odd-one"))
        (need,) = needs.requirements
        assert (need.requirement, need.how, need.found) == ("odd-one", "index", "`_extensions` of `cookiecutter.json`")

    @pytest.mark.parametrize("name", ["n\u00e4me", "x" * 5000])
    def test_a_name_that_no_package_has_is_not_looked_up(self, name: str, tmp_path: Path) -> None:
        index = Index()
        (missing,) = _needs(_hook(tmp_path, f"import {name}\n"), {}, index=index).missing
        assert len(missing.module) <= 100
        assert index.asked == []


class TestAfterwards:
    NEEDS = Needs(
        (
            Need("a", "a", "hooks/x", "index"),
            Need("b", "b", "hooks/x", "table", always=False),
            Need("c", "c", "`_extensions` of `cookiecutter.json`", "table"),
            Need("d", "d", "hooks/x", "named"),
            Need("e", None, "named", "named"),
        )
    )

    def test_a_package_that_does_not_hold_its_module_is_told(self) -> None:
        (missing,) = verified(self.NEEDS, frozenset({"a", "other"})).missing
        assert missing == MissingModule("d", "hooks/x", "`d` does not hold it", always=True)
        assert verified(self.NEEDS, frozenset({"a", "d"})) == self.NEEDS

    def test_what_hooks_import_and_can_not_be_installed_becomes_missing(self) -> None:
        needs = anyio.run(obtainable, self.NEEDS, Index("a").lacks)
        assert packages(needs) == ("a", "c", "d", "e")
        assert [(missing.module, missing.always) for missing in needs.missing] == [("b", False)]

    def test_where_everything_can_be_installed_nothing_changes(self) -> None:
        assert anyio.run(obtainable, self.NEEDS, Index("a", "b").lacks) == self.NEEDS


class TestExecutablesAndNetwork:
    def test_what_a_hook_calls_is_told_by_name_with_the_first_place(self, tmp_path: Path) -> None:
        code = "import subprocess\nsubprocess.run(['git', 'init'])\nsubprocess.run('git add . && make', shell=True)\n"
        needs = _needs(_hook(tmp_path, code), {})
        assert [(each.name, each.found) for each in needs.executables] == [
            ("git", f"{HOOK}, line 2"),
            ("make", f"{HOOK}, line 3"),
        ]
        assert needs.network == ()

    def test_where_the_network_seems_to_be_used_is_told(self, tmp_path: Path) -> None:
        code = "import os\nimport urllib.request\nos.system('git clone x')\nfrom requests import get\n"
        assert _needs(_hook(tmp_path, code), {}).network == (
            f"{HOOK}, line 2: imports `urllib.request`",
            f"{HOOK}, line 4: imports `requests`",
            f"{HOOK}, line 3: calls `git`",
        )
