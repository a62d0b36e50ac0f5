"""Which clients of others does the server work with? Each a row, and a small program in `clients/` that drives it.

A driver is run by the Python of the client's own environment, or by Node.js. It expects one argument, as JSON:
`transport` (stdio, http, sse or ws), `era` (what the client calls it; empty where it leaves no choice), `url` (of the
endpoint, unless stdio), `command` and `env` (what starts the server, where stdio), `calls` (name and arguments of each
tool to call, in order) and `modules` (the folder that its packages were installed into, where it runs by Node.js). It
connects, lists the tools and calls those. It prints one line of JSON: `tools` (their names), `results` (the structured
content of each call), `steps` (how many notifications of progress it was shown; null where the client shows none) and
`version` (of the protocol that was agreed on; null where the client does not tell).
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import filelock
import msgspec
import uv

from conformance import suite

if TYPE_CHECKING:
    from collections.abc import Mapping

DRIVERS = Path(__file__).with_name("clients")
TRANSPORTS = ("stdio", "http", "sse")
_INSTALL_SECONDS = 600
_DRIVE_SECONDS = 180


class Kind(msgspec.Struct, frozen=True):
    """One client.

    Attributes:
        name: As people know it, with the version that is pinned.
        packages: That it consists of, of PyPI, or of npm if the driver is a program for Node.js.
        driver: In `clients/`.
        eras: What it can be told of versions of the protocol, and which one it then speaks on each of `TRANSPORTS`;
            None where it does not tell.
        shows_progress: Whether it tells what a call is at.
        has_websocket: Whether it speaks over a WebSocket, too.
    """

    name: str
    packages: tuple[str, ...]
    driver: str
    eras: Mapping[str, tuple[str, str, str] | None]
    shows_progress: bool
    has_websocket: bool = False

    @property
    def transports(self) -> tuple[str, ...]:
        """What it is tried over."""
        return (*TRANSPORTS, "ws") if self.has_websocket else TRANSPORTS


_OLD = ("2025-11-25",) * 3
_NEW = ("2026-07-28",) * 3

KINDS = (
    Kind("Python SDK 1.30", ("mcp==1.30.0",), "sdk1.py", {"": _OLD}, shows_progress=True),
    Kind(
        "Python SDK 2.3",
        ("mcp==2.3.0",),
        "sdk2.py",
        {"auto": _NEW, "legacy": _OLD, "2026-07-28": _NEW},
        shows_progress=True,
    ),
    Kind("TypeScript SDK 1.32", ("@modelcontextprotocol/sdk@1.32.2",), "sdk1.mjs", {"": None}, shows_progress=True),
    Kind(
        "TypeScript SDK 2.4",
        ("@modelcontextprotocol/client@2.4.0",),
        "sdk2.mjs",
        {"": _OLD, "auto": _NEW},
        shows_progress=True,
    ),
    Kind(
        "MCP Inspector 2.12 (its command line)",
        ("@modelcontextprotocol/inspector@2.12.0",),
        "inspector.mjs",
        {"legacy": None, "auto": None, "modern": None},
        shows_progress=False,
    ),
    Kind("fastmcp 4.1", ("fastmcp==4.1.7",), "fastmcp4.py", {"": None}, shows_progress=True),
    Kind(
        "langchain-mcp-adapters 0.3",
        ("langchain-mcp-adapters==0.3.2", "mcp[ws]<2"),
        "langchain.py",
        {"": None},
        shows_progress=True,
        has_websocket=True,
    ),
    Kind("openai-agents 0.24", ("openai-agents==0.24.0",), "openai_agents.py", {"": None}, shows_progress=False),
    Kind(
        "pydantic-ai 2.68",
        ("pydantic-ai-slim[mcp]==2.68.0",),
        "pydantic_ai_toolset.py",
        {"": None},
        shows_progress=True,
    ),
)

PROXY = Kind("mcp-proxy 0.13", ("mcp-proxy==0.13.0",), "sdk1.py", {"": _OLD}, shows_progress=True)
"""Is no client of its own: one of stdio reaches /mcp through it, and one of HTTP a server on stdio."""


async def install(kind: Kind, node: Path) -> Path:
    """Return the folder that a client's packages are installed into, which is made where it is not there yet."""
    digest = hashlib.sha256(" ".join([*kind.packages, suite.BEFORE]).encode()).hexdigest()[:12]
    folder = suite.CACHE / f"interop-{Path(kind.driver).stem}-{digest}"
    suite.CACHE.mkdir(exist_ok=True)
    with filelock.FileLock(f"{folder}.lock", timeout=_INSTALL_SECONDS):
        whole = folder / "whole"
        if not whole.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            with anyio.fail_after(_INSTALL_SECONDS):
                if kind.driver.endswith(".mjs"):
                    await suite.install_from_npm(node, kind.packages, folder)
                else:
                    await _install_from_pypi(kind.packages, folder)
            whole.touch()
    return folder


async def _install_from_pypi(packages: tuple[str, ...], folder: Path) -> None:
    program = uv.find_uv_bin()
    await anyio.run_process([program, "venv", "-q", "--allow-existing", folder])
    python = folder / "bin" / "python"
    before = f"{suite.BEFORE}T00:00:00Z"
    await anyio.run_process([program, "pip", "install", "-q", "--exclude-newer", before, "--python", python, *packages])


async def drive(kind: Kind, folder: Path, node: Path, given: dict[str, Any]) -> dict[str, Any]:
    """Have a client do what `given` says (see this module's first words), and return what it says of that."""
    program = node if kind.driver.endswith(".mjs") else folder / "bin" / "python"
    argument = json.dumps(given | {"modules": str(folder)})
    with anyio.fail_after(_DRIVE_SECONDS):
        done = await anyio.run_process([program, DRIVERS / kind.driver, argument], check=False)
    assert done.returncode == 0, done.stderr.decode()[-4000:]
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said
