"""What ordinary templates do in their hooks works in the sandbox, for root and for an ordinary user alike."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest
from mcp import Client, StdioServerParameters

from homes import SLUG, write_template
from integration.places import SECONDS, Place
from people import ONLY_ROOT, as_user, give

SEARCH_PATH = "/usr/local/bin:/usr/bin:/bin"
"""Where hooks find the machine's executables."""
MADE = "made"
MANY = 2000
MANY_FILES = "2,000 files"

HOOKS: dict[str, tuple[str, str]] = {
    "git init and commit in a shell hook": (
        "post_gen_project.sh",
        """
        #!/bin/sh
        set -e
        git init --quiet
        git add --all
        git commit --quiet --message "Initial commit"
        git tag -a v0 --message "Begun"
        git checkout --quiet -b develop
        test -z "$(git status --porcelain)"
        test "$(git rev-list --count HEAD)" = 1
        """,
    ),
    "git by subprocess in a Python hook": (
        "post_gen_project.py",
        """
        import subprocess
        for words in ("init", "add --all", "commit --message one", "gc", "stash list", "worktree list"):
            subprocess.run(["git", *words.split()], check=True)
        assert len(subprocess.check_output(["git", "log", "--format=%H"]).split()) == 1
        """,
    ),
    "pipes, traps, jobs and here-documents of sh": (
        "post_gen_project.sh",
        r"""
        #!/bin/sh
        set -eu
        trap 'rm -f "$TMPDIR/list"' EXIT
        find . -type f | sort > "$TMPDIR/list"
        (sleep 0; echo one > job-1) & (echo two > job-2) &
        wait
        cat > notes.txt <<END
        $(wc -l < "$TMPDIR/list") files in $(basename "$PWD")
        END
        sed -i 's/files/names/' notes.txt
        grep -q 'names in made' notes.txt
        printf '%s\n' a b c | tr a-z A-Z | xargs -n 1 | tail -1 | grep -qx C
        chmod +x README.md
        ln -s README.md link
        tar czf "$TMPDIR/all.tgz" . && tar tzf "$TMPDIR/all.tgz" | grep -q README.md
        """,
    ),
    "bash with process substitution and arrays": (
        "pre_gen_project.sh",
        """
        #!/usr/bin/env bash
        set -euo pipefail
        names=(b a)
        read -r first < <(printf '%s\\n' "${names[@]}" | sort)
        [[ $first == a ]]
        diff <(echo same) <(echo same)
        """,
    ),
    "perl and awk": (
        "post_gen_project.sh",
        """
        #!/bin/sh
        set -e
        perl -i -pe 's/^made$/made by perl/' README.md
        grep -qx 'made by perl' README.md
        test "$(awk 'BEGIN { print 6 * 7 }')" = 42
        """,
    ),
    "make": (
        "post_gen_project.sh",
        r"""
        #!/bin/sh
        set -e
        printf 'all: one two\n%%:\n\ttouch $@\n' > Makefile
        make --silent --jobs=2
        test -f one && test -f two
        """,
    ),
    "a hook in perl": (
        "post_gen_project",
        "#!/usr/bin/perl\nopen(my $f, '>', 'by-perl') or die; print $f $$; close $f",
    ),
    "multiprocessing": (
        "post_gen_project.py",
        """
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor
        from multiprocessing.shared_memory import SharedMemory

        def add(number, total):
            with total.get_lock():
                total.value += number

        if __name__ == "__main__":
            for method in ("fork", "spawn"):
                context = multiprocessing.get_context(method)
                total = context.Value("i", 0)
                started = [context.Process(target=add, args=(number, total)) for number in range(4)]
                for process in started:
                    process.start()
                for process in started:
                    process.join()
                assert total.value == 6
            with multiprocessing.get_context("fork").Pool(3) as pool:
                assert pool.map(abs, range(-50, 0)) == list(range(50, 0, -1))
            with ProcessPoolExecutor(2, multiprocessing.get_context("fork")) as executor:
                assert list(executor.map(abs, [-1, -2])) == [1, 2]
            memory = SharedMemory(create=True, size=1 << 20)
            memory.close()
            memory.unlink()
        """,
    ),
    "threads": (
        "post_gen_project.py",
        """
        import queue, threading
        from concurrent.futures import ThreadPoolExecutor
        with ThreadPoolExecutor(20) as executor:
            assert sum(executor.map(abs, range(-100, 0))) == 5050
        passed = queue.Queue()
        threading.Thread(target=passed.put, args=["here"], daemon=True).start()
        assert passed.get(timeout=20) == "here"
        """,
    ),
    "asyncio with subprocesses, signals and threads": (
        "post_gen_project.py",
        """
        import asyncio, os, signal
        async def main():
            asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, seen.set)
            os.kill(os.getpid(), signal.SIGUSR1)
            await asyncio.wait_for(seen.wait(), 20)
            echo = lambda number: asyncio.create_subprocess_exec("echo", str(number), stdout=asyncio.subprocess.PIPE)
            said = [(await each.communicate())[0] for each in await asyncio.gather(*map(echo, range(5)))]
            assert said == [b"%d\\n" % number for number in range(5)]
            assert await asyncio.to_thread(os.getpid) == os.getpid()
        seen = asyncio.Event()
        asyncio.run(main())
        """,
    ),
    "a sqlite file in the project": (
        "post_gen_project.py",
        """
        import sqlite3
        with sqlite3.connect("data.db") as database:
            assert database.execute("pragma journal_mode = wal").fetchone() == ("wal",)
            database.execute("create table notes (text)")
            database.executemany("insert into notes values (?)", [(str(number),) for number in range(1000)])
        database.close()
        """,
    ),
    "python -m venv outside the project": (
        "post_gen_project.py",
        """
        import os, subprocess, sys
        venv = os.path.join(os.environ["TMPDIR"], "venv")
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
        own = os.path.join(venv, "bin", "python")
        code = "import sys, json, ssl; print(sys.prefix != sys.base_prefix, sys.prefix)"
        assert subprocess.check_output([own, "-c", code], text=True).split() == ["True", venv]
        """,
    ),
    "the time zone": (
        "post_gen_project.py",
        """
        import datetime, subprocess, time, zoneinfo
        berlin = datetime.datetime(2026, 7, 1, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin"))
        assert berlin.utcoffset() == datetime.timedelta(hours=2)
        here = datetime.datetime.now().astimezone()
        assert here.strftime("%z") == subprocess.check_output(["date", "+%z"], text=True).strip()
        print(here.strftime("%z"))
        """,
    ),
    "files whose names are not ASCII": (
        "post_gen_project.py",
        """
        import pathlib, subprocess
        assert pathlib.Path("größe-é.txt").read_text("utf-8") == "Größe\\n"
        pathlib.Path("日本語").mkdir()
        pathlib.Path("日本語", "файл \\U0001f40d.md").write_text("ja", "utf-8")
        pathlib.Path("größe-é.txt").rename("kleiner.txt")
        assert "файл" in subprocess.check_output(["ls", "日本語"], text=True)
        """,
    ),
    "the locale": (
        "post_gen_project.py",
        """
        import locale, sys
        locale.setlocale(locale.LC_ALL, "")
        assert locale.getpreferredencoding().upper() == sys.getfilesystemencoding().upper() == "UTF-8"
        print("größer")
        """,
    ),
    "temporary files and folders": (
        "post_gen_project.py",
        """
        import os, shutil, tempfile
        with tempfile.TemporaryDirectory() as folder, tempfile.NamedTemporaryFile(dir=folder) as file:
            file.write(bytes(10 << 20))
            file.flush()
            shutil.copy(file.name, "copied")
        with tempfile.TemporaryFile() as file, tempfile.SpooledTemporaryFile(max_size=1) as spooled:
            file.write(b"one")
            spooled.write(b"two")
        assert tempfile.gettempdir() == os.environ["TMPDIR"]
        os.remove("copied")
        """,
    ),
    "shutil and the executables of the machine": (
        "post_gen_project.py",
        """
        import os, shutil, sys
        assert all(shutil.which(name) for name in ("git", "sh", "tar", "python"))
        assert os.path.dirname(shutil.which("python")) == os.path.dirname(sys.executable)
        os.mkdir("one")
        open("one/file", "w").close()
        shutil.copytree("one", "two", copy_function=shutil.copy2)
        shutil.move("two", "three")
        shutil.make_archive("archive", "zip", "three")
        shutil.unpack_archive("archive.zip", "four")
        shutil.rmtree("one")
        assert shutil.disk_usage(".").free > 1 << 20
        """,
    ),
    "files that are locked, mapped, linked, dated and made executable": (
        "post_gen_project.py",
        """
        import fcntl, mmap, os
        with open("README.md", "r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            with mmap.mmap(file.fileno(), 0) as mapped:
                assert mapped[:4] == b"made"
        os.chmod("README.md", 0o755)
        os.utime("README.md", (0, 0))
        os.link("README.md", "hard")
        os.symlink("README.md", "soft")
        os.sync()
        """,
    ),
    "settings and caches in the home folder": (
        "post_gen_project.py",
        """
        import getpass, pathlib
        folder = pathlib.Path.home() / ".cache" / "some-program"
        folder.mkdir(parents=True)
        (folder / "state").write_text("kept until the job ends")
        assert pathlib.Path("~").expanduser() == pathlib.Path.home()
        assert getpass.getuser()
        """,
    ),
    "150 MB of memory": (
        "post_gen_project.py",
        """
        held = bytearray(150 << 20)
        held[:: 4096] = bytes(len(held[:: 4096])).replace(b"\\0", b"x")
        assert held.count(b"x") == 150 << 8
        """,
    ),
    "what is known of the machine, random bytes and digests": (
        "post_gen_project.py",
        """
        import hashlib, os, platform, secrets, socket, ssl, uuid
        assert os.cpu_count() and platform.platform() and socket.gethostname()
        assert len({secrets.token_hex(), uuid.uuid4().hex, uuid.uuid1().hex}) == 3
        assert os.sysconf("SC_PHYS_PAGES") > 0 and os.path.exists("/proc/meminfo")
        assert hashlib.sha256(b"").hexdigest().startswith("e3b0c442")
        ssl.create_default_context()
        """,
    ),
    "packages that cookiecutter brings": (
        "post_gen_project.py",
        """
        import cookiecutter.main, jinja2, requests, rich, slugify, yaml
        assert jinja2.Template("{% raw %}{{ x|upper }}{% endraw %}").render(x="a") == "A"
        assert yaml.safe_load("a: [1]") == {"a": [1]}
        """,
    ),
    "a process that stays behind": (
        "post_gen_project.sh",
        "#!/bin/sh\nnohup sleep 600 >/dev/null 2>&1 &\nsetsid sleep 600 >/dev/null 2>&1 &\n",
    ),
}
FILES = {"files whose names are not ASCII": {"{{cookiecutter.name}}.txt": "Größe\n"}}
ANSWERS = {"files whose names are not ASCII": {"name": "größe-é"}}
FOUND: dict[str, Callable[[Path], bool]] = {
    "git init and commit in a shell hook": lambda made: (made / ".git" / "refs" / "heads" / "develop").is_file(),
    "a sqlite file in the project": lambda made: (made / "data.db").read_bytes().startswith(b"SQLite format 3"),
    "files whose names are not ASCII": lambda made: (made / "日本語" / "файл \U0001f40d.md").is_file(),
    "files that are locked, mapped, linked, dated and made executable": lambda made: (
        (made / "soft").readlink() == Path("README.md") and (made / "hard").stat().st_mode & 0o111 == 0o111
    ),
}
"""What is looked for in the project, where the hook itself can't tell."""


class Person(msgspec.Struct, frozen=True):
    """Who runs the server, and on what machine.

    Attributes:
        command: Returns the command that runs another as they do; it is given the folder that it works in.
        mechanism: What confines their templates first of all.
        lacks: Hooks that can't work there, each with what is said then.
    """

    command: Callable[[Sequence[str | Path], Path], Sequence[str | Path]]
    mechanism: str = "bubblewrap"
    lacks: dict[str, str] = {}


ORDINARY = "an ordinary user"
PEOPLE = {
    "whoever runs the tests": Person(lambda command, _folder: command),
    ORDINARY: Person(as_user),
}


class Ended(msgspec.Struct, frozen=True):
    """How a create ended: what the server said, and the project's folder."""

    said: str
    project: dict[str, Any] | None
    made: Path


@pytest.fixture(
    scope="module", params=[pytest.param(name, marks=[ONLY_ROOT] if name == ORDINARY else []) for name in PEOPLE]
)
def person(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def ended(person: str, ready: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ended]:
    """Every template, created from by one server of that person's."""
    place = Place(tmp_path_factory.mktemp("benign"), ready)
    for title, (name, code) in HOOKS.items():
        lines = code.strip("\n").splitlines()
        indent = len(lines[0]) - len(lines[0].lstrip())
        text = "".join(f"{line[indent:]}\n" for line in lines)
        files: dict[str, str | bytes] = {f"{SLUG}/{path}": made for path, made in FILES.get(title, {}).items()}
        files[f"hooks/{name}"] = text
        configuration = {"slug": MADE, **dict.fromkeys(ANSWERS.get(title, {}), "")}
        write_template(place.templates / _name(title), files, configuration=configuration)
    many: dict[str, str | bytes] = {
        f"{SLUG}/part-{number // 50}/{SLUG}-{number}.txt": "{{cookiecutter.slug}}" for number in range(MANY)
    }
    write_template(place.templates / _name(MANY_FILES), many)
    place.outputs.mkdir()
    if person == ORDINARY:
        give(place.root)
    return anyio.run(partial(_create_all, place, PEOPLE[person]))


async def _create_all(place: Place, person: Person) -> dict[str, Ended]:
    command, *arguments = map(str, person.command([sys.executable, "-m", "dynamo_mcp"], place.root))
    environment = {**place.environment, "HOME": str(place.root)}
    server = StdioServerParameters(command=command, args=arguments, env=environment, cwd=str(place.root))
    found = {}
    async with Client(server, mode="2026-07-28", read_timeout_seconds=SECONDS) as client:
        for title in [*HOOKS, MANY_FILES]:
            name = _name(title)
            result: Any = await client.call_tool("add_template", {"url": str(place.templates / name)})
            if not result.is_error:
                given = {"template_name": name, "output_dir": str(place.outputs / name)}
                result = await client.call_tool("create_project", {**given, "variables": ANSWERS.get(title, {})})
            said = "\n".join(block.text for block in result.content if block.type == "text")
            project = None if result.is_error else result.structured_content
            found[title] = Ended(said, project, place.outputs / name / MADE)
    return found


def _name(title: str) -> str:
    return f"benign-{[*HOOKS, MANY_FILES].index(title)}"


@pytest.mark.parametrize("title", HOOKS)
def test_a_hook_that_does_what_hooks_do_works(title: str, person: str, ended: dict[str, Ended]) -> None:
    if title == "make" and shutil.which("make", path=SEARCH_PATH) is None:
        pytest.skip("this machine has no `make`")
    run = ended[title]
    if title in PEOPLE[person].lacks:
        assert run.project is None
        assert PEOPLE[person].lacks[title] in run.said
        return
    assert run.project is not None, run.said
    assert (run.project["trust"], run.project["tier"]) == ("contained", "strong")
    assert run.project["mechanisms"][0] == PEOPLE[person].mechanism
    assert [hook["hook"] for hook in run.project["hooks"]] == [HOOKS[title][0]]
    assert (run.made / "README.md").is_file()
    assert FOUND.get(title, Path.is_dir)(run.made)


def test_a_template_of_two_thousand_files_is_made_whole(ended: dict[str, Ended]) -> None:
    run = ended[MANY_FILES]
    assert run.project is not None, run.said
    assert len([path for path in run.made.rglob("*") if path.is_file()]) == MANY + 1
    assert (run.made / "part-39" / "made-1999.txt").read_text() == MADE


def test_the_time_zone_of_a_hook_is_that_of_the_machine(ended: dict[str, Ended]) -> None:
    run = ended["the time zone"]
    assert run.project is not None, run.said
    here = subprocess.check_output(["date", "+%z"], env={"PATH": SEARCH_PATH}, text=True)
    assert run.project["hooks"][0]["output"] == here
