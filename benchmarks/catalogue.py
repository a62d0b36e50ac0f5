"""Is each template of the bundled catalogue still where it says? No measurement: asks each repository, by git.

    uv run python -m benchmarks.catalogue                 # all of them, minutes
    uv run python -m benchmarks.catalogue django flask    # some of them
    uv run python -m benchmarks.catalogue --write         # keep what was seen in catalogued.json

Of each repository the newest commit of the entry's branch is fetched without its files, and of those only the entry's
`cookiecutter.json`. Nothing of it is run. What can't be reached says nothing of an entry, and is told as that. Exit
code 3: an entry is not what it says; 1: nothing could be reached.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias

import anyio
import msgspec

from dynamo_mcp import catalogue
from dynamo_mcp.catalogue_views import CatalogueEntry

KEPT = Path(__file__).with_name("catalogued.json")
AT_ONCE = 4
SECONDS = 180
"""Seconds that git may take for one repository."""

State: TypeAlias = Literal["there", "gone", "no template", "not reached"]

_NOT_REACHED = (
    "could not resolve",
    "couldn't connect",
    "failed to connect",
    "connection refused",
    "connection reset",
    "timed out",
    "network is unreachable",
    "proxy",
    "ssl",
    "the requested url returned error: 4",
    "the requested url returned error: 5",
    "early eof",
)
"""What git says where nobody answered, or somebody between; 404 is told by hosts as a wish for a password."""
_ENVIRONMENT = {"GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "true", "GIT_CONFIG_NOSYSTEM": "1", "LC_ALL": "C"}


class Seen(msgspec.Struct, frozen=True):
    """What was seen of one entry.

    Attributes:
        why: What is wrong, in words.
        commit: The commit that was looked at, and when it was made, as a date.
    """

    name: str
    state: State
    why: str = ""
    commit: str = ""
    committed: str = ""


class _GitFailed(Exception):
    """Git's own words."""


async def look(entry: CatalogueEntry, folder: Path) -> Seen:
    """Look at one entry where it is.

    Args:
        entry: The entry.
        folder: Where its repository is kept, which need not exist yet.
    """
    revision = entry.revision or "HEAD"
    try:
        if not folder.exists():
            await _git(None, "init", "--quiet", "--bare", str(folder))
            await _git(folder, "remote", "add", "origin", entry.location)
            await _git(folder, "config", "remote.origin.promisor", "true")
            await _git(folder, "config", "remote.origin.partialclonefilter", "blob:none")
        await _git(folder, "fetch", "--quiet", "--depth=1", "--filter=blob:none", "origin", revision)
        commit = (await _git(folder, "rev-parse", "FETCH_HEAD^{commit}")).strip()
        committed = (await _git(folder, "log", "-1", "--format=%cs", commit)).strip()
    except (_GitFailed, TimeoutError) as error:
        said = " ".join(str(error).split())[-300:] or f"not done within {SECONDS} seconds"
        reached = bool(str(error)) and not any(sign in said.lower() for sign in _NOT_REACHED)
        return Seen(entry.name, "gone" if reached else "not reached", said)
    return await _look_at(entry, folder, commit, committed)


async def _look_at(entry: CatalogueEntry, folder: Path, commit: str, committed: str) -> Seen:
    inside = f"{entry.directory}/" if entry.directory else ""
    try:
        content = await _git(folder, "show", f"{commit}:{inside}cookiecutter.json")
        names = (await _git(folder, "ls-tree", "--name-only", f"{commit}:{inside}")).splitlines()
    except _GitFailed as error:
        said = " ".join(str(error).split())[-300:]
        return Seen(entry.name, "no template", f"no `{inside}cookiecutter.json`: {said}", commit, committed)
    except TimeoutError:
        return Seen(entry.name, "not reached", f"not done within {SECONDS} seconds", commit, committed)
    why = _problem(content, names)
    return Seen(entry.name, "no template" if why else "there", why, commit, committed)


def _problem(content: str, names: Iterable[str]) -> str:
    try:
        asked = json.loads(content)
    except ValueError as error:
        return f"its cookiecutter.json is no JSON: {error}"
    if not isinstance(asked, dict):
        return "its cookiecutter.json is no object"
    if not asked.keys() & {"templates", "template"} and not any("{" in name for name in names):
        return "there is no folder to make projects of"
    return ""


async def look_at_all(entries: Iterable[CatalogueEntry], folder: Path) -> list[Seen]:
    """Look at entries, repositories at once, each entry of one repository after the other; in the order given."""
    repositories: dict[str, list[CatalogueEntry]] = {}
    wanted = list(entries)
    for entry in wanted:
        repositories.setdefault(entry.location, []).append(entry)
    found: dict[str, Seen] = {}
    limiter = anyio.CapacityLimiter(AT_ONCE)

    async def one(number: int, of_it: list[CatalogueEntry]) -> None:
        async with limiter:
            for entry in of_it:
                found[entry.name] = await look(entry, folder / str(number))

    async with anyio.create_task_group() as tasks:
        for number, of_it in enumerate(repositories.values()):
            tasks.start_soon(one, number, of_it)
    return [found[entry.name] for entry in wanted]


def kept(seen: Iterable[Seen], before: Mapping[str, Any], *, today: str) -> dict[str, Any]:
    """Return what is kept of entries: of those that were there now, of the others what was kept before."""
    now = {
        each.name: {"commit": each.commit, "committed": each.committed, "seen": today, "how": "git"}
        for each in seen
        if each.state == "there"
    }
    return dict(sorted({**before, **now}.items()))


def write(records: Mapping[str, Any], path: Path) -> None:
    """Write what is kept, an entry a line."""
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(record)}" for name, record in records.items())
    path.write_text("{\n" + lines + "\n}\n", "utf-8")


async def _git(folder: Path | None, *arguments: str) -> str:
    where = [] if folder is None else [f"--git-dir={folder}"]
    with anyio.fail_after(SECONDS):
        done = await anyio.run_process(
            ["git", *where, *arguments], env={**os.environ, **_ENVIRONMENT}, stdin=None, check=False
        )
    if done.returncode:
        raise _GitFailed(done.stderr.decode(errors="replace"))
    return done.stdout.decode(errors="replace")


def main(arguments: list[str] | None = None) -> int:
    """Look, tell what was seen, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.catalogue", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="entries to look at; all when none is named")
    parser.add_argument("--write", action="store_true", help=f"keep what was seen in {KEPT.name}")
    chosen = parser.parse_args(arguments)
    public = {entry.name: entry for entry in catalogue.entries() if not entry.location.startswith(catalogue.BUNDLED)}
    if unknown := [name for name in chosen.names if name not in public]:
        parser.error(f"no public entry is called {', '.join(unknown)}")
    entries = [public[name] for name in chosen.names or public]
    with tempfile.TemporaryDirectory() as folder:
        seen = anyio.run(look_at_all, entries, Path(folder))
    for each in seen:
        print(f"{each.state:<12} {each.name:<28} {each.commit[:12]} {each.committed} {each.why}".rstrip())
    counts = Counter(each.state for each in seen)
    print(", ".join(f"{count} {state}" for state, count in counts.items()))
    if chosen.write:
        known = {name: record for name, record in json.loads(KEPT.read_text("utf-8")).items() if name in public}
        write(kept(seen, known, today=dt.datetime.now(dt.UTC).date().isoformat()), KEPT)
    if counts["not reached"] == len(seen):
        print("nothing could be reached, which says nothing of the entries")
        return 1
    return 3 if counts["gone"] or counts["no template"] else 0


if __name__ == "__main__":
    sys.exit(main())
