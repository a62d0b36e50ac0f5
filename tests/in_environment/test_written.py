"""What has a job written, where no file system limits it? What is too much ends it, and names the setting for more."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest

from in_environment.test_worker import with_extension

if TYPE_CHECKING:
    from pathlib import Path

    from in_environment.workers import Outcome, Worker

BYTES, FILES = 4 << 20, 200

ONCE = """
if 'ONCE' in os.environ:
    return
os.environ['ONCE'] = 'an environment of Jinja is made several times'
"""


def watched(worker: Worker, folder: Path, code: str, **changes: Any) -> Outcome:
    """Run code in a job that knows its two folders as `output` and `temporary`."""
    name = uuid.uuid4().hex
    output, temporary = worker.room / "output" / name, worker.room / "temporary" / name
    folders = [
        {"path": str(output), "bytes": BYTES, "setting": "output_bytes", "is": "its output"},
        {"path": str(temporary), "bytes": BYTES, "setting": "temporary_bytes", "is": "its temporary folder"},
    ]
    told = f"output, temporary = {str(output)!r}, {str(temporary)!r}"
    return worker.create(
        with_extension(folder, f"{ONCE}\n{told}\n{code}"),
        output=str(output),
        temporary=str(temporary),
        most={"files": FILES, "folders": folders, "mounts": []},
        **changes,
    )


WRITTEN = {
    "much": (
        "open(output + '/large', 'wb').write(bytes(8 << 20))",
        ("space", "output_bytes", f"its output is full, with more than {BYTES} bytes"),
    ),
    "much that is temporary": (
        "open(temporary + '/large', 'wb').write(bytes(8 << 20))",
        ("space", "temporary_bytes", f"its temporary folder is full, with more than {BYTES} bytes"),
    ),
    "many files": (
        "for number in range(300): open(output + '/%d' % number, 'w').close()",
        ("space", "output_files", f"its output has more than {FILES} files and folders"),
    ),
    "many folders, in folders": (
        "for number in range(300): os.makedirs(output + '/%d/%d' % (number % 7, number))",
        ("space", "output_files", f"its output has more than {FILES} files and folders"),
    ),
    "deep": (
        "os.makedirs(output + '/a' * 100)",
        ("depth", None, "its output has more than 60 folders within each other"),
    ),
}


@pytest.mark.parametrize("what", WRITTEN)
def test_what_writes_more_than_it_may_is_ended_and_told_which_setting_allows_more(
    worker: Worker, tmp_path: Path, what: str
) -> None:
    code, told = WRITTEN[what]
    made = watched(worker, tmp_path, f"{code}\ntime.sleep(600)")
    assert (made.last["kind"], made.last["limit"], made.message) == told


WITHIN = {
    "what it has removed again": "open(output + '/x', 'wb').write(bytes(8 << 20))\nos.unlink(output + '/x')",
    "what only looks large": "open(output + '/sparse', 'wb').truncate(1 << 30)",
    "what a link leads to": "os.symlink('/usr', output + '/link')\nos.symlink('.', output + '/loop')",
    "deep enough": "os.makedirs(output + '/a' * 50)",
}


@pytest.mark.parametrize("what", WITHIN)
def test_what_takes_no_space_is_not_counted(worker: Worker, tmp_path: Path, what: str) -> None:
    made = watched(worker, tmp_path, f"{WITHIN[what]}\ntime.sleep(0.5)")
    assert made.event == "done", made.last


def test_a_job_that_talks_without_end_is_looked_at_as_well(worker: Worker, tmp_path: Path) -> None:
    code = """
open(output + '/large', 'wb').write(bytes(8 << 20))
until = time.monotonic() + 20
for descriptor in range(3, 20):
    try:
        while os.readlink('/proc/self/fd/%d' % descriptor).startswith('pipe:') and time.monotonic() < until:
            os.write(descriptor, b'{"event": "step", "message": "x"}\\n')
    except OSError:
        pass
os.unlink(output + '/large')
"""
    assert watched(worker, tmp_path, code).last["kind"] == "space"
