"""When does a server have a template compiled? After a create that did without, when nobody waits for a renderer.

A first create needs its project, and not what would help a later one: it compiles what it renders, and is done with a
job less. The template is compiled afterwards, by a job that is told no answers: when no renderer has worked for a
while, or, if it is asked for again, when one is idle beside another one. Where they never are, a create has it done
first in the end, as each first one of a command does.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import msgspec
from anyio.abc import TaskGroup

from dynamo_mcp import background
from dynamo_mcp.jobs import Job

QUIET_SECONDS = 0.5
"""Seconds for which no renderer has worked, before one compiles what was asked for once."""
LOOK_SECONDS = 0.1
"""Seconds after which it is looked again whether a renderer is idle."""
MOST = 64
"""Templates that wait to be compiled; the one that was asked for least recently is left out."""
PATIENCE = 10
"""Creates that do without, before one has its template compiled first."""

Compile = Callable[[Path, Job, float], Awaitable[bool]]


class _Wanted(msgspec.Struct):
    job: Job
    creates: int = 0


class Compiling:
    """What a server has still to compile: one template at a time."""

    def __init__(self, compile_aside: Compile, tasks: TaskGroup) -> None:
        """Want nothing yet.

        Args:
            compile_aside: Has a template compiled and kept at a place by an idle renderer; given the seconds for which
                none may have worked, with 0 for one that is idle beside another. Tells whether there was one.
            tasks: Runs it; when it is cancelled, that is over.
        """
        self._compile = compile_aside
        self._tasks = tasks
        self._wanted: OrderedDict[Path, _Wanted] = OrderedDict()
        self._runs = False

    def is_due(self, place: Path) -> bool:
        """Tell whether a create has to have its template compiled first; of several at once, one."""
        wanted = self._wanted.get(place)
        if wanted is None or wanted.creates < PATIENCE:
            return False
        del self._wanted[place]
        return True

    def want(self, place: Path, job: Job) -> None:
        """Have a template compiled that a project was just made from without.

        Args:
            place: Where what comes of it is kept.
            job: What was done, told no answers.
        """
        wanted = self._wanted.setdefault(place, _Wanted(job))
        wanted.creates += 1
        self._wanted.move_to_end(place)
        if len(self._wanted) > MOST:
            self._wanted.popitem(last=False)
        if not self._runs:
            self._runs = True
            background.start(self._tasks, "compiling templates", self._run)

    async def _run(self) -> None:
        try:
            while self._wanted:
                await anyio.sleep(LOOK_SECONDS)
                # What was asked for last is likely asked for next.
                for place, wanted in reversed(self._wanted.copy().items()):
                    quiet = QUIET_SECONDS if wanted.creates == 1 else 0.0
                    if await self._compile(place, wanted.job, quiet):
                        self._wanted.pop(place, None)
                        break
        finally:
            self._runs = False
