"""`SECURITY.md` says of each tier what it stops, and that is what came of the attacks."""

from __future__ import annotations

from pathlib import Path

import pytest

from attacks.configurations import results
from attacks.corpus import ATTACKS
from attacks.elsewhere import ELSEWHERE
from attacks.table import SHOWN, replaced, table
from people import ONLY_ROOT

SECURITY = Path(__file__).parents[2] / "SECURITY.md"


@ONLY_ROOT
def test_the_table_of_what_is_stopped_is_what_came_of_the_attacks(tmp_path_factory: pytest.TempPathFactory) -> None:
    text = SECURITY.read_text("utf-8")
    found = {name: results(name, tmp_path_factory) for name in SHOWN}
    assert text == replaced(text, table(found)), "run `PYTHONPATH=tests uv run python -m attacks`"


def test_every_attack_has_a_name_and_a_line_of_its_own() -> None:
    assert len({attack.name for attack in ATTACKS}) == len({attack.tries for attack in ATTACKS}) == len(ATTACKS)


@pytest.mark.parametrize(("attack", "test"), ELSEWHERE.items(), ids=str)
def test_what_is_tried_elsewhere_is_tried_there(attack: str, test: str) -> None:
    file, name = test.split("::")
    assert f"def {name}(" in (Path(__file__).parents[1] / file).read_text("utf-8"), attack
