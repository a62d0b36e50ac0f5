"""Which files has a package, and are they what it says? By the RECORD of each (PyPA, Recording installed projects)."""

from __future__ import annotations

import base64
import csv
import hashlib
import os
import stat
from collections.abc import Iterable
from pathlib import Path

from dynamo_mcp.errors import EnvironmentFailed
from dynamo_mcp.text import plain


def packages_of(environment: Path) -> Path:
    """Return an environment's `site-packages`."""
    library = environment / "lib"
    for name in os.listdir(library):
        if name.startswith("python3."):
            return library / name / "site-packages"
    raise FileNotFoundError(library)


def refuse_intruders(packages: Path, without: Path, theirs: Iterable[str], requirements: tuple[str, ...]) -> None:
    """Refuse packages that put files among those of cookiecutter or of what that needs.

    Nothing is overwritten by it, and still `cookiecutter/exceptions/` is imported in the place of `exceptions.py`.

    Args:
        packages: The `site-packages` of an environment that is being made.
        without: The base without requirements.
        theirs: What it holds, as `name==version`.
        requirements: What was asked for.

    Raises:
        EnvironmentFailed: There is such a file.
    """
    if not requirements:
        return
    names = {package.partition("==")[0] for package in theirs}
    recorded: set[str] = set()
    for record in packages.glob("*.dist-info/RECORD"):
        if record.parent.name.partition("-")[0] in names:
            # Where it is the same version, what it holds is known from where no other package could say it.
            known = packages_of(without) / record.parent.name / "RECORD"
            recorded.update(name for name, *_ in _recorded(known if known.exists() else record))
    modules = {name.partition("/")[0].partition(".")[0] for name in recorded if ".dist-info/" not in name}
    for entry in packages.iterdir():
        if entry.name.partition(".")[0] not in modules - {"", "__pycache__"}:
            continue
        for path in entry.rglob("*") if entry.is_dir() else [entry]:
            name = str(path.relative_to(packages))
            if path.is_file() and path.parent.name != "__pycache__" and name not in recorded:
                asked = ", ".join(f"`{each}`" for each in requirements)
                raise EnvironmentFailed(
                    f"What is installed for {asked} puts `{plain(name)}` among the files of cookiecutter and its like",
                    hint="such a package changes what they do, and is not installed: name another one",
                )


def _recorded(record: Path) -> list[list[str]]:
    """Read which files a package has (PyPA, Recording installed projects)."""
    return [line for line in csv.reader(record.read_text("utf-8").splitlines()) if line]


def all_intact(environments: set[Path]) -> bool:
    """Tell whether every installed file of several environments is what its package says."""
    return all(map(intact, environments))


def intact(environment: Path) -> bool:
    """Compare files with the RECORD of their packages."""
    try:
        packages = packages_of(environment)
        inside = os.path.realpath(environment) + os.sep
        for record in packages.glob("*.dist-info/RECORD"):
            # The last word of a file that is named again and again.
            given = {os.path.realpath(packages / name): hashed for name, hashed, *_ in _recorded(record)}
            for path, hashed in given.items():
                algorithm, _, wanted = hashed.partition("=")
                # A package may say what it likes: what lies elsewhere is none of its files.
                if algorithm == "sha256" and path.startswith(inside) and _sha256(path) != wanted:
                    return False
    except (OSError, ValueError, csv.Error):
        return False
    return True


def _sha256(path: str) -> str:
    """Hash a regular file as a RECORD has it.

    Raises:
        ValueError: It is none.
    """
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:  # noqa: PTH123 - a pipe would make us wait
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError(path)
        return base64.urlsafe_b64encode(hashlib.file_digest(file, "sha256").digest()).rstrip(b"=").decode()
