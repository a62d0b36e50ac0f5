"""What can this machine confine, as whom do jobs commit, and has that changed? A person may mend it meanwhile."""

from __future__ import annotations

from collections.abc import Callable

import anyio

from dynamo_mcp.errors import Refused
from dynamo_mcp.sandbox.git_identity import git_identity
from dynamo_mcp.sandbox.tier import probe
from dynamo_mcp.sandbox.trust import Permission
from dynamo_mcp.settings import Settings
from dynamo_mcp.types import Confinement

AGAIN_SECONDS = 5.0
"""Between two probes of a machine that could do better."""


class Confining:
    """What is known of the machine of one server."""

    def __init__(self, settings: Settings, again_seconds: float = AGAIN_SECONDS) -> None:
        """Ask nothing yet."""
        self._settings = settings
        self._again_seconds = again_seconds
        self._once = anyio.Lock()
        self._asking = anyio.Lock()
        self._confinement: Confinement | None = None
        self._identity: tuple[str, str] | None = None
        self._probed = 0.0

    async def confinement(self) -> Confinement:
        """Return what this machine offers, as it was when it was last probed."""
        if self._confinement is not None:
            return self._confinement  # a lock would have each list of templates wait a turn of the loop
        async with self._once:
            return self._confinement or await self._probe()

    @property
    def probed(self) -> bool:
        """It is known what this machine offers."""
        return self._confinement is not None

    async def permitted(self, decide: Callable[[Confinement], Permission]) -> Permission:
        """Decide by what is known of this machine, and refuse by what is there now.

        Args:
            decide: Returns what may run, or raises Refused.

        Raises:
            Refused: This machine can't confine it.
        """
        try:
            return decide(await self.confinement())
        except Refused:
            return decide(await self._anew())

    async def git_identity(self) -> tuple[str, str]:
        """Return the name and email that Git in hooks gets."""
        async with self._asking:
            if self._identity is None:
                self._identity = await git_identity(self._settings)
            return self._identity

    async def _anew(self) -> Confinement:
        """Return what this machine offers now, where that may be better than what is known."""
        async with self._once:
            known = self._confinement
            if known and (known.tier == "strong" or anyio.current_time() < self._probed + self._again_seconds):
                return known
            return await self._probe()

    async def _probe(self) -> Confinement:
        self._confinement = await probe(self._settings, python=self._settings.python)
        self._probed = anyio.current_time()
        return self._confinement
