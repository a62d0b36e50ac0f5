"""The official conformance suite passes against our server, our transport and our guards, in both eras."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import anyio
import pytest

from conformance import suite
from conformance.scenarios import BEYOND, REQUIRED, SKIPPED

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Found: TypeAlias = dict[str, list[suite.Check]]

_UNSOUND = {"FAILURE", "WARNING"}

Outcome: TypeAlias = "Callable[[str], Found]"


@pytest.fixture(scope="session")
def node() -> Path:
    found = suite.node()
    if found is None:
        reason = "the suite needs Node.js: `uv sync --group conformance`"
        assert not os.environ.get("CI"), reason
        pytest.skip(reason)
    return found


@pytest.fixture(scope="session")
def program(node: Path) -> Path:
    return anyio.run(suite.install, node)


@pytest.fixture(scope="session")
def outcome(node: Path, program: Path, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """Runs the suite once for each revision: most of a scenario's time would be the start of Node.js."""
    outcomes: dict[str, Found] = {}

    def of(revision: str) -> Found:
        if revision not in outcomes:
            folder = tmp_path_factory.mktemp(f"conformance-{revision}")
            outcomes[revision] = anyio.run(partial(suite.run, node, program, revision, folder))
        return outcomes[revision]

    return of


@pytest.mark.parametrize(
    ("revision", "scenario"),
    [(revision, each) for revision in REQUIRED for each in REQUIRED[revision] + BEYOND[revision]],
)
def test_a_scenario_passes_without_a_failure_or_a_warning(revision: str, scenario: str, outcome: Outcome) -> None:
    checks = outcome(revision)[scenario]
    unsound = [check for check in checks if check.status in _UNSOUND]
    assert not unsound, "\n".join(f"{check.status} {check.id}: {check.error_message}" for check in unsound)
    assert any(check.status == "SUCCESS" for check in checks)


@pytest.mark.parametrize(
    ("revision", "scenario"), [(revision, each) for revision in SKIPPED for each in SKIPPED[revision]]
)
def test_a_scenario_is_not_tried_by_the_suite_itself(revision: str, scenario: str, outcome: Outcome) -> None:
    assert {check.status for check in outcome(revision)[scenario]} == {"SKIPPED"}


@pytest.mark.parametrize("revision", REQUIRED)
def test_no_scenario_of_the_suite_is_left_out(revision: str, node: Path, program: Path, outcome: Outcome) -> None:
    required, _, others = anyio.run(suite.listed, node, program, revision).partition("Run and reported")
    server, _, _ = required.partition("Client scenarios")
    scenarios = [line.removeprefix("  - ") for line in server.splitlines() if line.startswith("  - ")]
    assert REQUIRED[revision] == scenarios
    unscored = {line.split()[1] for line in others.splitlines() if line.endswith("[server]")}
    assert {*BEYOND[revision], *SKIPPED[revision]} == unscored
    assert outcome(revision).keys() == {*scenarios, *unscored}
