"""What does bare cookiecutter make of a template? Its own command, with defaults, a fresh home and nobody to ask."""

from __future__ import annotations

import os
import time
from pathlib import Path

import msgspec

from benchmarks import comparing, peers
from benchmarks.comparing import Tree
from dynamo_mcp.errors import DynamoError
from dynamo_mcp.process import run

SECONDS = 120.0
"""Seconds that one create may take; as many as here."""

IDENTITY = """\
[user]
\tname = Nobody
\temail = nobody@localhost
[init]
\tdefaultBranch = main
"""
"""Without one, `git commit` in a hook fails; here hooks have one."""


class Made(msgspec.Struct, frozen=True):
    """What one create made.

    Attributes:
        problem: All that was said when it failed; None where it did not.
        seconds: Seconds that it took.
        tree: What is in the output folder.
        said: What the template's hooks printed, as far as it is known.
    """

    problem: str | None
    seconds: float
    tree: Tree = {}
    said: str = ""


async def create(environment: Path, location: str, folder: Path, *, directory: str | None = None) -> Made:
    """Create a project with cookiecutter's defaults.

    Args:
        environment: Its Python has cookiecutter.
        location: What the command takes as its template.
        folder: A folder that does not exist; its `output` will hold the project.
        directory: Which of the location's folders; its own choice when None.
    """
    home, output = folder / "home", folder / "output"
    for made in (home, output):
        made.mkdir(parents=True)
    (home / ".gitconfig").write_text(IDENTITY)
    python = environment / "bin" / "python"
    command: list[str | Path] = [python, "-m", "cookiecutter", "--no-input", "--output-dir", output, location]
    command += ["--directory", directory] if directory else []
    chosen = {
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "VIRTUAL_ENV": str(environment),
        "PATH": os.pathsep.join([str(environment / "bin"), os.environ.get("PATH", os.defpath)]),
        "TMPDIR": str(home),
        # What it imports of a template is not compiled into the template; what is installed was compiled long before.
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    environ = {name: value for name, value in peers.environment(**chosen).items() if name != "COOKIECUTTER_CONFIG"}
    started = time.perf_counter()
    try:
        ended = await run(command, env=environ, seconds=SECONDS, cwd=folder)
    except DynamoError as error:
        return Made(str(error), time.perf_counter() - started)
    seconds = time.perf_counter() - started
    if ended.code != 0:
        return Made(f"{ended.stdout.decode(errors='replace')}\n{ended.stderr.decode(errors='replace')}", seconds)
    return Made(None, seconds, comparing.tree(output, location))
