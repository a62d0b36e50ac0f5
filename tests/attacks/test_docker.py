"""Where no namespaces can be made nothing gets through either: it is confined otherwise, or refused."""

from __future__ import annotations

import pytest

from attacks.attack import Attack
from attacks.checking import check, every_attack_in
from people import ONLY_ROOT

pytestmark = ONLY_ROOT


@every_attack_in("docker-root", "docker-user")
def test_a_template_does_no_harm_where_there_are_no_namespaces(
    name: str, attack: Attack, tmp_path_factory: pytest.TempPathFactory
) -> None:
    check(name, attack, tmp_path_factory)


@every_attack_in("alone-user")
def test_what_landlock_and_seccomp_stop_by_themselves_is_known(
    name: str, attack: Attack, tmp_path_factory: pytest.TempPathFactory
) -> None:
    check(name, attack, tmp_path_factory)


@every_attack_in("nothing-root", "nothing-user")
def test_where_nothing_can_be_confined_nothing_of_a_template_runs(
    name: str, attack: Attack, tmp_path_factory: pytest.TempPathFactory
) -> None:
    check(name, attack, tmp_path_factory)
