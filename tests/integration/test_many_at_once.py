"""Many callers at once: all right, none mixed up, nothing left."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from mcp import Client

from integration.places import SECONDS, Place, write_template

pytestmark = pytest.mark.anyio

CLIENTS = 10
TEMPLATES = 5
CREATES = 50


async def test_fifty_creates_of_five_templates_by_ten_clients_are_all_right_and_leave_nothing(place: Place) -> None:
    for number in range(TEMPLATES):
        folder = write_template(place.templates / f"kind-{number}")
        (folder / "{{cookiecutter.slug}}" / "kind.txt").write_text(f"{number} {{{{ cookiecutter.motto }}}}")
    made: dict[int, dict[str, Any]] = {}

    async def create(client: Client, number: int) -> None:
        answers = {"slug": f"project-{number}", "motto": f"motto {number}", "_output_dir": str(place.outputs)}
        result = await client.call_tool(f"create_kind-{number % TEMPLATES}", answers)
        assert not result.is_error, result.content
        assert result.structured_content is not None
        made[number] = result.structured_content

    async with place.serving() as (url, _):
        async with Client(f"{url}/mcp") as client:
            for number in range(TEMPLATES):
                result = await client.call_tool("add_template", {"url": str(place.templates / f"kind-{number}")})
                assert not result.is_error, result.content
        with anyio.fail_after(SECONDS):
            async with anyio.create_task_group() as joined:
                for index in range(CLIENTS):
                    joined.start_soon(_work, url, index, create)
        async with httpx2.AsyncClient() as scraper:
            counted = (await scraper.get(f"{url}/metrics")).text
            with anyio.fail_after(SECONDS):  # what is compiled while nobody asks for anything may be under way still
                while 'dynamo_mcp_renderers{state="busy"} 0.0' not in counted:
                    await anyio.sleep(0.1)
                    counted = (await scraper.get(f"{url}/metrics")).text
        assert 'dynamo_mcp_calls_total{outcome="done",tool="create_<template>"} 50.0' in counted
        assert "dynamo_mcp_jobs_working 0.0" in counted
        assert "dynamo_mcp_jobs_waiting 0.0" in counted
        hits = [line for line in counted.splitlines() if line.startswith("dynamo_mcp_cache_total") and '"hit"' in line]
        assert len(hits) == 2
        assert all(float(line.split()[-1]) >= CREATES - TEMPLATES for line in hits)
        # The server still runs: nothing may wait for its end to be cleaned up, but its warm renderers.
        assert [name for name in place.scratch if "/" in name and "/renderer-" not in name] == []
    assert len(made) == CREATES
    for number, project in made.items():
        path = Path(project["path"])
        assert path == place.outputs / f"project-{number}"
        assert (path / "kind.txt").read_text() == f"{number % TEMPLATES} motto {number}"
        assert (path / "src" / f"project-{number}.txt").read_text() == f"project-{number}\n"
        assert project["answers"]["motto"] == f"motto {number}"
        assert project["template"] == f"kind-{number % TEMPLATES}"
    assert place.scratch == []
    assert place.made == sorted(f"project-{n}" for n in range(CREATES))


async def _work(url: str, index: int, create: Any) -> None:
    async with Client(f"{url}/mcp", read_timeout_seconds=SECONDS) as client:
        await client.list_tools()
        async with anyio.create_task_group() as tasks:
            for number in range(index, CREATES, CLIENTS):
                tasks.start_soon(create, client, number)


async def test_of_two_adds_of_one_name_one_wins_and_the_other_is_told_why_it_did_not(place: Place) -> None:
    folder = write_template(place.templates / "wanted")
    results = []

    async def add(client: Client) -> None:
        results.append(await client.call_tool("add_template", {"url": str(folder)}))

    async with place.serving() as (url, _), Client(f"{url}/mcp") as one, Client(f"{url}/mcp") as other:
        with anyio.fail_after(SECONDS):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(add, one)
                tasks.start_soon(add, other)
        listed = await one.call_tool("list_templates", {})
    won, lost = sorted(results, key=lambda result: bool(result.is_error))
    assert not won.is_error
    assert lost.is_error
    assert "There is a template `wanted` already" in str(lost.content[0])
    assert "hint: choose another with `name`" in str(lost.content[0])
    assert listed.structured_content is not None
    assert [template["name"] for template in listed.structured_content["templates"]] == ["wanted"]
    assert place.scratch == []


async def test_two_processes_that_add_one_name_do_not_both_win(place: Place) -> None:
    folder = write_template(place.templates / "wanted")
    codes: list[int] = []

    async def add() -> None:
        done = await anyio.run_process(
            [sys.executable, "-m", "dynamo_mcp", "add", str(folder)], env=place.environment, check=False
        )
        codes.append(done.returncode)

    with anyio.fail_after(SECONDS):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(add)
            tasks.start_soon(add)
    assert sorted(codes) == [0, 2]
