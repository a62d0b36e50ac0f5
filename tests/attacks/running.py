"""Runs attacks in one configuration, and writes what came of each.

Started as `python -m attacks.running HOW ROOT HOME RESULTS ATTACK…`.
HOW is `plain` (cookiecutter as it is), `contained`, `inert`, or `alone`: confined as at tier `reduced`, but with hooks,
which the program itself never does; it shows what Landlock and seccomp stop by themselves.
RESULTS becomes `{"tier", "mechanisms", "verdicts": {name: [verdict, why]}}`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias

import anyio
import msgspec

from attacks.attack import TRIED, Attack, Verdict
from attacks.corpus import ATTACKS
from attacks.corpus.amounts import CREATE_SECONDS, MEMORY_BYTES, OUTPUT_BYTES, OUTPUT_FILES
from attacks.scene import Scene, Stage
from dynamo_mcp.attempts import Attempts
from dynamo_mcp.dynamo import Dynamo
from dynamo_mcp.errors import DynamoError, Refused
from dynamo_mcp.jobs import Request
from dynamo_mcp.outputs import output_folder
from dynamo_mcp.parts import Parts, open_parts
from dynamo_mcp.progress import STEPS_OF_CREATE, Progress, ignore
from dynamo_mcp.project_views import Project
from dynamo_mcp.sandbox.trust import Permission
from dynamo_mcp.settings import load
from dynamo_mcp.slots import Slots
from dynamo_mcp.types import Environment, Trust

Use: TypeAlias = Callable[[Attack, Scene], Awaitable[None]]

SECONDS = 60.0
SLACK = 30.0
"""Seconds beyond its limit after which an endless one was not ended; a busy machine needs some to end and tell it."""


class Results(msgspec.Struct, frozen=True):
    """What one configuration came to."""

    tier: str
    mechanisms: tuple[str, ...]
    verdicts: dict[str, tuple[Verdict, str]]


async def main(how: str, root: Path, home: Path, results: Path, wanted: list[str]) -> None:
    with Stage(root, home) as stage:
        tier, mechanisms, verdicts = "none", (), {}
        async with plain(stage) if how == "plain" else served(stage, how) as (confinement, use):
            if confinement is not None:
                tier, mechanisms = confinement.tier, confinement.mechanisms
            for attack in [attack for attack in ATTACKS if attack.name in wanted]:
                scene = Scene(stage, attack.name)
                scene.inert = how == "inert"
                verdicts[attack.name] = await tried(attack, scene, use)
    results.write_bytes(msgspec.json.encode(Results(tier, mechanisms, verdicts)))


async def tried(attack: Attack, scene: Scene, use: Use) -> tuple[Verdict, str]:
    """Try one attack, and look at its canary."""
    attack.write(scene)
    if attack.prepare is not None:
        attack.prepare(scene)
    scene.begin()
    knocking = scene.knock() if attack.name == "listens" else None
    started = anyio.current_time()
    for _ in range(2 if attack.twice else 1):
        await use(attack, scene)
    took = anyio.current_time() - started
    if attack.endless:
        scene.overran |= took > CREATE_SECONDS + SLACK
    if knocking is not None:
        await anyio.to_thread.run_sync(knocking.join)
    scene.end()
    worked = attack.worked(scene)
    scene.bury()
    return verdict(attack, scene, worked=worked), f"{took:.2f} s: {scene.error or scene.loot[-500:]}"


def verdict(attack: Attack, scene: Scene, *, worked: bool) -> Verdict:
    if worked:
        return "worked"
    if scene.refused:
        return "refused"
    if attack.hook and TRIED not in scene.loot and not (attack.told and attack.told in scene.error):
        return "not run" if scene.inert else "untried"
    return "stopped"


@asynccontextmanager
async def plain(stage: Stage) -> AsyncIterator[tuple[None, Use]]:
    """Use plain cookiecutter, in the home's base environment."""
    (python,) = (stage.home / "bases").glob("*/bin/python")
    command = [str(python), "-B", str(Path(__file__).with_name("plain.py"))]
    process = subprocess.Popen(  # noqa: ASYNC220 - nothing else waits here
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=stage.root,
        pass_fds=(stage.descriptor,),
        env={**os.environ, "HOME": str(stage.root / "own")},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    stdin, stdout = process.stdin, process.stdout

    async def use(attack: Attack, scene: Scene) -> None:
        log = stage.root / "logs" / attack.name
        log.parent.mkdir(exist_ok=True)
        request = {
            "template": str(scene.template),
            "output": scene.fill(attack.output) or str(scene.projects),
            "answers": attack.answered(scene),
            "seconds": CREATE_SECONDS if attack.endless else SECONDS,
            "log": str(log),
        }
        stdin.write(json.dumps(request).encode() + b"\n")
        stdin.flush()
        scene.overran = json.loads(stdout.readline())["overran"]
        scene.loot = log.read_text("utf-8", "replace")

    try:
        yield None, use
    finally:
        stdin.close()
        stdout.close()
        process.wait(timeout=60)


@asynccontextmanager
async def served(stage: Stage, how: str) -> AsyncIterator[tuple[Any, Use]]:
    """Use dynamo-mcp: at its default trust, or `inert` by a person's word."""
    settings = load(
        home=stage.home,
        output_roots=(stage.root / "scenes",),
        source_roots=(stage.root / "scenes",),
        person=how == "inert",
        memory_bytes=MEMORY_BYTES,
        output_bytes=OUTPUT_BYTES,
        output_files=OUTPUT_FILES,
    )
    hurried = msgspec.structs.replace(settings, create_seconds=CREATE_SECONDS)
    async with open_parts(settings) as parts, open_parts(hurried) as hasty:
        confinement = await parts.confining.confinement()

        async def use(attack: Attack, scene: Scene) -> None:
            wanted = Wanted(attack.answered(scene), scene.fill(attack.output) or str(scene.projects))
            try:
                await _use(hasty if attack.endless else parts, attack.name, scene, wanted, how)
            except Refused as error:
                scene.refused, scene.error = True, str(error)
            except DynamoError as error:
                scene.error = str(error)
            scene.loot += scene.error

        yield confinement, use


class Wanted(msgspec.Struct, frozen=True):
    """What a project is asked for with."""

    variables: dict[str, Any]
    output_dir: str


async def _use(parts: Parts, name: str, scene: Scene, wanted: Wanted, how: str) -> None:
    """Add the template if it is not there yet, and create a project from it."""
    dynamo = Dynamo(parts)
    if not (parts.store.home / "templates" / f"{name}.json").exists():
        await dynamo.add_template(str(scene.template), name=name)
    if how == "alone":
        project = await _create_alone(parts, name, wanted)
    else:
        trust: Trust | None = "inert" if how == "inert" else None
        project = await dynamo.create_project(
            name, wanted.output_dir, wanted.variables, trust=trust, if_exists="overwrite"
        )
    scene.loot += msgspec.json.encode(project).decode()


async def _create_alone(parts: Parts, name: str, wanted: Wanted) -> Project:
    """Create as at trust `contained`, though this machine's tier does not allow it: as `Turns`, but without asking."""
    template = parts.registry.get(name)
    progress = Progress(STEPS_OF_CREATE, ignore)
    permission = Permission("contained", confined=True, tier="reduced")
    async with parts.registration.using(template):
        schema = parts.schemas.get(template, hooks=True)
        filled, notes = parts.defaults.fill(schema, wanted.variables)
        answers = schema.check(name, filled)
        folder = output_folder(parts.settings, wanted.output_dir)

        async def attempt(environment: Environment) -> Project:
            request = Request(template, schema, environment, permission, answers, folder, "overwrite", notes)
            return await parts.projects.create(request, progress)

        return await Attempts(parts.settings, Slots(1, 1, SECONDS), parts.environments).run(
            template, attempt, progress, trust="contained", begin=anyio.lowlevel.checkpoint, doing="trying"
        )


if __name__ == "__main__":
    asked, *rest = sys.argv[1:]
    root, home, results = map(Path, rest[:3])
    anyio.run(main, asked, root, home, results, rest[3:])
