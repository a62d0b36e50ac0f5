"""What do the hooks of ordinary templates do? Each does one thing, and fails where that does not work."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path

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
        import datetime, hashlib, pathlib, subprocess, zoneinfo
        berlin = datetime.datetime(2026, 7, 1, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin"))
        assert berlin.utcoffset() == datetime.timedelta(hours=2)
        here = datetime.datetime.now().astimezone()
        assert here.strftime("%z") == subprocess.check_output(["date", "+%z"], text=True).strip()
        print(here.strftime("%z"))
        local = pathlib.Path("/etc/localtime")
        print(hashlib.sha256(local.read_bytes()).hexdigest() if local.exists() else "none")
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


def script(title: str) -> tuple[str, str]:
    """Return a hook's file name and its text."""
    name, code = HOOKS[title]
    return name, textwrap.dedent(code).strip("\n") + "\n"
