"""What does uv get of a template? Names and versions, no file and nothing to build; and none writes what uv keeps."""

from __future__ import annotations

import io
import json
import socket
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from dynamo_mcp.errors import EnvironmentFailed
from dynamo_mcp.sources.tree import digest
from homes import SLUG, Home, base_environments
from wheels import publish

pytestmark = pytest.mark.anyio

KEPT = ("bases", "venvs", "wheels", "checkouts", "templates")


@pytest.fixture
def home(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = Home(tmp_path, base_environments(tmp_path_factory))
    home.take_wheels()
    return home


@pytest.fixture
def canary() -> Iterator[str]:
    """The address of a package index that nobody may have asked when the test ends."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/simple"
        with pytest.raises(BlockingIOError):
            listener.accept()


async def test_no_file_of_a_template_changes_where_packages_come_from(
    home: Home, canary: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = publish(home.root / "index", "strange_thing", {"strange_thing.py": ""})
    ran = home.root / "ran"
    hostile = {
        "uv.toml": f'index-url = "{canary}"\nno-build = false\n',
        "pyproject.toml": f'[project]\nname = "x"\nversion = "1"\n[tool.uv]\nindex-url = "{canary}"\n',
        "requirements.txt": f"--index-url {canary}\n-e .\nno-such-thing-anywhere @ {canary}/x.whl\n",
        "constraints.txt": f"--extra-index-url {canary}\n",
        ".env": f"UV_INDEX_URL={canary}\nUV_DEFAULT_INDEX={canary}\n",
        ".python-version": "2.7\n",
        "pip.conf": f"[global]\nindex-url = {canary}\n",
        "setup.py": f"open({str(ran)!r}, 'w')\n",
    }
    files = {**hostile, **{f"{SLUG}/{name}": text for name, text in hostile.items()}}
    files |= {f"hooks/{name}": text for name, text in hostile.items()}
    async with home.open({"UV_DEFAULT_INDEX": index}) as dynamo:
        folder = await home.add(dynamo, "one", files)
        monkeypatch.chdir(folder)
        await dynamo.create_project("one", str(home.outputs))
        # What no cache holds is asked for at the operator's index, and nowhere else.
        with pytest.raises(EnvironmentFailed):
            await dynamo.add_template(
                str(home.templates / "one"), name="other", requirements=("no-such-thing-anywhere",)
            )
    assert not ran.exists()


async def test_what_no_network_has_is_told_with_the_setting_that_says_so(home: Home) -> None:
    async with home.open({"UV_OFFLINE": "1"}) as dynamo:
        await home.add(dynamo, "one")
        with pytest.raises(EnvironmentFailed) as raised:
            await dynamo.add_template(str(home.templates / "one"), name="other", requirements=("not-in-the-cache",))
    assert "`UV_OFFLINE`" in raised.value.hint


@pytest.mark.parametrize("said", ["No space left on device (os error 28)", "Disk quota exceeded (os error 122)"])
async def test_a_disk_that_is_full_is_not_told_as_the_index_s_fault(
    said: str, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = home.root / "uv"
    fake.write_text(f"#!/bin/sh\necho 'error: {said}' >&2\nexit 2\n")
    fake.chmod(0o755)
    monkeypatch.setattr("uv.find_uv_bin", lambda: str(fake))
    async with home.open() as dynamo:
        await home.add(dynamo, "one")
        with pytest.raises(EnvironmentFailed) as raised:
            await dynamo.add_template(str(home.templates / "one"), name="other", requirements=("not-in-the-cache",))
    assert "free some space" in raised.value.hint


async def test_nothing_is_built_from_source(home: Home) -> None:
    ran = home.root / "ran"
    index = home.root / "index"
    folder = index / "only-source"
    folder.mkdir(parents=True)
    with tarfile.open(folder / "only_source-1.0.tar.gz", "w:gz") as archive:
        for name, text in {
            "setup.py": f"open({str(ran)!r}, 'w')\nimport setuptools\nsetuptools.setup()\n",
            "PKG-INFO": "Metadata-Version: 2.1\nName: only-source\nVersion: 1.0\n",
        }.items():
            entry = tarfile.TarInfo(f"only_source-1.0/{name}")
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    (folder / "index.html").write_text('<a href="only_source-1.0.tar.gz">only_source-1.0.tar.gz</a>')
    async with home.open({"UV_INDEX": index.as_uri()}) as dynamo:
        await home.add(dynamo, "one")
        with pytest.raises(EnvironmentFailed, match="only-source"):
            await dynamo.add_template(str(home.templates / "one"), name="other", requirements=("only-source",))
    assert not ran.exists()


async def test_a_job_changes_neither_its_environment_nor_its_base_nor_what_uv_keeps(home: Home) -> None:
    hook = f"""
import json, os, pathlib, shutil, sys
done = []
def attempt(what, act, path):
    try:
        act(path)
    except OSError:
        return
    done.append(what + " " + str(path))
def through_a_link(path):
    os.link(path, "linked")
    with open("linked", "ab") as file:
        file.write(b"x")
home = pathlib.Path({str(home.path)!r})
own = pathlib.Path(sys.prefix)
packages = pathlib.Path(os.__file__).parent, *own.glob("lib/python3.*/site-packages")
seen = [path for path in packages[-1].rglob("*.py")][:50]
assert seen, "it sees nothing of its environment"
files = [*seen, own / "pyvenv.cfg", own / "bin" / "python"]
files += [path for name in {KEPT!r} for path in list((home / name).rglob("*"))[:50]]
for path in files:
    attempt("append", lambda path: open(path, "ab").write(b"x"), path)
    attempt("chmod", lambda path: os.chmod(path, 0o777), path)
    attempt("utime", lambda path: os.utime(path, (1, 1)), path)
    attempt("link", through_a_link, path)
    attempt("truncate", lambda path: os.truncate(path, 0), path)
    attempt("unlink", os.unlink, path)
for folder in (own, packages[-1], own / "bin", *(home / name for name in {KEPT!r})):
    attempt("create", lambda path: (path / "evil.pth").write_text("import os"), folder)
    attempt("rename", lambda path: os.rename(path, str(path) + "-x"), folder)
    attempt("remove", shutil.rmtree, folder)
pathlib.Path("done.json").write_text(json.dumps(done))
"""
    async with home.open() as dynamo:
        await home.add(dynamo, "hostile", post_gen_project=hook)
        await home.add(dynamo, "other")
        await dynamo.create_project("other", str(home.outputs), {"slug": "before"})
        await dynamo.create_project("hostile", str(home.outputs), {"slug": "first"})
        (environment,) = (home.path / "venvs").glob("hostile-*")
        packages = environment / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
        assert (packages / "cookiecutter" / "main.py").stat().st_nlink > 1, "environments share nothing"
        before = {name: digest(home.path / name) for name in KEPT}
        await dynamo.create_project("hostile", str(home.outputs), {"slug": "second"})
        assert {name: digest(home.path / name) for name in KEPT} == before
        await dynamo.create_project("other", str(home.outputs), {"slug": "after"})
    for name in ("first", "second"):
        assert json.loads((home.outputs / name / "done.json").read_text()) == []
