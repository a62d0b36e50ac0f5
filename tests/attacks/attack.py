"""What is an attack? A template that means harm, and the canary that tells from outside whether it did any."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeAlias

import msgspec

from attacks.scene import Scene

Verdict: TypeAlias = Literal["worked", "stopped", "not run", "refused", "untried"]
"""`not run`: no hook ran; `refused`: nothing of the template ran at all; `untried`: the test itself is wrong."""

SLUG = "{{cookiecutter.slug}}"
TRIED = "the hook has tried"
WRITING = f"""\
import os, sys
def keep(what):
    with open("loot.txt", "a") as loot:
        loot.write(str(what) + "\\n")
keep("{TRIED}")
print("{TRIED}", flush=True)
"""


class Attack(msgspec.Struct, frozen=True):
    """One thing that a hostile template tries.

    Names of things in the scene stand as `<<name>>` in every text below.

    Attributes:
        name: What the template is called.
        tries: What it tries, in words; the table's first column.
        source: Where the idea comes from: an advisory, a manual page, or a known way to abuse cookiecutter.
        worked: Looks at the canary, from outside.
        hook: Python that the hook after the files runs in the project's folder; `keep` writes to `loot.txt` there.
        files: Further files of the template.
        links: Links of the template, and where they lead.
        configuration: Its `cookiecutter.json`.
        answers: What is answered.
        output: The folder that the project is to be made in; empty for the usual one.
        prepare: What happens before: somebody has left something in the output folder.
        twice: It is used twice, as if the second were another template.
        endless: It never ends by itself.
        root_only: It works for root alone, also where nothing confines it.
        fixed: It does not work any more where nothing confines it, and must not come back.
        told: What an error says that shows that the hook has run, where its own words do not come through.
        alone: Whether Landlock and seccomp stop it without namespaces.
        by_user: Whether they do where a job is a user of its own.
    """

    name: str
    tries: str
    source: str
    worked: Callable[[Scene], bool]
    hook: str = ""
    files: dict[str, str] = {}
    links: dict[str, str] = {}
    configuration: dict[str, Any] = {}
    answers: dict[str, Any] = {}
    output: str = ""
    prepare: Callable[[Scene], object] | None = None
    twice: bool = False
    endless: bool = False
    root_only: bool = False
    fixed: bool = False
    told: str = ""
    alone: Verdict = "stopped"
    by_user: Verdict = "stopped"

    def write(self, scene: Scene) -> Path:
        """Write the template; return its folder."""
        files = {
            "cookiecutter.json": json.dumps({"slug": "made", **self.configuration}),
            f"{SLUG}/README.md": "{{cookiecutter.slug}}\n",
            **self.files,
        }
        if self.hook:
            body = "".join(f"    {line}\n" for line in self.hook.strip().splitlines())
            ended = "except BaseException as error:\n    keep(repr(error))\n"
            files["hooks/post_gen_project.py"] = f"{WRITING}try:\n{body}{ended}"
        for name, text in files.items():
            path = scene.template / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(scene.fill(text), "utf-8")
        for name, target in self.links.items():
            path = scene.template / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.symlink_to(scene.fill(target))
        return scene.template

    def answered(self, scene: Scene) -> dict[str, Any]:
        """Return the answers, with the scene's names in them."""
        filled: dict[str, Any] = json.loads(scene.fill(json.dumps(self.answers)))
        return filled
