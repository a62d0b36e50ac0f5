"""Which real templates are there? Those that packages on the index carry, pinned in `corpus.json` and fetched once.

uv fetches: it knows the operator's index and certificates, checks the digest, unpacks safely, and runs nothing of a
wheel that it installs into a folder.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec
from packaging.version import Version

from benchmarks import peers

FILE = Path(__file__).with_suffix(".json")
PYTHON_VERSION = "3.14"
"""What the wheels are chosen for: some ask for a newer Python than the one that runs this, and none is imported."""

Outcome: TypeAlias = Literal["works", "fails", "differs"]


class Carried(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A template in a package.

    Attributes:
        directory: Its folder in the package, `/`-separated; empty is the package's root.
        outcome: What becomes of it here.
        because: Words that the reason holds, where it does not work here.
        bare: Words that bare cookiecutter's reason holds, where that fails; None where it works.
        tested: The tests create it too; what takes long is left to the report.
    """

    directory: str
    outcome: Outcome = "works"
    because: str | None = None
    bare: str | None = None
    tested: bool = True


class Package(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A pinned wheel.

    Attributes:
        sha256: The wheel's digest, in hexadecimal.
        templates: The templates in it.
    """

    package: str
    version: str
    sha256: str
    templates: tuple[Carried, ...]

    def title(self, carried: Carried) -> str:
        """Return what a template is called in tables: its package, and its folder where there are several."""
        if len(self.templates) == 1:
            return self.package
        return f"{self.package}: {carried.directory}"


def load() -> tuple[Package, ...]:
    """Read the list of packages."""
    return msgspec.json.decode(FILE.read_bytes(), type=tuple[Package, ...])


async def fetch(package: Package, cache: Path) -> Path:
    """Fetch and unpack a package, unless the cache has it.

    Args:
        package: Which.
        cache: Existing folder that is kept between runs.

    Returns:
        Its folder in the cache.

    Raises:
        CommandFailed: It can't be had, or is not what was pinned.
    """
    folder = cache / f"{package.package}-{Version(package.version)}-{package.sha256[:16]}"
    if folder.exists():
        return folder
    with tempfile.TemporaryDirectory(dir=cache) as temporary:
        staged = Path(temporary)
        wanted = staged / "wanted.txt"
        wanted.write_text(f"{package.package}=={package.version} --hash=sha256:{package.sha256}\n")
        unpacked = staged / "unpacked"
        command: list[str | Path] = [peers.UV, "pip", "install", "--quiet", "--target", unpacked]
        command += ["--no-deps", "--no-build", "--require-hashes", "--requirements", wanted]
        command += ["--python", peers.PYTHON, "--python-version", PYTHON_VERSION]
        await peers.do(command, UV_NO_CONFIG="1", UV_NO_PROGRESS="1", UV_CACHE_DIR=str(cache / "uv"))
        if not folder.exists():
            unpacked.rename(folder)
    return folder
