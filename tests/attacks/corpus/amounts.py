"""Of what could a template use so much that others suffer? The limits here are small, so that nothing does."""

from __future__ import annotations

import stat

from attacks.attack import SLUG, Attack
from attacks.scene import Scene

MIB = 1 << 20
MEMORY_BYTES = 256 * MIB
"""The limit of one process, in these tests."""
OUTPUT_BYTES = 64 * MIB
OUTPUT_FILES = 1000
PROCESSES = 64
PRINTED_BYTES = 1 << 20
CREATE_SECONDS = 3.0
"""How long the endless ones may take, in these tests."""
MEMORY = "needed more memory"
BLOCK = "block = bytearray(120 << 20); block[::4096] = b'x' * len(block[::4096])"
FILL = """
import socket
def full():
    pair = socket.socketpair()
    for end in pair:
        end.setblocking(False)
        try:
            while True:
                end.send(bytes(32768))
        except BlockingIOError:
            pass
    return pair
"""


def together(number: int, hold: str) -> str:
    """Return code that holds something in so many processes at once, and is content when none was ended."""
    return f"""
import time
for child in range({number}):
    if os.fork() == 0:
        {hold}
        time.sleep(1)
        if child == {number} - 1:
            keep('needed more ' + 'memory')
        os._exit(0)
for child in range({number}):
    os.wait()
"""


def large(scene: Scene) -> bool:
    return any(path.lstat().st_size > OUTPUT_BYTES for path in scene.made if stat.S_ISREG(path.lstat().st_mode))


def overran(scene: Scene) -> bool:
    return scene.overran


ATTACKS = (
    Attack(
        "forks",
        "start as many processes as it can",
        "getrlimit(2): `RLIMIT_NPROC` does not count for root",
        lambda scene: sum(path.name.startswith("child-") for path in scene.made) > PROCESSES,
        hook="""
import time
for number in range(160):
    if os.fork() == 0:
        open('child-' + str(number), 'w').close()
        os.execv('/bin/sleep', ['<<marker>>', '3'])
time.sleep(0.2)
""",
    ),
    Attack(
        "uses-memory",
        "use more memory than one process may",
        "getrlimit(2), `RLIMIT_DATA`",
        lambda scene: MEMORY in scene.loot,
        hook="block = bytearray(384 << 20)\nblock[::4096] = b'x' * len(block[::4096])\nkeep('needed more ' + 'memory')",
    ),
    Attack(
        "uses-memory-together",
        "use too much memory with several processes, each of which may use its part",
        "getrlimit(2): no limit counts for all of them",
        lambda scene: MEMORY in scene.loot,
        hook=together(4, BLOCK),
        told="memory",
    ),
    Attack(
        "uses-memory-in-threads",
        "use too much memory in threads of processes that look as if they had ended",
        "proc_pid_status(5): the first thread tells it, as long as it lives",
        lambda scene: MEMORY in scene.loot,
        hook=f"""
import ctypes, threading, time
def hold(number):
    {BLOCK}
    time.sleep(1)
    if number == 3:
        keep('needed more ' + 'memory')
    os._exit(0)
for number in range(4):
    if os.fork() == 0:
        threading.Thread(target=hold, args=[number]).start()
        ctypes.CDLL(None).syscall({{'x86_64': 60, 'aarch64': 93}}[os.uname().machine], 0)
for number in range(4):
    os.wait()
""",
        told="memory",
    ),
    Attack(
        "uses-memory-without-a-name",
        "use too much memory in files that no folder has and no process maps",
        "memfd_create(2)",
        lambda scene: MEMORY in scene.loot,
        hook="""
files = [os.memfd_create('x') for number in range(10)]
for file in files:
    os.write(file, bytes(40 << 20))
keep('needed more ' + 'memory')
""",
    ),
    Attack(
        "uses-memory-of-the-kernel",
        "use too much memory in the buffers of sockets",
        "socket(7): buffers are nobody's memory",
        lambda scene: MEMORY in scene.loot,
        hook=FILL + together(12, "pairs = [full() for pair in range(110)]"),
        told="memory",
    ),
    Attack(
        "writes-a-large-file",
        "write a file of 96 MiB",
        "getrlimit(2), `RLIMIT_FSIZE`",
        large,
        hook="import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "with open('large', 'wb') as file:\n    file.seek((96 << 20) - 1)\n    file.write(b'x')",
    ),
    Attack(
        "raises-its-limits",
        "raise its limits, then make a file with a hole of 1 TiB",
        "setrlimit(2); `CAP_SYS_RESOURCE`",
        large,
        hook="import resource\ntry:\n    resource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1))\n"
        "finally:\n    with open('large', 'wb') as file:\n        file.truncate(1 << 40)",
    ),
    Attack(
        "fills-the-disk",
        "write more than a project may have, in files of 8 MiB",
        "tmpfs(5), `size`",
        lambda scene: sum(path.lstat().st_size for path in scene.made) > OUTPUT_BYTES,
        hook="block = b'x' * (8 << 20)\nfor number in range(16):\n    open('part-' + str(number), 'wb').write(block)",
        told="more than 67108864 bytes",
    ),
    Attack(
        "makes-many-files",
        "make more files than a project may have",
        "tmpfs(5): bubblewrap sets no `nr_inodes`",
        lambda scene: sum(1 for _ in scene.made) > OUTPUT_FILES,
        hook="for number in range(1500):\n    open('file-' + str(number), 'w').close()",
        told="more than 1000 files",
    ),
    Attack(
        "makes-many-names",
        "make very many links in its temporary folder, each of which takes memory of the kernel",
        "tmpfs(5): bubblewrap sets no `nr_inodes`",
        lambda scene: "made them " + "all" in scene.loot,
        hook="""
import shutil, tempfile, time
folder = tempfile.mkdtemp()
for number in range(3000):
    os.symlink('x' * 200, folder + '/' + 'x' * 200 + str(number))
time.sleep(1)
shutil.rmtree(folder)
keep('made them ' + 'all')
""",
        told="more than 1000 files",
    ),
    Attack(
        "prints-much",
        "print until whoever keeps it has no memory left",
        "pipes read to their end",
        lambda scene: scene.loot.count("y") > PRINTED_BYTES,
        hook="sys.stdout.write('y' * (4 << 20))",
    ),
    Attack(
        "hangs",
        "never end",
        "a hook that waits for a terminal",
        overran,
        hook="import time; time.sleep(3600)",
        endless=True,
    ),
    Attack(
        "bomb-of-time",
        "let Jinja count for years",
        "loops in loops, in a file of a hundred bytes",
        overran,
        files={f"{SLUG}/bomb": "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"},
        endless=True,
    ),
    Attack(
        "bomb-of-memory",
        "let Jinja make a text of 384 MiB",
        "`'x' * number`",
        lambda scene: "length 402653184" in scene.loot,
        files={f"{SLUG}/bomb": "length {{ ('x' * cycler('402653184').next()|int) | length }}"},
    ),
)
