"""A server that is killed in the middle leaves nothing that the next one does not sweep."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from homes import hooks_of, until
from integration.places import SECONDS, Place, kill_when, write_template

pytestmark = pytest.mark.anyio

ENDLESS = 'import time\nprint("waiting", flush=True)\ntime.sleep(600)\n'


def processes_of(place: Place) -> dict[int, str]:
    """Return the command lines of living processes that work in this place."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
            except OSError:
                continue
            if str(place.home) in line:
                found[int(entry.name)] = line
    return found


def at_work(place: Place) -> list[str]:
    """Return those of them that do something: a bubblewrap whose server died as it started has started nothing yet."""
    return [line for line in processes_of(place).values() if "/bwrap " not in line]


async def test_a_create_that_was_killed_is_swept_and_then_succeeds(place: Place) -> None:
    folder = write_template(place.templates / "slow", hook=ENDLESS)
    await place.run("add", str(folder))
    create = {"slug": "half", "_output_dir": str(place.outputs)}
    await kill_when(place, "create_slow", create, lambda _, said: "running the hook" in said)
    await until(lambda: not at_work(place))
    left = processes_of(place)
    assert place.made == []
    assert place.scratch != []
    (folder / "hooks" / "post_gen_project.py").write_text("print('quick')")
    await place.run("update", "slow")
    assert place.scratch == []
    async with place.joined("http", "2026-07-28") as client:
        assert not left.keys() & processes_of(place).keys()
        result = await client.call_tool("create_slow", create)
    assert not result.is_error, result.content
    assert (place.outputs / "half" / "README.md").is_file()
    assert place.scratch == []


async def test_an_add_that_was_killed_is_swept_and_then_succeeds(tmp_path: Path) -> None:
    place = Place(tmp_path)  # no base environment yet, so that uv is at work when the server dies
    folder = write_template(place.templates / "new")
    await kill_when(place, "add_template", {"url": str(folder)}, lambda _, said: "making its environment" in said)
    assert list((place.home / "templates").iterdir()) == []
    assert place.scratch != []
    async with place.joined("http", "2026-07-28") as client:
        result = await client.call_tool("add_template", {"url": str(folder)})
        assert not result.is_error, result.content
        result = await client.call_tool("create_new", {"_output_dir": str(place.outputs)})
        assert not result.is_error, result.content
    assert place.scratch == []


async def test_a_cancelled_create_leaves_no_process_and_no_folder_and_the_next_one_works(place: Place) -> None:
    folder = write_template(place.templates / "slow", hook=ENDLESS)
    async with place.joined("http", "2026-07-28") as client:
        await client.call_tool("add_template", {"url": str(folder)})
        running = anyio.Event()

        async def progress(progress: float, total: float | None, message: str | None) -> None:  # noqa: ARG001
            if "running the hook" in (message or ""):
                running.set()

        async def create() -> None:
            arguments = {"slug": "half", "_output_dir": str(place.outputs)}
            await client.call_tool("create_slow", arguments, progress_callback=progress)

        with anyio.fail_after(SECONDS):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(create)
                await running.wait()
                await until(lambda: hooks_of(place.home))  # what is said is said before the hook has begun
                tasks.cancel_scope.cancel()
        await until(lambda: not hooks_of(place.home))
        # Renderers wait for more, and nothing else is left.
        await until(lambda: all("renderer-" in name for name in place.scratch if "/" in name))
        assert place.made == []
        (folder / "hooks" / "post_gen_project.py").write_text("print('quick')")
        await client.call_tool("update_template", {"template_name": "slow"})
        result = await client.call_tool("create_slow", {"slug": "half", "_output_dir": str(place.outputs)})
        assert not result.is_error, result.content
