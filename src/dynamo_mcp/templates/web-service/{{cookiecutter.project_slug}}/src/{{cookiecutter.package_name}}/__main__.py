"""Runs the service with the settings of the environment."""

import os

import uvicorn

from {{ cookiecutter.package_name }} import Settings, SettingsError, build_app


def main() -> None:
    """Serves until it is told to stop."""
    try:
        settings = Settings.from_environment(os.environ)
    except SettingsError as error:
        raise SystemExit(str(error)) from None
    uvicorn.run(
        build_app(),
        host=settings.host,
        port=settings.port,
        log_level=settings.log_level,
    )


if __name__ == "__main__":
    main()
