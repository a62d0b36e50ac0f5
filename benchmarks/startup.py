"""How long does a command take to start? As a person starts it, nothing running, against the `cookiecutter` command."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from benchmarks import peers, templates
from benchmarks.measuring import Claim, Result, Subject, compare, interleave, times
from benchmarks.served import COMMAND

PROGRAM = Path(sys.executable).with_name("dynamo-mcp")
CREATE = "dynamo-mcp create"
NAME = "measured"
MOST_TIMES = 1.3
"""How many times as long as the command a cold create may take."""


async def measure(folder: Path, *, quick: bool) -> Result:
    """Measure it.

    Args:
        folder: An empty folder.
        quick: Few rounds.
    """
    home, plain, template = folder / "command-home", await peers.plain(folder.parent), folder / NAME
    home.mkdir()
    templates.write(template)
    more = {"DYNAMO_MCP_HOME": str(folder / "home"), "PYTHONPYCACHEPREFIX": str(folder.parent / "bytecode")}

    async def ours(word: str, _path: Path) -> None:
        await peers.do([PROGRAM, word], **more)

    async def create(path: Path) -> None:
        answers = [word for name, value in templates.ANSWERS.items() for word in ("--set", f"{name}={value}")]
        await peers.do([PROGRAM, "create", NAME, "--output", path, *answers], **more)

    async def command(path: Path) -> None:
        await peers.cookiecutter(plain, template, path, home=home)

    await peers.do([PROGRAM, "add", template, "--name", NAME], **more)
    subjects = [
        Subject(CREATE, create),
        Subject(COMMAND, command),
        *(Subject(f"dynamo-mcp {word}", partial(ours, word)) for word in ("--version", "--help", "list", "doctor")),
    ]
    # Everything has run once, so that bytecode and the disk's cache are warm for all.
    (folder / "first").mkdir()
    (folder / "runs").mkdir()
    await interleave(subjects, rounds=1, folder=folder / "first")
    made, theirs = (folder / "first" / f"run-0-{place}" for place in (0, 1))
    if templates.contents(made) != templates.contents(theirs):
        raise RuntimeError(f"Dynamo and cookiecutter make different projects: {made}, {theirs}")
    samples = await interleave(subjects, rounds=1 if quick else 25, folder=folder / "runs")
    found = times(samples[1], samples[0])
    claim = Claim(
        f"a cold create takes at most {MOST_TIMES} times what the {COMMAND} takes",
        f"{found:.2f} times",
        found <= MOST_TIMES,
    )
    compared = compare("one command, nothing running, environment present", samples, baseline=COMMAND)
    return Result("startup", (compared,), claims=(claim,))
