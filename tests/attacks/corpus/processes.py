"""What could a template do to other processes and to the kernel, and what could go on when it is done?"""

from __future__ import annotations

from attacks.attack import Attack
from attacks.scene import Scene

CALL = """
import ctypes
library = ctypes.CDLL(None, use_errno=True)
def call(*arguments):
    done = library.syscall(*[ctypes.c_long(a) if isinstance(a, int) else a for a in arguments])
    if done < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return done
arm = os.uname().machine == 'aarch64'
"""


def called(scene: Scene) -> bool:
    return "the kernel did it" in scene.loot


def killed(scene: Scene) -> bool:
    return not scene.victim_lived


def lives_on(scene: Scene) -> bool:
    return any(scene.alive() for _ in range(3))


ATTACKS = (
    Attack(
        "sees-processes",
        "see which programs run, with their arguments",
        "proc(5); secrets on command lines",
        lambda scene: f"victim-{scene.stage.abstract_name}" in scene.loot,
        hook="""
for number in os.listdir('/proc'):
    try:
        keep(open('/proc/' + number + '/cmdline').read())
    except OSError:
        pass
""",
    ),
    Attack(
        "kills",
        "kill another process of the same user",
        "landlock(7): signals are scoped since ABI 6",
        killed,
        hook="os.kill(<<process>>, 9)",
    ),
    Attack(
        "traces",
        "take another process over as a debugger does",
        "ptrace(2)",
        killed,
        hook=f"{CALL}\nlibrary.ptrace(16, <<process>>, 0, 0)\nos.waitpid(<<process>>, 0x40000000)\n"
        "library.ptrace(17, <<process>>, 0, 9)",
    ),
    Attack(
        "slows-down",
        "take processor time away from another process",
        "setpriority(2): Landlock does not restrict it",
        lambda scene: scene.victim_nice != 0,
        hook="os.setpriority(os.PRIO_PROCESS, <<process>>, 19)",
    ),
    Attack(
        "types",
        "type a command into the terminal that the server was started from",
        "CVE-2017-5226 (bubblewrap), `TIOCSTI`",
        lambda scene: b"x" in scene.typed,
        hook="import fcntl; fcntl.ioctl(os.open('/dev/tty', os.O_RDWR), 0x5412, b'x')",
    ),
    Attack(
        "survives",
        "leave a daemon behind",
        "daemon(7): fork, setsid, fork",
        lives_on,
        hook="""
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        null = os.open(os.devnull, os.O_RDWR)
        for number in range(3):
            os.dup2(null, number)
        os.execv('/bin/sleep', ['<<marker>>', '60'])
    os._exit(0)
""",
    ),
    Attack(
        "runs-away",
        "leave a process that forks faster than it can be killed",
        "a race that looking for processes loses",
        lives_on,
        hook="""
import subprocess
code = 'import os, time\\nend = time.monotonic() + 3\\nwhile time.monotonic() < end:\\n' \\
    '    if os.fork(): os._exit(0)\\n    time.sleep(0.05)'
subprocess.Popen([sys.executable, '-I', '-S', '-c', code, '<<marker>>'], start_new_session=True,
                 stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
import time; time.sleep(0.3)
""",
    ),
    Attack(
        "makes-namespaces",
        "become root of a new user namespace",
        "CVE-2022-0185 and many others: holes behind it",
        called,
        hook=f"{CALL}\ncall(97 if arm else 272, 0x10000000)\nkeep('the kernel ' + 'did it')",
    ),
    Attack(
        "uses-rings",
        "make an io_uring, whose requests no filter sees",
        "io_uring_setup(2); CVE-2022-29582 and others",
        called,
        hook=f"{CALL}\ncall(425, 1, ctypes.create_string_buffer(120))\nkeep('the kernel ' + 'did it')",
    ),
    Attack(
        "uses-keys",
        "keep a key in the user's keyring, which no namespace hides",
        "keyrings(7)",
        called,
        hook=f"{CALL}\ncall(217 if arm else 248, b'user', b'<<marker>>', b'x', 1, -4)\nkeep('the kernel ' + 'did it')",
    ),
    Attack(
        "mounts",
        "mount a file system",
        "mount(2)",
        called,
        hook=f"{CALL}\nos.mkdir('mounted')\ncall(40 if arm else 165, b't', b'mounted', b'tmpfs', 0, 0)\n"
        "keep('the kernel ' + 'did it')\nlibrary.umount2(b'mounted', 2)",
        root_only=True,
    ),
)
