import pytest

from {{ cookiecutter.package_name }} import greet


def test_greets_by_name() -> None:
    assert greet("World") == "Hello, World!"


def test_ignores_space_around_the_name() -> None:
    assert greet("  World\n") == "Hello, World!"


@pytest.mark.parametrize("name", ["", "   "])
def test_refuses_a_blank_name(name: str) -> None:
    with pytest.raises(ValueError, match="must not be empty"):
        greet(name)
