"""What can this machine confine, and has that changed? Probed once, and again only before something is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from dynamo_mcp.confining import Confining
from dynamo_mcp.errors import Refused
from dynamo_mcp.sandbox.trust import Permission
from dynamo_mcp.settings import load
from dynamo_mcp.types import Confinement

pytestmark = pytest.mark.anyio

ALLOWED = Permission("contained", confined=True, tier="strong")


def allow(_: Confinement) -> Permission:
    return ALLOWED


def refuse_below_strong(confinement: Confinement) -> Permission:
    if confinement.tier != "strong":
        raise Refused("It can't be confined", hint="mend the machine")
    return ALLOWED


class Machine:
    """One whose bubblewrap counts how often it is tried, and fails until it is mended."""

    def __init__(self, root: Path) -> None:
        (root / "home").mkdir(mode=0o700)  # nor can a user of their own run root's jobs
        (root / "bin").mkdir()
        self._tried = root / "tried"
        self._bubblewrap = root / "bin" / "bwrap"
        self._write("exit 1")
        self.settings = load({"PATH": str(root / "bin")}, home=root / "home")

    def _write(self, end: str) -> None:
        self._bubblewrap.write_text(f"#!/bin/sh\necho >> {self._tried}\n{end}\n")
        self._bubblewrap.chmod(0o755)

    def mend(self) -> None:
        self._write('exec /usr/bin/bwrap "$@"')

    @property
    def probes(self) -> int:
        return len(self._tried.read_text().splitlines())


async def test_what_needs_no_refusal_waits_for_no_other_probe(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    confining = Confining(machine.settings, again_seconds=0)
    for _ in range(3):
        assert (await confining.confinement()).tier != "strong"
        assert await confining.permitted(allow) == ALLOWED
    assert machine.probes == 1


async def test_what_would_be_refused_is_asked_of_the_machine_again(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    confining = Confining(machine.settings, again_seconds=0)
    with pytest.raises(Refused):
        await confining.permitted(refuse_below_strong)
    assert machine.probes == 2
    machine.mend()
    assert await confining.permitted(refuse_below_strong) == ALLOWED
    assert machine.probes == 3
    for _ in range(3):
        assert await confining.permitted(refuse_below_strong) == ALLOWED
    assert machine.probes == 3
    assert (await confining.confinement()).tier == "strong"


async def test_of_many_refusals_in_a_row_few_ask_again(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    confining = Confining(machine.settings, again_seconds=3600)
    for _ in range(3):
        with pytest.raises(Refused):
            await confining.permitted(refuse_below_strong)
    assert machine.probes == 1
