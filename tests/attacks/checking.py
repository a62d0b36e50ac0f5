"""How is an attack's verdict checked? The same in every configuration."""

from __future__ import annotations

import pytest

from attacks.attack import Attack
from attacks.configurations import CONFIGURATIONS, expected, results


def every_attack_in(*names: str) -> pytest.MarkDecorator:
    """Parametrise a test by configuration and attack."""
    return pytest.mark.parametrize(
        ("name", "attack"),
        [
            pytest.param(name, attack, id=f"{name}-{attack.name}")
            for name in names
            for attack in CONFIGURATIONS[name].attacks
        ],
    )


def check(name: str, attack: Attack, temporary: pytest.TempPathFactory) -> None:
    found = results(name, temporary)
    assert found.tier in CONFIGURATIONS[name].tiers, found.mechanisms
    verdict, why = found.verdicts[attack.name]
    assert verdict in expected(name, attack, found.tier), why
