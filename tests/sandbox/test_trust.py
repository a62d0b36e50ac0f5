"""What may run, for every trust, every tier, and templates of our own and of strangers."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from dynamo_mcp.errors import Refused
from dynamo_mcp.sandbox.trust import Permission, permit, possible
from dynamo_mcp.types import Confinement, How, Location, Need, Needs, Template, Tier, Trust

ADVICE = "the sandbox is not installed"
COMMAND = "install-the-sandbox --now"

TABLE: list[tuple[Trust, Tier, bool, Permission | None]] = [
    ("full", "strong", False, Permission("full", confined=False, tier="none")),
    ("full", "reduced", False, Permission("full", confined=False, tier="none")),
    ("full", "none", False, Permission("full", confined=False, tier="none")),
    ("full", "strong", True, Permission("full", confined=False, tier="none")),
    ("full", "reduced", True, Permission("full", confined=False, tier="none")),
    ("full", "none", True, Permission("full", confined=False, tier="none")),
    ("contained", "strong", False, Permission("contained", confined=True, tier="strong")),
    ("contained", "reduced", False, None),
    ("contained", "none", False, None),
    ("contained", "strong", True, Permission("contained", confined=True, tier="strong")),
    ("contained", "reduced", True, Permission("contained", confined=False, tier="none")),
    ("contained", "none", True, Permission("contained", confined=False, tier="none")),
    ("inert", "strong", False, Permission("inert", confined=True, tier="strong")),
    ("inert", "reduced", False, Permission("inert", confined=True, tier="reduced")),
    ("inert", "none", False, None),
    ("inert", "strong", True, Permission("inert", confined=True, tier="strong")),
    ("inert", "reduced", True, Permission("inert", confined=True, tier="reduced")),
    ("inert", "none", True, None),
]


def template(*, bundled: bool) -> Template:
    location = Location("local", "/somewhere", bundled=bundled)
    return Template("somebody", "", location, Path("/x"), Path("/x"), digest="0" * 64, last_updated="")


def confinement(tier: Tier, command: str | None = COMMAND) -> Confinement:
    return Confinement(tier) if tier == "strong" else Confinement(tier, advice=ADVICE, command=command)


@pytest.mark.parametrize(("trust", "tier", "bundled", "permission"), TABLE)
def test_what_may_run_depends_on_trust_tier_and_whose_template_it_is(
    trust: Trust, tier: Tier, *, bundled: bool, permission: Permission | None
) -> None:
    if permission is not None:
        assert permit(template(bundled=bundled), trust, confinement(tier)) == permission
        return
    with pytest.raises(Refused) as raised:
        permit(template(bundled=bundled), trust, confinement(tier))
    assert "`somebody`" in raised.value.message
    assert f"`{tier}`" in raised.value.message
    assert raised.value.message.endswith(f": {ADVICE}")
    assert f"trust `{trust}`" in raised.value.message
    assert raised.value.hint.startswith(f"run `{COMMAND}`, and try again; or a person can choose in a shell: ")
    assert "`dynamo-mcp trust somebody full`" in raised.value.hint
    assert ("`dynamo-mcp trust somebody inert`" in raised.value.hint) == (tier == "reduced")


def test_where_no_command_brings_confinement_the_person_s_choice_is_the_one_that_is_offered() -> None:
    with pytest.raises(Refused) as raised:
        permit(template(bundled=False), "contained", confinement("none", None))
    assert raised.value.hint.startswith("a person can choose in a shell: `dynamo-mcp trust somebody full` (or ")


@pytest.mark.parametrize("tier", ["strong", "reduced", "none"])
def test_what_is_told_to_be_possible_on_a_machine_is_what_a_stranger_s_template_is_permitted(tier: Tier) -> None:
    permitted = {trust for trust, of, bundled, permission in TABLE if of == tier and not bundled and permission}
    assert set(possible(tier)) == permitted


def test_the_table_is_whole() -> None:
    assert len({row[:3] for row in TABLE}) == len(TABLE) == 3 * 3 * 2


@pytest.mark.parametrize("tier", ["strong", "reduced", "none"])
def test_a_stranger_s_hooks_never_run_unconfined_unless_a_person_said_full(tier: Tier) -> None:
    for trust in ("inert", "contained"):
        try:
            permission = permit(template(bundled=False), trust, confinement(tier))
        except Refused:
            continue
        assert permission.confined


@pytest.mark.parametrize(
    ("trust", "tier", "how", "person", "allowed"),
    [
        ("contained", "strong", "index", True, True),
        ("contained", "strong", "named", False, True),
        ("inert", "strong", "index", True, True),
        ("inert", "reduced", "index", True, False),
        ("inert", "reduced", "table", False, True),
        ("full", "strong", "index", True, False),
        ("full", "none", "named", False, False),
        ("full", "strong", "named", True, True),
        ("full", "strong", "table", False, True),
    ],
)
def test_packages_that_no_person_vouches_for_run_in_the_sandbox_or_not_at_all(
    trust: Trust, tier: Tier, how: How, *, person: bool, allowed: bool
) -> None:
    needs = Needs((Need("odd-thing>=1", "odd_thing", "hooks/x.py, line 3", how),))
    strange = msgspec.structs.replace(template(bundled=False), needs=needs, named_by_person=person)
    if allowed:
        assert permit(strange, trust, confinement(tier)).trust == trust
        return
    with pytest.raises(Refused) as raised:
        permit(strange, trust, confinement(tier))
    assert "`odd-thing>=1` for module `odd_thing` (hooks/x.py, line 3)" in raised.value.message
    assert "`dynamo-mcp remove somebody`" in raised.value.hint
    assert "--requirement 'odd-thing>=1'" in raised.value.hint
