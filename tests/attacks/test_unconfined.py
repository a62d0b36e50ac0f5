"""Every attack works where nothing confines it: else its canary would prove nothing."""

from __future__ import annotations

import pytest

from attacks.attack import Attack
from attacks.checking import check, every_attack_in
from people import ONLY_ROOT

pytestmark = ONLY_ROOT


@every_attack_in("plain-root", "plain-user")
def test_plain_cookiecutter_lets_it_through(
    name: str, attack: Attack, tmp_path_factory: pytest.TempPathFactory
) -> None:
    check(name, attack, tmp_path_factory)
