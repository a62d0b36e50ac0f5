"""Which attacks are there? Every one once, in the order of the table."""

from __future__ import annotations

from attacks.attack import Attack
from attacks.corpus import amounts, network, output, processes, reading, rendering, writing

ATTACKS: tuple[Attack, ...] = (
    *reading.ATTACKS,
    *writing.ATTACKS,
    *network.ATTACKS,
    *processes.ATTACKS,
    *amounts.ATTACKS,
    *output.ATTACKS,
    *rendering.ATTACKS,
)
