"""The public names of `{{ cookiecutter.package_name }}`."""

from {{ cookiecutter.package_name }}.notes import Notes
from {{ cookiecutter.package_name }}.server import build_server

__all__ = ["Notes", "build_server"]
