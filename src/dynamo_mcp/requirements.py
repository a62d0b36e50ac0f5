"""What does this template need installed? cookiecutter, the packages of its `_extensions`, what the caller names."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement as Unparsable
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from dynamo_mcp.errors import InvalidRequirement, MissingRequirement

COOKIECUTTER = "cookiecutter==2.7.1"
"""The version whose behaviour `_in_environment/render.py` relies on."""

DISTRIBUTIONS = {
    "jinja2_time": "jinja2-time",
    "jinja2_ansible_filters": "jinja2-ansible-filters",
    "jinja2_git_info": "jinja2-git-info",
    "jinja2_strcase": "jinja2-strcase",
    "jinja2_workarounds": "jinja2-workarounds",
    "jinja2_jsonschema": "jinja2-jsonschema",
    "jinja2_slug": "jinja2-slug",
    "jinja2_highlight": "jinja2-highlight",
    "jinja2_cli": "jinja2-cli",
    "jinja_markdown": "jinja-markdown",
    "jinja2_pluralize": "jinja2-pluralize",
    "cookieplone": "cookieplone",
    "cookiecutter_extensions": "cookiecutter-extensions",
    "copier_templates_extensions": "copier-templates-extensions",
    "slugify": "python-slugify",
    "yaml": "pyyaml",
}
"""Module to distribution, for the extensions that templates are known to name."""

INCLUDED = {"cookiecutter", "jinja2", "slugify", "arrow", "requests", "rich", "click", "yaml", "markupsafe"}
"""Modules that come with cookiecutter."""


def normalise(requirements: Iterable[str]) -> tuple[str, ...]:
    """Parse requirements and write each one way, sorted and once.

    Args:
        requirements: Names with version specifiers, such as `jinja2-time>=0.2`.

    Raises:
        InvalidRequirement: One is a URL, a path, an option, or no requirement at all.
    """
    normalised: dict[str, None] = {}
    for text in requirements:
        try:
            requirement = Requirement(text)
        except Unparsable as error:
            raise _invalid(text) from error
        if requirement.url is not None:
            raise _invalid(text)
        extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
        marker = f" ; {requirement.marker}" if requirement.marker else ""
        name = canonicalize_name(requirement.name)
        normalised[f"{name}{extras}{requirement.specifier}{marker}"] = None
    return tuple(sorted(normalised))


def derive(configuration: dict[str, Any], *, template: Path, given: Iterable[str]) -> tuple[str, ...]:
    """Return all that a template needs, cookiecutter left out.

    Args:
        configuration: The template's `cookiecutter.json`.
        template: Its folder: modules in it need no package.
        given: What the caller named.

    Raises:
        MissingRequirement: An extension's package is not known and none was named.
        InvalidRequirement: As `normalise`.
    """
    named = normalise(given)
    requirements = list(named)
    extensions = configuration.get("_extensions", [])
    for extension in extensions if isinstance(extensions, list) else []:
        module = str(extension).partition(".")[0]
        local = module.isidentifier() and ((template / module).is_dir() or (template / f"{module}.py").is_file())
        if module in INCLUDED or local:
            continue
        distribution = DISTRIBUTIONS.get(module)
        if distribution is not None:
            if not any(_name(requirement) == distribution for requirement in requirements):
                requirements.append(distribution)
        elif not named:
            raise MissingRequirement(
                f"The template's `_extensions` name `{extension}`, and which package holds it is not known",
                hint=f"add the template with the package in `requirements`, for example "
                f"`--requirement {canonicalize_name(module) or 'NAME'}` if that is its name",
            )
    return tuple(sorted(requirements))


def _name(requirement: str) -> str:
    return canonicalize_name(Requirement(requirement).name)


def _invalid(text: str) -> InvalidRequirement:
    return InvalidRequirement(
        f"`{text}` is not a requirement that may be installed",
        hint="give names with versions, such as `jinja2-time` or `jinja2-time>=0.2`; no URLs, paths or options",
    )
