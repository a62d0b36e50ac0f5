import pytest

from {{ cookiecutter.package_name }}.__main__ import main


def test_prints_the_greeting(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["World"]) == 0
    assert capsys.readouterr().out == "Hello, World!\n"


def test_says_what_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main([" "])
    assert "must not be empty" in capsys.readouterr().err
