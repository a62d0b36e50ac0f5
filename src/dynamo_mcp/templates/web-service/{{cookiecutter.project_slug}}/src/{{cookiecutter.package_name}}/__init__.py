"""The public names of `{{ cookiecutter.package_name }}`."""

from {{ cookiecutter.package_name }}.app import build_app
from {{ cookiecutter.package_name }}.settings import Settings, SettingsError

__all__ = ["Settings", "SettingsError", "build_app"]
