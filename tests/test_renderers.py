"""The pool of real renderers: reuse, eviction, death, cancellation."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

import anyio
import pytest

from dynamo_mcp import confining
from dynamo_mcp.errors import DynamoError, Refused, RendererFailed, RenderFailed, TimedOut
from dynamo_mcp.sandbox.policy import policy
from dynamo_mcp.sandbox.tier import probe
from dynamo_mcp.settings import Settings
from dynamo_mcp.types import Confinement, Trust
from homes import SECONDS, SLUG, Home, base_environments, hooks_running, processes_of, until, workers

pytestmark = pytest.mark.anyio

ENDLESS = "import time\nprint('waiting', flush=True)\ntime.sleep(600)\n"


@pytest.fixture
def home(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path, base_environments(tmp_path_factory))


def own_workers(home: Home) -> set[int]:
    """Return the workers of this home's renderers."""
    return set(workers()) & set(processes_of(home.path / "bases"))


async def test_one_worker_serves_two_templates(home: Home) -> None:
    async with home.open() as dynamo:
        await home.add(dynamo, "one")
        await home.add(dynamo, "two")
        await dynamo.create_project("one", str(home.outputs), {"slug": "a"})
        first = own_workers(home)
        await dynamo.create_project("two", str(home.outputs), {"slug": "b"})
        await dynamo.create_project("one", str(home.outputs), {"slug": "c"})
        assert own_workers(home) == first
        assert len(first) == 1
    assert own_workers(home) == set()
    assert home.made == ["a", "b", "c"]


async def test_no_more_workers_stay_than_are_allowed(home: Home) -> None:
    async with home.open(renderers=1, concurrent_creates=3) as dynamo:
        await home.add(dynamo, "one")
        with anyio.fail_after(SECONDS):
            async with anyio.create_task_group() as tasks:
                for number in range(3):
                    tasks.start_soon(dynamo.create_project, "one", str(home.outputs), {"slug": f"p{number}"})
        await until(lambda: len(own_workers(home)) == 1)
        await until(lambda: len(list((home.path / "scratch").glob("*/renderer-*"))) == 1)


@pytest.mark.parametrize("times", [1, 3])
async def test_a_worker_that_was_killed_between_jobs_is_not_noticed(home: Home, times: int) -> None:
    async with home.open() as dynamo:
        await home.add(dynamo, "one")
        await dynamo.create_project("one", str(home.outputs), {"slug": "first"})
        for number in range(times):
            (worker,) = own_workers(home)
            os.kill(worker, signal.SIGKILL)
            await until(lambda: not own_workers(home))
            await dynamo.create_project("one", str(home.outputs), {"slug": f"after-{number}"})
    assert home.made == sorted(["first", *(f"after-{number}" for number in range(times))])


async def test_a_worker_that_is_killed_during_a_job_is_said_and_the_next_create_works(home: Home) -> None:
    errors: list[DynamoError] = []
    async with home.open() as dynamo:
        await home.add(dynamo, "endless", post_gen_project=ENDLESS)
        await home.add(dynamo, "one")

        async def create() -> None:
            try:
                await dynamo.create_project("endless", str(home.outputs), {"slug": "half"})
            except DynamoError as error:
                errors.append(error)

        with anyio.fail_after(SECONDS):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(create)
                await until(lambda: hooks_running(home))
                # The worker itself came before its jobs; its death ends all of the namespace.
                for worker in sorted(own_workers(home)):
                    with suppress(ProcessLookupError):
                        os.kill(worker, signal.SIGKILL)
        assert [type(error) for error in errors] == [RendererFailed]
        assert "A renderer died" in errors[0].message
        assert errors[0].hint
        await dynamo.create_project("one", str(home.outputs), {"slug": "next"})
        assert home.scratch == []
    assert home.made == ["next"]


@pytest.mark.parametrize("trust", ["contained", "full"])
async def test_a_cancelled_create_leaves_no_process_and_nothing_in_scratch(home: Home, trust: Trust) -> None:
    async with home.open(person=True) as dynamo:
        await home.add(dynamo, "endless", post_gen_project=ENDLESS)
        await home.add(dynamo, "one")
    async with home.open(person=True) as dynamo:

        async def create() -> None:
            await dynamo.create_project("endless", str(home.outputs), {"slug": "half"}, trust=trust)

        with anyio.fail_after(SECONDS):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(create)
                await until(lambda: hooks_running(home))
                tasks.cancel_scope.cancel()
        await _nothing_runs(home)
        assert home.scratch == []
        await dynamo.create_project("one", str(home.outputs), {"slug": "next"}, trust=trust)
    assert home.made == ["next"]


async def _nothing_runs(home: Home) -> None:
    """Wait a moment for what was killed to end; kill what was not, and say what it was."""
    try:
        await until(lambda: not processes_of(home.path), 10)
    except TimeoutError:
        survivors = {
            identity: Path(f"/proc/{identity}/cmdline").read_bytes().replace(b"\0", b" ").decode()
            for identity in processes_of(home.path)
        }
        for identity in survivors:
            with suppress(ProcessLookupError):
                os.kill(identity, signal.SIGKILL)
        raise AssertionError(f"these still run: {survivors}") from None


@pytest.mark.parametrize("trust", ["contained", "full"])
async def test_a_hook_that_takes_too_long_is_ended_with_all_that_it_started(home: Home, trust: Trust) -> None:
    async with home.open(person=True, create_seconds=3) as dynamo:
        await home.add(dynamo, "looping", post_gen_project="while True: pass")
        await home.add(dynamo, "one")
    async with home.open(person=True, create_seconds=3) as dynamo:
        with pytest.raises(TimedOut, match=r"while running the hook post_gen_project\.py") as raised:
            await dynamo.create_project("looping", str(home.outputs), {"slug": "half"}, trust=trust)
        assert "more than 3 seconds" in raised.value.message
        assert "DYNAMO_MCP_CREATE_SECONDS" in raised.value.hint
        await _nothing_runs(home)
        assert home.scratch == []
        await dynamo.create_project("one", str(home.outputs), {"slug": "next"}, trust=trust)
    assert home.made == ["next"]


async def test_a_daemon_is_dead_after_its_unconfined_job_too(home: Home) -> None:
    hook = (
        "import os, time\n"
        "read, write = os.pipe()\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0:\n"
        "        os.write(write, b'x')\n"
        "        time.sleep(600)\n"
        "    os._exit(0)\n"
        "os.read(read, 1)\n"
    )
    async with home.open(person=True) as dynamo:
        await home.add(dynamo, "daemon", post_gen_project=hook)
        await dynamo.create_project("daemon", str(home.outputs), trust="full")
    await _nothing_runs(home)


async def test_jobs_at_once_have_a_worker_each_and_do_not_mix(home: Home) -> None:
    async with home.open(concurrent_creates=4) as dynamo:
        await home.add(dynamo, "one", {"{{cookiecutter.slug}}/own": "{{cookiecutter.slug}}"})
        with anyio.fail_after(SECONDS):
            async with anyio.create_task_group() as tasks:
                for number in range(20):
                    tasks.start_soon(dynamo.create_project, "one", str(home.outputs), {"slug": f"p{number}"})
        assert home.scratch == []
        assert 1 <= len(own_workers(home)) <= 4
    assert home.made == sorted(f"p{number}" for number in range(20))
    for number in range(20):
        assert (home.outputs / f"p{number}" / "own").read_text() == f"p{number}"


async def test_without_bubblewrap_inert_renders_under_landlock_and_contained_is_refused(home: Home) -> None:
    (home.root / "bin").mkdir()
    async with home.open({"PATH": str(home.root / "bin")}, person=True) as dynamo:
        await home.add(dynamo, "one", post_gen_project="raise SystemExit(1)")
        with pytest.raises(Refused, match="reduced"):
            await dynamo.create_project("one", str(home.outputs))
        project = await dynamo.create_project("one", str(home.outputs), trust="inert")
    assert (project.trust, project.tier, project.hooks) == ("inert", "reduced", ())
    assert "bubblewrap" not in project.mechanisms
    assert {"rlimits", "seccomp"} <= set(project.mechanisms)
    assert home.made == ["made"]


async def test_without_bubblewrap_an_inert_job_that_writes_without_end_is_ended_and_told(home: Home) -> None:
    (home.root / "bin").mkdir()
    loop = "{% for number in range(99999) %}"
    files = {f"{SLUG}/large-{number}": "{{ 'x' * 1000000 }}" for number in range(9)}
    endless = f"{loop}{loop}{loop}{'{% endfor %}' * 3}"
    async with home.open(
        {"PATH": str(home.root / "bin")}, person=True, output_bytes=4 << 20, create_seconds=30
    ) as dynamo:
        await home.add(dynamo, "much", {**files, f"{SLUG}/below/endless": endless})
        await home.add(dynamo, "little")
        with pytest.raises(
            RenderFailed, match=r"made more than it may: its output is full.* while rendering files"
        ) as raised:
            await dynamo.create_project("much", str(home.outputs), trust="inert")
        assert "`DYNAMO_MCP_OUTPUT_BYTES`" in raised.value.hint
        await dynamo.create_project("little", str(home.outputs), trust="inert")
        assert home.scratch == []


async def test_without_bubblewrap_an_inert_job_may_read_only_what_it_needs_of_the_machine(tmp_path: Path) -> None:
    walled = policy(Settings(tmp_path), read=(), write=(), backend=None)
    assert {"/etc", "/proc", "/dev"} & set(walled["read"]) == set()


async def test_a_server_that_has_templates_starts_a_worker_before_anybody_asks_and_a_create_uses_it(home: Home) -> None:
    async with home.open() as dynamo:
        await home.add(dynamo, "one")
    async with home.open(serves=True, renderers=1) as dynamo:
        await until(lambda: own_workers(home))
        ahead = own_workers(home)
        await dynamo.create_project("one", str(home.outputs))
        assert own_workers(home) == ahead
    assert own_workers(home) == set()


async def test_a_server_without_templates_starts_no_worker(home: Home) -> None:
    async with home.open(serves=True):
        await anyio.wait_all_tasks_blocked()
        assert own_workers(home) == set()


async def test_a_worker_starts_ahead_of_need_and_the_create_waits_for_that_one(home: Home) -> None:
    async with home.open() as dynamo:
        await home.add(dynamo, "one")
    async with home.open(serves=True) as dynamo:
        await dynamo.create_project("one", str(home.outputs), {"slug": "a"})
        await until(lambda: len(own_workers(home)) == 2)
        await dynamo.create_project("one", str(home.outputs), {"slug": "b"})
        assert len(own_workers(home)) == 2


async def test_a_create_that_is_expected_has_its_worker_started_while_the_machine_is_still_probed(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with home.open() as dynamo:
        await home.add(dynamo, "one")
    ahead: set[int] = set()

    async def late(settings: Settings, *, python: Path) -> Confinement:
        await until(lambda: own_workers(home))
        ahead.update(own_workers(home))
        return await probe(settings, python=python)

    monkeypatch.setattr(confining, "probe", late)
    async with home.open() as dynamo:
        dynamo.expect("one")
        await dynamo.create_project("one", str(home.outputs))
        assert own_workers(home) == ahead
    assert len(ahead) == 1


async def test_a_worker_that_was_started_for_another_machine_than_this_does_no_job(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with home.open() as dynamo:
        await home.add(dynamo, "one")

    async def late(_settings: Settings, *, python: Path) -> Confinement:
        assert python.exists()
        await until(lambda: own_workers(home))
        return Confinement("none", (), "nothing works here")

    monkeypatch.setattr(confining, "probe", late)
    async with home.open() as dynamo:
        dynamo.expect("nothing of this name")
        dynamo.expect("one")
        with pytest.raises(Refused, match="nothing works here"):
            await dynamo.create_project("one", str(home.outputs))
    assert own_workers(home) == set()
    assert home.made == []
