"""An inert template does no harm, and none of its hooks runs."""

from __future__ import annotations

import pytest

from attacks.attack import Attack
from attacks.checking import check, every_attack_in
from people import ONLY_ROOT

pytestmark = ONLY_ROOT


@every_attack_in("inert-root", "inert-user")
def test_an_inert_template_does_no_harm(name: str, attack: Attack, tmp_path_factory: pytest.TempPathFactory) -> None:
    check(name, attack, tmp_path_factory)
