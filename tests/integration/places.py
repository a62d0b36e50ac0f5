"""Where an integration test works: a home whose base environment is there already, templates, and servers over it."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Literal, TypeAlias

import anyio
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.sse import sse_client

from homes import give
from integration.forks import Forks

Transport: TypeAlias = Literal["stdio", "http", "sse"]
Era: TypeAlias = Literal["2026-07-28", "legacy"]

each_transport_and_each_era = pytest.mark.parametrize(
    ("transport", "era"), [("stdio", "2026-07-28"), ("http", "legacy")]
)
"""For what depends on one of them at most; `test_main_job` and `edge` try each transport in each era."""

SECONDS = 60

CONFIGURATION: dict[str, Any] = {
    "project_name": "My Project",
    "slug": "{{ cookiecutter.project_name | slugify }}",
    "license": ["MIT", "BSD-3-Clause", "Apache-2.0"],
    "use_docs": True,
    "use_ci": "y",
    "workers": 4,
    "ratio": 0.5,
    "owner": {"name": "Ada", "address": {"city": "Paris"}},
    "motto": "",
    "_hidden": "kept",
    "__stamp": "{{ cookiecutter.slug }}!",
    "__prompts__": {"license": {"__prompt__": "Which licence?", "MIT": "The MIT licence"}},
}

FILE = """\
name: {{ cookiecutter.project_name }}
slug: {{ cookiecutter.slug }}
license: {{ cookiecutter.license }}
docs: {{ cookiecutter.use_docs }}
ci: {{ cookiecutter.use_ci }}
workers: {{ cookiecutter.workers }}
ratio: {{ cookiecutter.ratio }}
owner: {{ cookiecutter.owner.name }} in {{ cookiecutter.owner.address.city }}
motto: {{ cookiecutter.motto }}
private: {{ cookiecutter._hidden }} {{ cookiecutter.__stamp }}
"""

HOOK = """\
import pathlib
pathlib.Path("made-by-hook.txt").write_text("hook of {{ cookiecutter.slug }}")
print("the hook ran")
"""

ANSWERS: dict[str, Any] = {
    "project_name": 'It\'s {{ 7*7 }} "quoted" \U0001f40d é',
    "slug": "literal-slug",
    "license": "BSD-3-Clause",
    "use_docs": False,
    "use_ci": False,
    "workers": 9,
    "ratio": 1.25,
    "owner": {"name": "{% raw %}Bo", "address": {"city": "São Paulo"}},
    "motto": "a\\b $HOME `id`",
}

RENDERED = """\
name: It's {{ 7*7 }} "quoted" \U0001f40d é
slug: literal-slug
license: BSD-3-Clause
docs: False
ci: n
workers: 9
ratio: 1.25
owner: {% raw %}Bo in São Paulo
motto: a\\b $HOME `id`
private: kept literal-slug!
"""


def write_template(folder: Path, *, configuration: dict[str, Any] | None = None, hook: str | None = HOOK) -> Path:
    """Write a template with every kind of variable."""
    project = folder / "{{cookiecutter.slug}}"
    (project / "src").mkdir(parents=True)
    (folder / "cookiecutter.json").write_text(json.dumps(configuration or CONFIGURATION))
    (project / "README.md").write_text(FILE)
    (project / "src" / "{{cookiecutter.slug}}.txt").write_text("{{cookiecutter.slug}}\n")
    if hook is not None:
        (folder / "hooks").mkdir()
        (folder / "hooks" / "post_gen_project.py").write_text(hook)
    return folder


class Place:
    """A home, and the environment in which servers and commands over it run."""

    def __init__(
        self, root: Path, ready: Path | None = None, forks: Forks | None = None, *, shared: bool = True
    ) -> None:
        self.root = root
        self._forks = forks
        self.home = root / "home"
        self.outputs = root / "allowed"
        self.templates = root / "templates"
        self.templates.mkdir(parents=True)
        self.home.mkdir()
        if ready is not None:
            give(ready, self.home / "bases", shared=shared)
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("DYNAMO_MCP_")},
            "DYNAMO_MCP_HOME": str(self.home),
            "DYNAMO_MCP_OUTPUT_ROOTS": str(self.outputs),
            "DYNAMO_MCP_SOURCE_ROOTS": str(self.templates),
        }

    @property
    def made(self) -> list[str]:
        """What is in the folder that projects may be created in."""
        return sorted(path.name for path in self.outputs.iterdir()) if self.outputs.exists() else []

    @property
    def scratch(self) -> list[str]:
        """What is left in scratch folders."""
        return sorted(str(path.relative_to(self.home / "scratch")) for path in (self.home / "scratch").rglob("*"))

    async def run(
        self, *arguments: str, code: int = 0, more: dict[str, str] | None = None, before: tuple[str, ...] = ()
    ) -> tuple[str, str]:
        """Run the command line to its end, started by what comes `before` it; return what it wrote."""
        environment = {**self.environment, **(more or {})}
        with anyio.fail_after(SECONDS):
            if self._forks is None or before:
                command = [*before, sys.executable, "-m", "dynamo_mcp", *arguments]
                done = await anyio.run_process(command, env=environment, check=False, cwd=self.root)
            else:
                done = await self._forks.run(arguments, env=environment, cwd=self.root)
        assert done.returncode == code, (done.stdout.decode(), done.stderr.decode())
        return done.stdout.decode(), done.stderr.decode()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[tuple[str, int]]:
        """Run an HTTP server; yields its address and process number. It is killed if it still runs at the end."""
        command = [sys.executable, "-m", "dynamo_mcp", "serve", "--transport", "http", "--port", "0"]
        async with await anyio.open_process(command, env=self.environment, stdin=None) as process:
            try:
                assert process.stderr is not None
                said = b""
                with anyio.fail_after(SECONDS):
                    while b"/mcp" not in said:
                        said += await process.stderr.receive()
                yield said.decode().split("serves ")[1].split("/mcp")[0], process.pid
            finally:
                if process.returncode is None:
                    process.terminate()
                with anyio.CancelScope(shield=True), anyio.move_on_after(SECONDS):
                    await process.wait()

    @asynccontextmanager
    async def joined(self, transport: Transport, era: Era, **options: Any) -> AsyncIterator[Client]:
        """Serve, and connect the SDK's own client."""
        async with AsyncExitStack() as stack:
            target: Any = StdioServerParameters(
                command=sys.executable, args=["-m", "dynamo_mcp"], env=self.environment, cwd=str(self.root)
            )
            if transport != "stdio":
                url, _ = await stack.enter_async_context(self.serving())
                target = f"{url}/mcp" if transport == "http" else sse_client(f"{url}/sse")
            yield await stack.enter_async_context(Client(target, mode=era, read_timeout_seconds=SECONDS, **options))


async def kill_when(place: Place, tool: str, arguments: dict[str, Any], seen: Callable[[float, str], bool]) -> None:
    """Call a tool, and kill the server with SIGKILL when its progress, a number and words, is `seen`."""
    async with place.serving() as (url, pid):
        reached = anyio.Event()

        async def progress(progress: float, total: float | None, message: str | None) -> None:  # noqa: ARG001
            if seen(progress, message or ""):
                reached.set()

        async def call() -> None:
            try:
                async with Client(f"{url}/mcp", read_timeout_seconds=SECONDS) as client:
                    await client.call_tool(tool, arguments, progress_callback=progress)
            except Exception:  # noqa: BLE001, S110 - how a client notices that its server died is the client's matter
                pass

        with anyio.fail_after(SECONDS):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(call)
                await reached.wait()
                os.kill(pid, signal.SIGKILL)
                tasks.cancel_scope.cancel()
