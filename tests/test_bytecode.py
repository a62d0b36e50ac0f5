"""Which bytecode need not be compiled again?"""

from __future__ import annotations

from pathlib import Path

import pytest

from dynamo_mcp.bytecode import share

PYC = "__pycache__/{}.cpython-313.pyc"


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A base that has a module, a package and its bytecode."""
    return _environment(tmp_path / "base", "one.py", "pack/__init__.py", "pack/two.py")


def _environment(path: Path, *sources: str) -> Path:
    packages = path / "lib" / "python3.13" / "site-packages"
    for source in sources:
        written = packages / source
        written.parent.mkdir(parents=True, exist_ok=True)
        written.write_text(source)
        bytecode = written.parent / PYC.format(written.stem)
        bytecode.parent.mkdir(exist_ok=True)
        bytecode.write_text(f"bytecode of {source}")
    return path


def _other(base: Path, *, without: str = "") -> Path:
    """Link all sources of a base, as uv does, but one."""
    other = base.with_name("other")
    for source in base.rglob("*.py"):
        linked = other / source.relative_to(base)
        linked.parent.mkdir(parents=True, exist_ok=True)
        if source.name == without:
            linked.write_text(source.read_text())
        else:
            linked.hardlink_to(source)
    return other


def _bytecode(environment: Path) -> set[str]:
    return {str(path.relative_to(environment / "lib" / "python3.13")) for path in environment.rglob("*.pyc")}


def test_the_bytecode_of_linked_sources_is_linked(base: Path) -> None:
    other = _other(base)
    assert share(base, other) == 3
    assert _bytecode(other) == _bytecode(base)
    assert all(path.samefile(other / path.relative_to(base)) for path in base.rglob("*.pyc"))


def test_a_source_that_is_another_file_gets_none_though_it_says_the_same(base: Path) -> None:
    other = _other(base, without="two.py")
    assert share(base, other) == 2
    assert "site-packages/pack/__pycache__/two.cpython-313.pyc" not in _bytecode(other)


def test_what_is_there_already_stays(base: Path) -> None:
    other = _other(base)
    own = other / "lib" / "python3.13" / "site-packages" / PYC.format("one")
    own.parent.mkdir()
    own.write_text("a package's own")
    assert share(base, other) == 2
    assert own.read_text() == "a package's own"


def test_no_link_of_a_package_is_followed(base: Path, tmp_path: Path) -> None:
    other = _other(base)
    packages = other / "lib" / "python3.13" / "site-packages"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (packages / "pack").rename(tmp_path / "moved")
    (packages / "pack").symlink_to(tmp_path / "moved")
    (packages / "__pycache__").symlink_to(elsewhere)
    assert share(base, other) == 0
    assert list(elsewhere.iterdir()) == []
    assert not (tmp_path / "moved" / "__pycache__").exists()
