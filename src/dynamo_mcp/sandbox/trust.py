"""How much of this template may run here, and how far is it confined? Never less than was asked for, silently."""

from __future__ import annotations

import msgspec

from dynamo_mcp.errors import Refused
from dynamo_mcp.sandbox.grants import command
from dynamo_mcp.types import Confinement, Need, Template, Tier, Trust

_SUFFICIENT: dict[Trust, tuple[Tier, ...]] = {
    "inert": ("strong", "reduced"),
    "contained": ("strong",),
    "full": ("strong", "reduced", "none"),
}
"""Which tiers give what each trust needs."""


LEVELS: tuple[Trust, ...] = ("inert", "contained", "full")
"""From what lets the least run to what lets all run."""


class Permission(msgspec.Struct, frozen=True):
    """What may run.

    Attributes:
        confined: It runs in the sandbox; otherwise as any program of the user.
        tier: How well that confines it: `none` when it is not confined.
        grants: What it gets there besides, by a person's word.
    """

    trust: Trust
    confined: bool
    tier: Tier
    grants: tuple[str, ...] = ()

    @property
    def sandboxed(self) -> bool:
        """All that runs is in the sandbox, the renderer too: a package that nobody vouches for can do no harm."""
        return self.confined and self.tier == "strong"


def possible(tier: Tier) -> tuple[Trust, ...]:
    """Return how much of any template may run on a machine of a tier, the least first."""
    return tuple(trust for trust, tiers in _SUFFICIENT.items() if tier in tiers)


def permit(template: Template, trust: Trust, confinement: Confinement) -> Permission:
    """Decide.

    Args:
        template: What would run.
        trust: How much of it the caller wants to run.
        confinement: What this machine offers.

    Raises:
        Refused: This machine can't confine it as that trust needs, or packages that nobody vouches for would run as the
            user.
    """
    permission = _decide(template, trust, confinement)
    if strange := () if permission.sandboxed else unvouched(template):
        raise _strange(template, permission, strange)
    return permission


def raised(template: Template) -> bool:
    """Tell whether a person gave a template more than every template gets."""
    return template.trust == "full" or bool(template.grants)


def lowered(template: Template) -> Template:
    """Return a template with what every template gets."""
    return msgspec.structs.replace(template, trust="contained", grants=(), trusted_for=None)


def unvouched(template: Template) -> tuple[Need, ...]:
    """Return the packages of a template that are there by no person's word: guessed, or named by a program."""
    return tuple(
        need
        for need in template.needs.requirements
        if need.how == "index" or (need.how == "named" and not template.named_by_person)
    )


def _decide(template: Template, trust: Trust, confinement: Confinement) -> Permission:
    if trust == "full":
        return Permission("full", confined=False, tier="none")
    if trust in possible(confinement.tier):
        grants = template.grants if trust == "contained" else ()
        return Permission(trust, confined=True, tier=confinement.tier, grants=grants)
    if trust == "contained" and template.location.bundled:
        # It is part of this program, and no less trusted than it.
        return Permission("contained", confined=False, tier="none")
    raise _unconfinable(template, trust, confinement)


def _unconfinable(template: Template, trust: Trust, confinement: Confinement) -> Refused:
    what = "its Jinja" if trust == "inert" else "its hooks and extensions"
    better = f"run `{confinement.command}`, and try again; or a" if confinement.command else "a"
    instead = f"`{command(template.name, 'inert')}` lets it run no hooks and no extensions, "
    return Refused(
        f"Template `{template.name}` is a stranger's program, and this machine can't confine {what} as trust `{trust}` "
        f"needs (tier `{confinement.tier}`): {confinement.advice}",
        hint=f"{better} person can choose in a shell: {instead if confinement.tier == 'reduced' else ''}"
        f"`{command(template.name, 'full')}` (or `--trust full`, for one command) lets it run as any program of yours, "
        "which is what plain cookiecutter does",
    )


def permit_preview(template: Template, trust: Trust, confinement: Confinement) -> Permission:
    """Decide for what is only looked at: it is confined wherever this machine can, also where it would not have to be.

    Raises:
        Refused: As `permit`.
    """
    return permit(template, "contained" if trust == "full" and confinement.tier == "strong" else trust, confinement)


def _strange(template: Template, permission: Permission, needs: tuple[Need, ...]) -> Refused:
    told = ", ".join(f"`{need.requirement}` for {need.told}" for need in needs)
    named = " ".join(f"--requirement '{need.requirement}'" for need in needs)
    return Refused(
        f"No person has vouched for packages of template `{template.name}`, and at trust `{permission.trust}` (tier "
        f"`{permission.tier}`) they would run outside the sandbox: {told}. Anybody may publish a package under such a "
        "name",
        hint="if they are the right ones, say so in a shell: "
        f"`dynamo-mcp remove {template.name}`, and add it again with `{named}`; or let them run where "
        f"they are confined: `{command(template.name, 'contained')}`",
    )
