"""The public names of `{{ cookiecutter.package_name }}`."""

from {{ cookiecutter.package_name }}.greeting import greet

__all__ = ["greet"]
