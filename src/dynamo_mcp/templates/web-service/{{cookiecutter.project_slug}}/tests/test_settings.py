import pytest

from {{ cookiecutter.package_name }} import Settings, SettingsError
from {{ cookiecutter.package_name }}.settings import PREFIX


def test_an_empty_environment_leaves_the_defaults() -> None:
    assert Settings.from_environment({}) == Settings()


def test_the_environment_decides() -> None:
    environment = {f"{PREFIX}HOST": "::", f"{PREFIX}PORT": "80", f"{PREFIX}LOG_LEVEL": "ERROR"}
    settings = Settings.from_environment(environment)
    assert settings == Settings(host="::", port=80, log_level="error")


def test_every_problem_is_reported_at_once() -> None:
    environment = {f"{PREFIX}HOST": "", f"{PREFIX}PORT": "0", f"{PREFIX}LOG_LEVEL": "loud"}
    with pytest.raises(SettingsError) as caught:
        Settings.from_environment(environment)
    assert [line.split("`")[1] for line in str(caught.value).splitlines()] == list(environment)


@pytest.mark.parametrize("port", ["", "-1", "65536", "8000.0", "²"])
def test_refuses_what_is_not_a_port(port: str) -> None:
    with pytest.raises(SettingsError, match="PORT"):
        Settings.from_environment({f"{PREFIX}PORT": port})
