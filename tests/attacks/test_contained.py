"""At tier `strong` nothing gets through, whoever runs the server."""

from __future__ import annotations

import os
import sys

import pytest

from attacks.attack import Attack
from attacks.checking import check, every_attack_in
from attacks.configurations import results
from people import ONLY_ROOT

pytestmark = ONLY_ROOT

SUPPORTED = ("x86_64", "aarch64")


@every_attack_in("contained-root", "contained-user")
def test_a_contained_template_does_no_harm(name: str, attack: Attack, tmp_path_factory: pytest.TempPathFactory) -> None:
    check(name, attack, tmp_path_factory)


@pytest.mark.skipif(
    not os.environ.get("CI") or sys.platform != "linux" or os.uname().machine not in SUPPORTED,
    reason="only CI has to have everything",
)
@pytest.mark.parametrize("name", ["contained-root", "contained-user"])
def test_where_it_counts_the_strong_tier_was_exercised(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    found = results(name, tmp_path_factory)
    assert found.tier == "strong"
    assert {"bubblewrap", "seccomp"} <= set(found.mechanisms)
