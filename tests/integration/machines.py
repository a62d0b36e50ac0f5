"""Who runs a server, and on what machine? Whoever runs the tests; and, where that is root, others too."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
from mcp import Client, StdioServerParameters

from integration.places import SECONDS, Place
from people import MOVABLE, as_user, give, in_zone

REFUSING = Path(__file__).parents[1] / "refusing.py"


class Machine(msgspec.Struct, frozen=True):
    """A machine, and who uses it.

    Attributes:
        command: Returns the command that runs another there; it is given the folder that it works in.
        mechanism: What confines templates first of all.
        given: The folder is the user's.
    """

    command: Callable[[Sequence[str | Path], Path], Sequence[str | Path]]
    mechanism: str = "bubblewrap"
    given: bool = False


def _in_docker(command: Sequence[str | Path], folder: Path) -> Sequence[str | Path]:
    return as_user([sys.executable, REFUSING, *command], folder, user=0)


HERE = "whoever runs the tests"
ORDINARY = "an ordinary user"
DOCKER = "root in default Docker"
MACHINES = {HERE: Machine(lambda command, _: command)}
if os.name != "nt" and os.getuid() == 0:
    MACHINES |= {ORDINARY: Machine(as_user, given=True), DOCKER: Machine(_in_docker, "user")}


@asynccontextmanager
async def served(place: Place, machine: Machine, **limits: int) -> AsyncIterator[Client]:
    """Serve a place there, over stdio; in another time zone than this machine's, where that can be.

    Args:
        place: Where; what the server is to find there is there already. It shares no file if it is given to a user.
        machine: Who serves, and on what.
        limits: Settings, by their variable without its prefix.
    """
    place.outputs.mkdir(exist_ok=True)
    place.root.chmod(0o755)
    if machine.given:
        give(place.root)
    started = machine.command([sys.executable, "-m", "dynamo_mcp"], place.root)
    command, *arguments = map(str, in_zone(started, place.root) if MOVABLE else started)
    environment = {**place.environment, "HOME": str(place.root)}
    environment |= {f"DYNAMO_MCP_{name}": str(value) for name, value in limits.items()}
    server = StdioServerParameters(command=command, args=arguments, env=environment, cwd=str(place.root))
    async with Client(server, mode="2026-07-28", read_timeout_seconds=SECONDS) as client:
        yield client
