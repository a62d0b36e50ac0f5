"""Refuses answers that could not become a working package, before any file is written.

The template engine renders this file first; the answers reach it as JSON, never as Python source.
Every problem goes to stderr, and the exit code is 1.
"""

import json
import keyword
import re
import sys

ANSWERS = json.loads(r'''{{ cookiecutter | tojson }}''')

# Names that would hide what the project itself imports or installs.
TAKEN = {"mypy", "pytest", "ruff", "test", "tests", *sys.stdlib_module_names}


def problems(slug, package, author, email, line_length):
    """Yields each problem with the way out of it."""
    if not re.fullmatch(r"[a-z0-9]([a-z0-9_-]{0,58}[a-z0-9])?", slug) or slug in TAKEN:
        yield (
            f"`project_slug` is `{slug}`, which can not be the name of a distribution",
            "use at most 60 lower-case letters, digits and hyphens, and not the name of a tool or of a standard module",
        )
    if not package.isidentifier() or not package.isascii() or keyword.iskeyword(package) or package in TAKEN:
        yield (
            f"`package_name` is `{package}`, which Python can not import as a package of its own",
            "start with a letter and use letters, digits and underscores, as in `my_package`",
        )
    elif len(package) > 40:
        yield f"`package_name` has {len(package)} characters", "use 40 or fewer"
    if len(author.splitlines()) > 1:
        yield "`author_name` has more than one line", "give one name; more authors go into pyproject.toml later"
    if email and not re.fullmatch(r"[A-Za-z0-9.!#$%&'*+/=?^_`~-]+@[A-Za-z0-9.-]*[A-Za-z0-9]", email):
        yield f"`author_email` is `{email}`, which is not an e-mail address", "leave it empty for none"
    if not re.fullmatch(r"[0-9]{2,3}", line_length) or not 79 <= int(line_length) <= 160:
        yield f"`line_length` is `{line_length}`", "give a whole number from 79 to 160"


found = list(
    problems(
        slug=ANSWERS["project_slug"],
        package=ANSWERS["package_name"],
        author=ANSWERS["author_name"],
        email=ANSWERS["author_email"],
        line_length=str(ANSWERS["line_length"]),
    )
)
for problem, hint in found:
    print(f"error: {problem}\n\nhint: {hint}\n", file=sys.stderr)
sys.exit(1 if found else 0)
