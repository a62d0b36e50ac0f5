"""Which parts of a Python's installation a template sees, wherever that lies."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from dynamo_mcp.sandbox.installation import parts
from homes import Home, base_environments, write_template

HOOK = """
import json, os, subprocess, sys, ssl, sqlite3, ctypes
def attempt(path):
    try:
        return os.listdir(path) if os.path.isdir(path) else open(path).read()
    except OSError as error:
        return "no: " + error.strerror
made = subprocess.run([sys.executable, "-m", "venv", "--without-pip", "made"], capture_output=True, text=True)
print(json.dumps([made.returncode, made.stderr, [attempt(path) for path in {paths!r}]]))
"""


def prefix(folder: Path) -> Path:
    """Make an installation of this Python in a folder, as `--prefix` of that folder does; return its interpreter."""
    real = Path(os.path.realpath(sys.executable))
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for name in ("bin", "lib", ".ssh"):
        (folder / name).mkdir(parents=True)
    shutil.copy(real, folder / "bin" / version)
    # A link in an installation leads to what is as much of it.
    shutil.copytree(
        real.parent.parent / "lib" / version,
        folder / "lib" / version,
        symlinks=True,
        copy_function=os.link,
        ignore=shutil.ignore_patterns("site-packages", "test", "__pycache__", "config-*"),
    )
    for library in (real.parent.parent / "lib").glob("libpython*"):
        shutil.copy(library, folder / "lib" / library.name)
    (folder / ".ssh" / "id").write_text("secret")
    (folder / "lib" / "notes").write_text("secret")
    (folder / "bin" / "own").write_text("secret")
    return folder / "bin" / version


def test_only_what_running_it_takes_is_of_an_installation(tmp_path: Path) -> None:
    folder = tmp_path / "home"
    python = prefix(folder)
    found = {str(path.relative_to(folder)) for path in parts(python)}
    assert {f"bin/{python.name}", f"lib/{python.name}"} <= found
    assert {name for name in found if not name.startswith(("bin/python", "lib/python", "lib/libpython"))} == set()
    assert parts(Path("/usr/local/bin/python9")) == (Path("/usr/local"),)


@pytest.mark.anyio
async def test_a_hook_reads_nothing_else_of_the_folder_that_python_lies_in(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path / "home-of-python"
    python = prefix(folder)
    # The copy of an interpreter may look for its library where the original has it.
    library = Path(os.path.realpath(sys.executable)).parent.parent / "lib"
    home = Home(tmp_path, base_environments(tmp_path_factory))
    home.take_wheels()
    paths = [str(folder / name) for name in (".ssh", ".ssh/id", "lib/notes", "bin/own")]
    template = write_template(home.templates / "one", post_gen_project=HOOK.replace("{paths!r}", repr(paths)))
    async with home.open(python=python, person=True) as dynamo:
        await dynamo.add_template(str(template), name="one", grants=[f"read:{library}"])
        project = await dynamo.create_project("one", str(home.outputs))
    code, said, found = json.loads(project.hooks[0].output)
    assert code == 0, said
    assert all(answer.startswith("no: ") for answer in found), found
