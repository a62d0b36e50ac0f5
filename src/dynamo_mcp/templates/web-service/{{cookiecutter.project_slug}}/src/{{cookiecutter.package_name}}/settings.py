"""What can be set from outside?"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

PREFIX = "{{ cookiecutter.__prefix }}"
LOG_LEVELS = ("debug", "info", "warning", "error")


class SettingsError(Exception):
    """The environment sets something to what it can not be; every such problem is in the message."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How the service runs."""

    host: str = "127.0.0.1"
    port: int = {{ cookiecutter.port }}
    log_level: str = "{{ cookiecutter.log_level }}"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Reads the settings from variables that begin with `PREFIX`.

        Raises:
            SettingsError: A value is of no use.
        """
        host = environment.get(f"{PREFIX}HOST", cls.host)
        port = environment.get(f"{PREFIX}PORT", str(cls.port))
        log_level = environment.get(f"{PREFIX}LOG_LEVEL", cls.log_level).lower()
        problems = []
        if not host:
            problems.append(f"`{PREFIX}HOST` is empty")
        if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
            problems.append(f"`{PREFIX}PORT` is `{port}`, not a number from 1 to 65535")
        if log_level not in LOG_LEVELS:
            allowed = ", ".join(LOG_LEVELS)
            problems.append(f"`{PREFIX}LOG_LEVEL` is `{log_level}`, not one of {allowed}")
        if problems:
            raise SettingsError("\n".join(problems))
        return cls(host=host, port=int(port), log_level=log_level)
