"""Which Python runs it, and is it healthy? Made once by the real uv, isolated, and mended when broken."""

from __future__ import annotations

import os
import re
import shutil
import sys
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest
import uv

from child import SECONDS, python
from conftest import Listener
from dynamo_mcp.environments import AT_ONCE, Environments, python_of
from dynamo_mcp.errors import Busy, EnvironmentFailed, StorageFailed
from dynamo_mcp.once import Tell
from dynamo_mcp.process import run
from dynamo_mcp.recorded import packages_of
from dynamo_mcp.settings import Settings
from dynamo_mcp.soundness import health
from dynamo_mcp.spares import MARKER
from dynamo_mcp.store import Store, open_store
from dynamo_mcp.types import Environment
from homes import give
from wheels import publish

pytestmark = pytest.mark.anyio


class Opened:
    """Environments of a home that a test shares with others, and the store below them."""

    def __init__(self, environments: Environments, store: Store) -> None:
        self.environments = environments
        self.store = store


@asynccontextmanager
async def _open(settings: Settings) -> AsyncIterator[Opened]:
    async with open_store(settings.home, lock_seconds=settings.lock_seconds) as store:
        with anyio.fail_after(120):
            async with anyio.create_task_group() as tasks:
                yield Opened(Environments(settings, store, tasks), store)
                tasks.cancel_scope.cancel()
        assert list(store.scratch.iterdir()) == []


@pytest.fixture
async def opened(shared_settings: Settings) -> AsyncIterator[Opened]:
    async with _open(shared_settings) as opened:
        yield opened


@pytest.fixture
def template() -> str:
    """A name that no other test uses in the home that they share."""
    return f"t{uuid.uuid4().hex[:12]}"


@pytest.fixture
def uv_runs(audited: list[Listener]) -> list[str]:
    """What uv was asked for since the test began: `venv` or `pip`."""
    runs: list[str] = []

    def note(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "subprocess.Popen" and Path(os.fsdecode(arguments[0])).name == "uv":
            runs.append(arguments[1][1])

    audited.append(note)
    return runs


@pytest.fixture
def own(shared_settings: Settings, tmp_path: Path) -> Settings:
    """A home of the test's own that shares nothing but uv's cache, for bases that are to be made."""
    home = tmp_path / "own"
    home.mkdir()
    give(shared_settings.home / "wheels", home / "wheels")
    return msgspec.structs.replace(shared_settings, home=home)


@pytest.fixture
def ready(own: Settings, shared_home: Path) -> Settings:
    """The same with a base that is made already, for bases that are to be broken."""
    give(shared_home / "bases", own.home / "bases")
    return own


async def _imports(environment: Path, module: str = "cookiecutter.main") -> bool:
    completed = await run([python_of(environment), "-I", "-B", "-c", f"import {module}"], env={}, seconds=SECONDS)
    return completed.code == 0


async def test_an_environment_is_whole_isolated_and_runs_cookiecutter(opened: Opened, template: str) -> None:
    made = await opened.environments.ensure(template, ())
    assert made.path == opened.environments.path(template, ())
    assert health(made.path) is health(made.base) is None
    assert await _imports(made.path)
    assert await opened.environments.works(made)
    assert not await _imports(made.path, "dynamo_mcp")
    assert "cookiecutter==2.7.1" in made.packages
    assert list(made.packages) == sorted(made.packages)
    assert all(package.count("==") == 1 for package in made.packages)


async def test_an_environment_knows_itself_by_its_own_place(opened: Opened, template: str) -> None:
    made = await opened.environments.ensure(template, ())
    script = "import sys, cookiecutter; print(sys.prefix, cookiecutter.__file__)"
    completed = await run([python_of(made.path), "-I", "-B", "-c", script], env={}, seconds=SECONDS)
    assert all(Path(word).is_relative_to(made.path) for word in completed.stdout.decode().split())
    command = await run([made.path / "bin" / "cookiecutter", "--version"], env={"PATH": os.defpath}, seconds=SECONDS)
    assert str(made.path) in command.stdout.decode()


async def test_what_is_healthy_is_returned_without_any_process(
    opened: Opened, template: str, uv_runs: list[str]
) -> None:
    made = await opened.environments.ensure(template, ())
    uv_runs.clear()
    assert await opened.environments.ensure(template, ()) == made
    assert uv_runs == []


async def test_a_second_template_with_the_same_requirements_costs_no_uv(
    opened: Opened, template: str, uv_runs: list[str]
) -> None:
    first = await opened.environments.ensure(template, ())
    uv_runs.clear()
    second = await opened.environments.ensure(f"{template}-2", ())
    assert second.base == first.base
    assert second.path != first.path
    assert uv_runs == []


async def test_many_callers_at_once_make_one_base_and_one_environment(
    own: Settings, template: str, uv_runs: list[str]
) -> None:
    async with _open(own) as opened:
        made: list[Environment] = []

        async def ensure(name: str) -> None:
            made.append(await opened.environments.ensure(name, ()))

        uv_runs.clear()
        async with anyio.create_task_group() as tasks:
            for number in range(24):
                tasks.start_soon(ensure, f"{template}-{number % 3}")
        assert uv_runs == ["venv", "pip", "pip"]
        assert len({environment.path for environment in made}) == 3
        assert len({environment.base for environment in made}) == 1


async def test_two_processes_at_once_make_one_base(own: Settings, template: str) -> None:
    script = """
        import os, sys, pathlib, anyio
        from dynamo_mcp.environments import Environments
        from dynamo_mcp.settings import load
        from dynamo_mcp.store import open_store

        def note(event, arguments):
            if event == "subprocess.Popen" and os.fsdecode(arguments[0]).endswith("/uv"):
                print(arguments[1][1], flush=True)

        sys.addaudithook(note)

        async def main():
            settings = load(home=pathlib.Path(sys.argv[1]))
            async with open_store(settings.home, lock_seconds=60) as store, anyio.create_task_group() as tasks:
                print((await Environments(settings, store, tasks).ensure(sys.argv[2], ())).key, flush=True)

        anyio.run(main)
    """
    lines: list[str] = []
    async with python(script, own.home, f"{template}-1") as one, python(script, own.home, f"{template}-2") as other:
        for process in (one, other):
            while True:
                lines.append((await process.line()).strip())
                if lines[-1] not in {"venv", "pip"}:
                    break
            assert await process.end() == 0
    assert sorted(lines)[-3:] == ["pip", "pip", "venv"]
    assert len(lines) == 5
    assert len(set(lines)) == 3


async def test_what_is_uninstalled_from_one_environment_harms_no_other_and_not_the_base(
    opened: Opened, template: str, shared_settings: Settings
) -> None:
    one = await opened.environments.ensure(f"{template}-1", ())
    other = await opened.environments.ensure(f"{template}-2", ())
    command: list[str | Path] = [uv.find_uv_bin(), "pip", "uninstall", "--python", one.path, "cookiecutter", "click"]
    environment = {"UV_CACHE_DIR": str(shared_settings.home / "wheels"), "UV_NO_CONFIG": "1"}
    assert (await run(command, env=environment, seconds=SECONDS)).code == 0
    assert not await _imports(one.path)
    assert await _imports(other.path)
    assert await _imports(one.base)
    assert health(other.path) is health(other.base) is None


async def test_what_is_installed_into_one_environment_is_in_no_other(opened: Opened, template: str) -> None:
    one = await opened.environments.ensure(f"{template}-1", ())
    other = await opened.environments.ensure(f"{template}-2", ())
    (packages,) = one.path.glob("lib/python3.*/site-packages")
    (packages / "only_here.py").touch()
    assert await _imports(one.path, "only_here")
    assert not await _imports(other.path, "only_here")
    assert not await _imports(one.base, "only_here")


async def test_an_environment_works_on_when_its_base_is_gone(ready: Settings, template: str) -> None:
    async with _open(ready) as opened:
        made = await opened.environments.ensure(template, ())
        shutil.rmtree(made.base)
        assert await _imports(made.path)


def _delete_package(environment: Path) -> None:
    (package,) = environment.glob("lib/python3.*/site-packages/cookiecutter")
    shutil.rmtree(package)


def _delete_packages(environment: Path) -> None:
    shutil.rmtree(next(environment.glob("lib/python3.*/site-packages")))


def _delete_library(environment: Path) -> None:
    shutil.rmtree(environment / "lib")


def _empty_library(environment: Path) -> None:
    _delete_library(environment)
    (environment / "lib").mkdir()


def _delete_python(environment: Path) -> None:
    for path in (environment / "bin").glob("python*"):
        path.unlink()


def _lose_python(environment: Path) -> None:
    python_of(environment).unlink()
    python_of(environment).symlink_to("/no/such/python")


def _delete_marker(environment: Path) -> None:
    (environment / MARKER).unlink()


def _replace_marker(environment: Path, content: bytes) -> None:
    (environment / MARKER).unlink()
    (environment / MARKER).write_bytes(content)


def _become_a_file(environment: Path) -> None:
    shutil.rmtree(environment)
    environment.touch()


BREAKAGES: dict[str, Callable[[Path], None]] = {
    "a package is deleted": _delete_package,
    "all packages are deleted": _delete_packages,
    "the library is deleted": _delete_library,
    "the library is empty": _empty_library,
    "the Python is deleted": _delete_python,
    "the Python that it was made from is gone": _lose_python,
    "it was not finished": _delete_marker,
    "its marker is empty": lambda environment: _replace_marker(environment, b""),
    "its marker is of another kind": lambda environment: _replace_marker(environment, b'{"key": 1}'),
    "its marker is no text": lambda environment: _replace_marker(environment, b'{"key": "\xff"}'),
    "it became a file": _become_a_file,
    "it is gone": shutil.rmtree,
}


@pytest.mark.parametrize("breakage", BREAKAGES)
async def test_a_broken_environment_is_noticed_and_mended_from_its_base(
    breakage: str, opened: Opened, template: str, uv_runs: list[str]
) -> None:
    made = await opened.environments.ensure(template, ())
    BREAKAGES[breakage](made.path)
    uv_runs.clear()
    assert isinstance(health(made.path), str)
    assert await opened.environments.ensure(template, ()) == made
    assert health(made.path) is health(made.base) is None
    assert await _imports(made.path)
    assert uv_runs == []


@pytest.mark.parametrize(
    "breakage",
    [
        "a package is deleted",
        "the library is deleted",
        "the Python that it was made from is gone",
        "its marker is no text",
        "it became a file",
    ],
)
async def test_a_broken_base_is_noticed_and_made_anew(
    breakage: str, ready: Settings, template: str, uv_runs: list[str]
) -> None:
    async with _open(ready) as opened:
        made = await opened.environments.ensure(template, ())
        BREAKAGES[breakage](made.base)
        uv_runs.clear()
        assert await opened.environments.ensure(template, ()) == made
        assert health(made.base) is None
        assert await _imports(made.base)
        assert uv_runs == ["venv", "pip", "pip"]


async def test_what_looks_whole_and_does_not_work_is_found_out_and_rebuilt(ready: Settings, template: str) -> None:
    async with _open(ready) as opened:
        made = await opened.environments.ensure(template, ())
        (module,) = made.base.glob("lib/python3.*/site-packages/cookiecutter/main.py")
        module.unlink()
        for compiled in module.parent.glob("__pycache__/main.*"):
            compiled.unlink()
        assert health(made.base) is None
        assert not await opened.environments.works(made)
        rebuilt = await opened.environments.rebuild(template, ())
        assert await opened.environments.works(rebuilt)
        assert await _imports(rebuilt.path)


async def test_a_record_is_believed_of_regular_files_inside_its_environment_alone(
    ready: Settings, template: str
) -> None:
    async with _open(ready) as opened:
        made = await opened.environments.ensure(template, ())
        packages = packages_of(made.base)
        record = packages / "hostile-1.0.dist-info" / "RECORD"
        record.parent.mkdir()
        with anyio.fail_after(SECONDS):
            record.write_text(f"/dev/zero,sha256=x,1\n{'../' * 40}dev/zero,sha256=x,1\n/nowhere,sha256=x,1\n")
            assert await opened.environments.works(made)
            os.mkfifo(packages / "pipe")
            record.write_text("pipe,sha256=x,1\n")
            assert not await opened.environments.works(made)
            record.write_text(f"a,{'b' * 200_000}\n")
            assert not await opened.environments.works(made)


async def test_a_package_that_does_not_exist_is_told_in_the_words_of_uv(opened: Opened, template: str) -> None:
    with pytest.raises(EnvironmentFailed) as caught:
        await opened.environments.ensure(template, ("no-package-of-this-name-dynamo-mcp",))
    assert "no-package-of-this-name-dynamo-mcp" in caught.value.message
    assert "uv could not install the requirements; it says:\n" in caught.value.message
    assert not opened.environments.path(template, ("no-package-of-this-name-dynamo-mcp",)).exists()


async def test_requirements_that_contradict_each_other_are_told_in_the_words_of_uv(
    opened: Opened, template: str
) -> None:
    with pytest.raises(EnvironmentFailed, match="unsatisfiable"):
        await opened.environments.ensure(template, ("cookiecutter<2",))


async def test_a_template_s_own_requirements_are_in_its_environment_and_in_no_other(
    opened: Opened, template: str
) -> None:
    plain = await opened.environments.ensure(f"{template}-1", ())
    extended = await opened.environments.ensure(f"{template}-2", ("jinja2-time",))
    assert await _imports(extended.path, "jinja2_time")
    assert not await _imports(plain.path, "jinja2_time")
    assert extended.base != plain.base


@pytest.mark.parametrize("milliseconds", [0, 20, 100, 400])
async def test_a_caller_who_leaves_in_the_middle_leaves_nothing_half_made(
    milliseconds: int, own: Settings, template: str
) -> None:
    async with _open(own) as opened:
        with anyio.move_on_after(milliseconds / 1000):
            await opened.environments.ensure(template, ())
        with anyio.fail_after(SECONDS):
            while list(opened.store.scratch.iterdir()):  # noqa: ASYNC110 - the work ends in a task of its own
                await anyio.sleep(0.01)
        for folder in ("bases", "venvs"):
            for left in (own.home / folder).iterdir():
                assert health(left) is None
        made = await opened.environments.ensure(template, ())
        assert health(made.path) is None


async def test_one_caller_who_leaves_does_not_fail_the_others(own: Settings, template: str) -> None:
    async with _open(own) as opened:
        made: list[Environment] = []

        async def ensure() -> None:
            made.append(await opened.environments.ensure(template, ()))

        async with anyio.create_task_group() as tasks:
            leaving = anyio.CancelScope()

            async def leave() -> None:
                with leaving:
                    await opened.environments.ensure(template, ())

            tasks.start_soon(leave)
            tasks.start_soon(ensure)
            await anyio.lowlevel.checkpoint()
            await anyio.lowlevel.checkpoint()
            leaving.cancel()
        assert health(made[0].path) is None


async def test_what_is_downloaded_is_told_with_its_size(own: Settings, template: str) -> None:
    told: list[str] = []

    async def tell(words: str) -> None:
        told.append(words)

    async with _open(msgspec.structs.replace(own, home=own.home / "cold")) as opened:
        await opened.environments.ensure(template, (), tell)
    assert told[0] == "looking up its packages"
    assert any(re.fullmatch(r"downloading pygments \([\d.]+MiB\)", words) for words in told), told
    assert told[-1] == "compiling its packages"


async def test_who_waits_for_others_is_told_the_place_and_not_for_ever(ready: Settings, template: str) -> None:
    told: list[str] = []

    async def tell(words: str) -> None:
        told.append(words)

    async with _open(msgspec.structs.replace(ready, environment_seconds=0.5)) as opened:
        turns = opened.environments._turns  # noqa: SLF001 - of which every one is taken
        for number in range(AT_ONCE):
            turns.acquire_on_behalf_of_nowait(number)
        async with anyio.create_task_group() as tasks:
            for name in ("one", "two"):
                tasks.start_soon(_refused, opened, f"{template}-{name}", (f"nothing-{name}",), tell)
        for number in range(AT_ONCE):
            turns.release_on_behalf_of(number)
    waiting = "waiting for other environments to be made, {} more before this one"
    assert sorted(told) == [waiting.format(before) for before in (0, 1)]


async def _refused(opened: Opened, template: str, requirements: tuple[str, ...], tell: Tell) -> None:
    with pytest.raises(Busy, match="other environments have been in the making for"):
        await opened.environments.ensure(template, requirements, tell)


async def test_uv_that_takes_too_long_leaves_nothing(own: Settings, template: str) -> None:
    async with _open(msgspec.structs.replace(own, environment_seconds=0.02)) as opened:
        with pytest.raises(Exception, match=r"did not end within 0\.02 seconds"):
            await opened.environments.ensure(template, ())
        assert list((own.home / "bases").iterdir()) == []


async def test_an_interpreter_that_is_not_there_is_told(own: Settings, template: str) -> None:
    async with _open(msgspec.structs.replace(own, python=Path("/no/such/python"))) as opened:
        with pytest.raises(StorageFailed, match="/no/such/python"):
            await opened.environments.ensure(template, ())


async def test_an_interpreter_that_is_none_is_told_in_the_words_of_uv(own: Settings, template: str) -> None:
    async with _open(msgspec.structs.replace(own, python=Path("/etc/passwd"))) as opened:
        with pytest.raises(EnvironmentFailed, match="uv could not make an environment from `/etc/passwd`; it says:\n"):
            await opened.environments.ensure(template, ())


async def test_the_key_is_of_the_interpreter_and_the_requirements(opened: Opened) -> None:
    key = opened.environments.key
    assert key(()) == key(())
    assert len({key(()), key(("a",)), key(("b",)), key(("a", "b"))}) == 4


async def test_no_configuration_of_whoever_runs_it_reaches_uv(
    own: Settings, template: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configuration = tmp_path / "uv" / "uv.toml"
    configuration.parent.mkdir()
    configuration.write_text("this is no TOML")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("UV_CONFIG_FILE", str(configuration))
    monkeypatch.setenv("VIRTUAL_ENV", "/nowhere")
    async with _open(own) as opened:
        assert health((await opened.environments.ensure(template, ())).path) is None


async def test_nothing_that_was_installed_runs_while_an_environment_is_made_or_checked(
    opened: Opened, template: str, tmp_path: Path
) -> None:
    made = await opened.environments.ensure(template, ())
    (packages,) = (made.base / "lib").glob("python3.*/site-packages")
    flag = tmp_path / "flag"
    (packages / "evil.pth").write_text(f"import pathlib; pathlib.Path({str(flag)!r}).touch()\n")
    try:
        assert await opened.environments.works(made)
        await opened.environments._uv.compile(made.base / "lib")  # noqa: SLF001 - the step of a make that starts its Python
        assert not flag.exists()
    finally:
        (packages / "evil.pth").unlink()


async def test_a_wheel_that_changes_where_the_environment_finds_python_s_own_modules_runs_nothing_when_it_is_installed(
    own: Settings, template: str, tmp_path: Path
) -> None:
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    library, flag = tmp_path / "fake" / "lib" / version, tmp_path / "flag"
    (library / "encodings").mkdir(parents=True)
    (library / "os.py").touch()
    (library / "encodings" / "__init__.py").write_text(f"import posix\nposix.mkdir({str(flag)!r})\n")
    publish(tmp_path / "index", "strange_thing", {"data/pyvenv.cfg": f"home = {tmp_path / 'fake' / 'bin'}\n"})
    settings = msgspec.structs.replace(own, passed={**own.passed, "UV_INDEX": (tmp_path / "index").as_uri()})
    async with _open(settings) as opened:
        made = await opened.environments.ensure(template, ("strange-thing",))
    assert not flag.exists()
    await run([python_of(made.path), "-I", "-S", "-c", ""], env={}, seconds=SECONDS)
    assert flag.exists(), "the wheel does nothing"


async def test_what_a_failed_installation_left_is_gone_before_uv_looks_again(
    own: Settings, template: str, tmp_path: Path, uv_runs: list[str]
) -> None:
    publish(tmp_path / "index", "strange_thing", {"data/bin/python": ""})
    settings = msgspec.structs.replace(own, passed={**own.passed, "UV_INDEX": (tmp_path / "index").as_uri()})
    async with _open(settings) as opened:
        await opened.environments.ensure(template, ())
        uv_runs.clear()
        with pytest.raises(EnvironmentFailed, match="reserved name"):
            await opened.environments.ensure(template, ("strange-thing",))
    assert uv_runs[-3:] == ["pip", "venv", "pip"]
