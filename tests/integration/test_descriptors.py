"""How many descriptors a server may have open, and what its children may."""

from __future__ import annotations

import subprocess
import sys

import pytest

from integration.places import Place

pytestmark = pytest.mark.anyio

CHILD = """
import resource, time
until = time.monotonic() + 20
while (soft := resource.getrlimit(resource.RLIMIT_NOFILE)[0]) != 200 and time.monotonic() < until:
    time.sleep(0.001)
print(soft)
"""

PARENT = f"""
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (200, 400))
import anyio
from dynamo_mcp import descriptors
from dynamo_mcp.process import run
assert descriptors.allow(100) == 200
assert descriptors.allow(300) == 300
assert descriptors.allow(500) == 400
assert resource.getrlimit(resource.RLIMIT_NOFILE) == (400, 400)
done = anyio.run(lambda: run([sys.executable, "-c", {CHILD!r}], env={{}}, seconds=30))
print(done.stdout.decode(), resource.getrlimit(resource.RLIMIT_NOFILE))
"""


def test_the_limit_is_raised_as_far_as_it_may_be_and_a_child_has_the_one_from_before() -> None:
    done = subprocess.run([sys.executable, "-c", PARENT], capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout.split() == ["200", "(400,", "400)"], done.stderr


async def test_a_server_that_may_have_too_few_says_so_once_and_how_many_it_serves(place: Place) -> None:
    few = ("sh", "-c", 'ulimit -n 700; exec "$@"', "sh")
    told = (await place.run("serve", "--transport", "stdio", "--transport", "http", "--port", "0", before=few))[1]
    said = "warning: 5000 connections need 5500 open files, and this process may have 700: 200 are served at a time"
    assert told.count(said) == 1
    assert "`LimitNOFILE=5500`" in told
