"""On what was it measured?"""

from __future__ import annotations

import os
import platform
from importlib.metadata import version

import msgspec

from benchmarks import peers
from dynamo_mcp.requirements import COOKIECUTTER


class Machine(msgspec.Struct, frozen=True):
    """What the times depend on.

    Attributes:
        cores: Processors that this process may use.
        peers: The versions of the programs that are measured beside ours.
        load: The average number of busy processes in the minute before.
    """

    cores: int
    architecture: str
    kernel: str
    python: str
    uv: str
    cookiecutter: str
    peers: tuple[str, ...]
    load: float

    def __str__(self) -> str:
        """Return one line."""
        beside = ", ".join(self.peers).replace("==", " ")
        return (
            f"{self.cores} cores ({self.architecture}), {self.kernel}, Python {self.python}, uv {self.uv}, "
            f"cookiecutter {self.cookiecutter}, {beside}; load before the start: {self.load:.1f}"
        )


def describe() -> Machine:
    """Look at this machine."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Machine(
        cores,
        platform.machine(),
        f"{platform.system()} {platform.release()}",
        platform.python_version(),
        version("uv"),
        COOKIECUTTER.partition("==")[2],
        (peers.VIRTUALENV, peers.COPIER, peers.CRUFT),
        os.getloadavg()[0],
    )
