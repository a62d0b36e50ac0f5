"""As whom, on what machine and how far confined does the corpus run? Each configuration once, whoever asks first."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Literal

import msgspec
import pytest
from filelock import FileLock

from attacks.attack import Attack, Verdict
from attacks.corpus import ATTACKS
from attacks.running import Results
from homes import base_environments
from homes import give as give_folder
from people import as_user, give

HERE = Path(__file__).resolve().parent
SECONDS = 400.0
FIRST_USER, USERS = 100_000, 1_000_000


class Configuration(msgspec.Struct, frozen=True):
    """One way to run the corpus.

    Attributes:
        shown: Its column of the table, where it has one.
        how: As `running.py` takes it.
        user: An ordinary user runs it.
        tried: Every attack; or, where no hook runs, all of the others and those of `HOOKS`; or, where nothing runs or
            another configuration has tried the same, `FEW`.
        lacks: What the machine refuses: no namespaces, as in default Docker; or no Landlock either.
        tiers: What the machine may be found to be.
    """

    shown: str | None
    how: Literal["plain", "contained", "inert", "alone"]
    user: bool
    lacks: tuple[Literal["namespaces", "landlock"], ...] = ()
    tiers: tuple[str, ...] = ("none",)
    tried: Literal["all", "inert", "few"] = "all"

    @property
    def attacks(self) -> tuple[Attack, ...]:
        """What is tried."""
        if self.tried == "all":
            return ATTACKS
        return tuple(
            attack
            for attack in ATTACKS
            if (attack.name in FEW if self.tried == "few" else not attack.hook or attack.name in HOOKS)
        )


HOOKS = ("reads-a-key", "writes", "connects", "survives")
FEW = (*HOOKS, "default-is-code", "file-is-code", "extension-is-code", "asks-before", "links-to-a-key", "format")

CONFIGURATIONS = {
    "plain-root": Configuration(None, "plain", user=False),
    "plain-user": Configuration(None, "plain", user=True),
    "contained-root": Configuration("root", "contained", user=False, tiers=("strong",)),
    "contained-user": Configuration("user", "contained", user=True, tiers=("strong",)),
    "docker-root": Configuration("Docker", "contained", user=False, lacks=("namespaces",), tiers=("strong",)),
    "docker-user": Configuration(None, "contained", user=True, lacks=("namespaces",), tiers=("reduced",), tried="few"),
    "inert-root": Configuration(
        None, "inert", user=False, lacks=("namespaces",), tiers=("strong", "reduced"), tried="few"
    ),
    "inert-user": Configuration("inert", "inert", user=True, lacks=("namespaces",), tiers=("reduced",), tried="inert"),
    "alone-user": Configuration("alone", "alone", user=True, lacks=("namespaces",), tiers=("reduced",)),
    "nothing-root": Configuration(None, "contained", user=False, lacks=("namespaces", "landlock"), tried="few"),
    "nothing-user": Configuration(None, "inert", user=True, lacks=("namespaces", "landlock"), tried="few"),
}


def expected(name: str, attack: Attack, tier: str) -> set[Verdict]:
    """Return what must come of an attack, where the machine has turned out to offer a tier."""
    configuration = CONFIGURATIONS[name]
    if configuration.how == "plain":
        return {"stopped"} if attack.fixed or (attack.root_only and configuration.user) else {"worked"}
    if name == "docker-root":
        return {attack.by_user}
    if configuration.how == "alone":
        return {attack.alone}
    if configuration.how == "inert" and tier != "none":
        return {"not run"} if attack.hook and not attack.links else {"stopped"}
    # Much is refused before anybody asks for a project: no template with a link that leads out of it is ever added.
    return {"stopped"} if tier == "strong" else {"refused", "stopped"}


def results(name: str, temporary: pytest.TempPathFactory) -> Results:
    """Return what came of the corpus in one configuration."""
    shared = temporary.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent  # of all workers of one session
    kept = shared / f"attacks-{name}.json"
    with FileLock(f"{kept}.lock"):
        if not kept.exists():
            root = temporary.mktemp(name)
            (root / "home").mkdir()
            give_folder(base_environments(temporary), root / "home" / "bases", shared=False)
            run(name, root, kept)
        return msgspec.json.decode(kept.read_bytes(), type=Results)


def run(name: str, root: Path, kept: Path) -> None:
    """Run the corpus in a folder that has `home/bases`; what came of it is in the file `kept`."""
    configuration = CONFIGURATIONS[name]
    (root / "own").mkdir()
    written = root / "results.json"
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "attacks.running",
        configuration.how,
        root,
        root / "home",
        written,
    ]
    command += [attack.name for attack in configuration.attacks]
    if "landlock" in configuration.lacks:
        command = [sys.executable, HERE / "refusing_landlock.py", *command]
    if "namespaces" in configuration.lacks:
        command = [sys.executable, HERE.parent / "refusing.py", *command]
    root.chmod(0o755)
    if name == "docker-root":
        # A container has no folder of root's on the way: `/` and what lies in it is for all.
        command = [*as_user(command, root, user=0)]
    if configuration.user:
        # One of its own: limits count all processes of a user, and other tests run at the same time.
        user = FIRST_USER + secrets.randbelow(USERS)
        give(root, user=user)
        command = [*as_user(command, root, user=user)]
    done = subprocess.run(
        command,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(root / "own"),
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(HERE.parent),
            "CANARY": f"canary-{secrets.token_hex(16)}",
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stderr.decode()
    shutil.copy(written, kept)
