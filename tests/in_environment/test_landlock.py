"""Which paths a job may touch: each attempt works without `confine`, and fails as expected with it."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

Attempt = Callable[..., str]

FORBIDDEN = {
    "reads a file outside": ("open(outside + '/secret').read()", "EACCES", 1),
    "reads a file outside through a link": (
        "open(inside + '/link').read()",
        "EACCES",
        1,
    ),
    "lists a folder outside": ("os.listdir(outside)", "EACCES", 1),
    "changes a file outside": ("open(outside + '/secret', 'a')", "EACCES", 1),
    "makes a file outside": ("open(outside + '/new', 'w')", "EACCES", 1),
    "makes a folder outside": ("os.mkdir(outside + '/new')", "EACCES", 1),
    "removes a file outside": ("os.remove(outside + '/secret')", "EACCES", 1),
    "truncates a file outside": ("os.truncate(outside + '/secret', 0)", "EACCES", 3),
    "renames its own file to outside": (
        """
        open(inside + '/a', 'w').close()
        os.rename(inside + '/a', outside + '/a')
        """,
        "EACCES",
        1,
    ),
    "links a file outside to its own": ("os.link(outside + '/secret', inside + '/a')", "EXDEV", 2),
    "runs a program outside": (
        """
        import subprocess
        subprocess.check_call([outside + '/program'])
        """,
        "EACCES",
        1,
    ),
    "opens a device that it was not given": ("open('/dev/zero').close()", "EACCES", 1),
    "lets a shell read a file outside": (
        """
        import subprocess
        if subprocess.call(['/bin/sh', '-c', 'read x < ' + outside + '/secret; [ $x = secret ]'], stderr=-3):
            raise OSError(errno.EACCES, '')
        """,
        "EACCES",
        1,
    ),
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_a_job_fails_when_it(what: str, attempt: Attempt, user: int, kernel: dict[str, Any]) -> None:
    code, expected, since = FORBIDDEN[what]
    if kernel["landlock_abi"] < since:
        pytest.skip(f"needs Landlock {since}")

    assert attempt(code, user=user) == expected
    assert attempt(code, user=user, confined=False) == "done"


def test_a_file_can_be_written_alone(attempt: Attempt, places: dict[str, Path], kernel: dict[str, Any]) -> None:
    if not kernel["landlock_abi"]:
        pytest.skip("needs Landlock")
    secret = str(places["outside"] / "secret")
    append, remove = "open(outside + '/secret', 'r+').write('more')", "os.remove(outside + '/secret')"

    assert attempt(append) == "EACCES"
    assert attempt(append, write=[secret]) == "done"
    assert attempt(remove, write=[secret]) == "EACCES"


def test_what_may_be_read_can_not_be_written(attempt: Attempt, places: dict[str, Path], kernel: dict[str, Any]) -> None:
    if not kernel["landlock_abi"]:
        pytest.skip("needs Landlock")
    read = [str(places["outside"])]

    assert attempt("open(outside + '/secret').read()", read=read) == "done"
    assert attempt("open(outside + '/secret', 'a')", read=read) == "EACCES"


def test_a_job_can_not_signal_who_started_it(attempt: Attempt, kernel: dict[str, Any]) -> None:
    if kernel["landlock_abi"] < 6:
        pytest.skip("needs Landlock 6")
    code = "os.kill(os.getppid(), 0)"

    assert attempt(code) == "EPERM"
    assert attempt(code, confined=False) == "done"


@pytest.mark.parametrize("abi", range(1, 8))
def test_older_kernels_are_asked_for_what_they_have(abi: int, attempt: Attempt, kernel: dict[str, Any]) -> None:
    if kernel["landlock_abi"] < abi:
        pytest.skip(f"needs Landlock {abi}")
    code = f"""
import landlock
confine.process_control(38, 1)
landlock.restrict(abi={abi}, read=["/usr"], write=[inside], devices=["/dev/null"], network=False)
open(inside + "/a", "w").close()
open("/dev/null", "w").close()
open(outside + "/secret").close()
"""
    assert attempt(code, confined=False, user=os.getuid()) == "EACCES"


def test_no_right_is_asked_for_before_its_version(attempt: Attempt) -> None:
    # Masks of every version, from the tables of https://docs.kernel.org/userspace-api/landlock.html.
    files = [0x1FFF, 0x3FFF, 0x7FFF, 0x7FFF, 0xFFFF, 0xFFFF, 0xFFFF, 0xFFFF, 0x1FFFF, 0x1FFFF]
    network = [0, 0, 0, 3, 3, 3, 3, 3, 3, 15]
    scope = [0, 0, 0, 0, 0, 3, 3, 3, 3, 3]
    code = f"""
import landlock
versions = range(1, landlock.NEWEST_KNOWN_ABI + 1)
for table, expected in (
    (landlock._FILES_SINCE, {files}),
    (landlock._NETWORK_SINCE, {network}),
    (landlock._SCOPE_SINCE, {scope}),
):
    found = [int(landlock._since(table, abi)) for abi in versions]
    assert found == expected, found
"""
    assert attempt(code, confined=False) == "done"
