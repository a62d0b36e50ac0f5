"""What do a thousand connections that listen cost, while others work? And does each caller get its own answers?

How many calls a second are there, against a bare SDK server that returns the same bytes?
"""

from __future__ import annotations

import resource
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import msgspec
from mcp import Client
from mcp_types import Implementation

from benchmarks import listeners, peers, processes, templates
from benchmarks.connected import LOG, over_http
from benchmarks.measuring import Amount, Claim, Comparison, Result, Subject, compare, interleave, of_each, percentile
from benchmarks.wire import connect, modern
from dynamo_mcp.progress import STEPS_OF_CREATE

DYNAMO = "Dynamo"
BARE = "a bare SDK server, the same bytes"
STEPS = len(STEPS_OF_CREATE)
WIRES = 8
"""Connections over which calls that are counted come, each one after the other."""
LEAST_OF_BARE = 0.8
"""The part of the bare server's calls per second that there have to be."""
MOST_GROWTH = 0.1
DESCRIPTORS = 8192
LIMITS = {
    "DYNAMO_MCP_CALLER_REQUESTS_PER_SECOND": "100000",
    "DYNAMO_MCP_CONNECTIONS": "4096",
    "DYNAMO_MCP_SESSIONS": "2048",
}
"""Whoever calls without a name is one caller here; all of the benchmark is."""
KB_PER_MB, MILLISECONDS = 1000, 1000.0
REQUESTS: dict[str, dict[str, Any]] = {
    "list_templates": {"method": "tools/call", "name": "list_templates", "arguments": {}},
    "tools/list": {"method": "tools/list"},
}

SERVER = """
import json, socket, sys
import uvicorn
from mcp.server.lowlevel import Server
from mcp_types import CallToolResult, ListToolsResult
told = json.load(open(sys.argv[1]))
page = ListToolsResult.model_validate(told["tools/list"])
summaries = CallToolResult.model_validate(told["list_templates"])
async def tools(_context, _parameters):
    return page
async def call(_context, _parameters):
    return summaries
stamp = page.meta["io.modelcontextprotocol/serverInfo"]
server = Server(stamp["name"], version=stamp["version"], title=stamp["title"], on_list_tools=tools, on_call_tool=call)
listener = socket.create_server(("127.0.0.1", 0))
print(f"http://127.0.0.1:{listener.getsockname()[1]}/mcp", file=sys.stderr, flush=True)
config = uvicorn.Config(server.streamable_http_app(), log_config=None, access_log=False)
uvicorn.Server(config).run([listener])
"""


async def measure(folder: Path, *, quick: bool) -> Result:
    """Measure it; Linux alone tells.

    Args:
        folder: An empty folder.
        quick: Fewer of all.
    """
    peers.linux()
    _allow_descriptors()
    size = _QUICK if quick else _Size()
    loaded = _Loaded()
    async with over_http(folder / "home", folder, more=LIMITS) as (address, server):
        async with Client(address) as client:
            for number in range(size.templates):
                location = str(templates.write(folder / f"template-{number}"))
                await client.call_tool("add_template", {"url": location, "name": f"t{number}"})
        # Whatever is filled once is filled: caches, renderers, and of each kind of listener a few.
        await _work(loaded, address, folder / "first", msgspec.structs.replace(size, creates=1, calls=100))
        async with listeners.listening(address, len(listeners.KINDS)):
            pass
        memory = [await _settled(server, size)]
        for turn in range(2):
            async with listeners.listening(address, size.listeners) as idle:
                memory.append(await _settled(server, size))
                await _work(loaded, address, folder / f"work-{turn}", size)
                await _change(loaded, address, folder / f"added-{turn}", idle, size)
            memory.append(await _settled(server, size))
        comparisons = await _compared(address, folder, rounds=size.rounds, calls=size.calls_of_round)
    loaded.wrong += [line for line in (folder / LOG).read_text().splitlines() if _is_trouble(line)]
    return _result(size, loaded, memory, comparisons)


class _Size(msgspec.Struct, frozen=True):
    """How much of everything there is."""

    listeners: int = 1000
    callers: int = 32
    creates: int = 8
    calls: int = 10_000
    templates: int = 10
    rounds: int = 25
    calls_of_round: int = 200
    settle: float = 3.0
    """Seconds after which nothing is done any more of itself."""


_QUICK = _Size(listeners=40, callers=4, creates=1, calls=100, templates=2, rounds=2, calls_of_round=40, settle=0.2)


class _Loaded:
    """What came of the calls: the seconds that each took, and what was wrong."""

    def __init__(self) -> None:
        self.creates: list[float] = []
        self.calls: list[float] = []
        self.wrong: list[str] = []


class _Steps:
    """What is told of one create on its way."""

    def __init__(self) -> None:
        self.told: list[float] = []

    async def hear(self, progress: float, total: float | None, message: str | None) -> None:  # noqa: ARG002 - by name
        self.told.append(progress)

    @property
    def are_all(self) -> bool:
        """One is lost if there is a gap, and another's if they do not grow."""
        return self.told == sorted(set(self.told)) and {int(step) for step in self.told} == set(range(STEPS))


async def _work(loaded: _Loaded, address: str, folder: Path, size: _Size) -> None:
    """Have callers create, each its own, while the templates are listed over and over."""
    async with anyio.create_task_group() as tasks:
        for caller in range(size.callers):
            tasks.start_soon(_create, loaded, address, folder, caller, size.creates)
        for _ in range(WIRES):
            tasks.start_soon(_list, loaded, address, size.calls // WIRES)


async def _create(loaded: _Loaded, address: str, folder: Path, caller: int, creates: int) -> None:
    """Create, and look whether each answer is of the very call; half of the callers shake hands, and have sessions."""
    program = Implementation(name=f"caller {caller}", version="1")  # else those without sessions are one caller
    async with Client(address, mode="legacy" if caller % 2 else "auto", client_info=program) as client:
        for number in range(creates):
            name, path = f"Caller {caller} {number}", folder / f"{caller}-{number}"
            steps = _Steps()
            began = time.perf_counter()
            result = await client.call_tool(
                "create_project",
                {"template_name": "t0", "output_dir": str(path), "variables": {"project_name": name}},
                progress_callback=steps.hear,
            )
            loaded.creates.append(time.perf_counter() - began)
            told = result.structured_content or {}
            project = path / f"caller_{caller}_{number}"
            own = (told.get("answers", {}).get("project_name"), told.get("path"))
            if own != (name, str(project)) or not steps.are_all:
                loaded.wrong.append(f"{name} got {own} with the steps {steps.told}: {result.content}")
            elif name not in (project / "README.md").read_text():
                loaded.wrong.append(f"{name} has another's files")


async def _list(loaded: _Loaded, address: str, calls: int) -> None:
    """List the templates, and look whether each answer is of the very request."""
    async with connect(address) as wire:
        known: bytes | None = None
        for number in range(calls):
            body, headers = modern(number, **REQUESTS["list_templates"])
            began = time.perf_counter()
            answer = await wire.ask("/mcp", body, headers)
            loaded.calls.append(time.perf_counter() - began)
            rest = answer.replace(b'"id":%d,' % number, b"", 1)
            known = known or rest
            if rest != known or len(rest) == len(answer) or b'"isError":false' not in rest:
                loaded.wrong.append(f"call {number} of list_templates got {answer[:200]!r}")


async def _change(loaded: _Loaded, address: str, folder: Path, idle: Sequence[listeners.Listener], size: _Size) -> None:
    """Add a template and remove it: each listener is told once, and nothing of what others are answered."""
    async with Client(address) as client:
        await client.call_tool("add_template", {"url": str(templates.write(folder)), "name": "added"})
        loaded.wrong += await listeners.heard(idle, size.settle)
        await client.call_tool("remove_template", {"template_name": "added"})
        loaded.wrong += await listeners.heard(idle, size.settle)


async def _settled(server: int, size: _Size) -> float:
    """Return the MB of a server, once it has done what it does of itself."""
    await anyio.sleep(size.settle)
    return processes.proportional(server)


def _is_trouble(line: str) -> bool:
    return " ERROR " in line or line.startswith("Traceback")


def _allow_descriptors() -> None:
    """Let this process, and what it starts, have as many connections as it takes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))


async def _compared(address: str, folder: Path, *, rounds: int, calls: int) -> tuple[Comparison, ...]:
    """Compare a server that was loaded with a bare one, which answers the same to the same client."""
    told = {name: await _told(address, name) for name in REQUESTS}
    (folder / "told.json").write_bytes(msgspec.json.encode({name: answer["result"] for name, answer in told.items()}))
    (folder / "bare.py").write_text(SERVER)
    words = (str(folder / "bare.py"), str(folder / "told.json"))
    comparisons = []
    async with over_http(folder / "home", folder, arguments=words) as (bare, _):
        for name in REQUESTS:
            if await _told(bare, name) != told[name]:
                raise RuntimeError(f"the bare server answers {name} by something else")
            paths = folder / name.replace("/", "-")
            paths.mkdir()
            subjects = [
                Subject(called, partial(_asked, where, name, calls))
                for called, where in ((DYNAMO, address), (BARE, bare))
            ]
            samples = await interleave(subjects, rounds=rounds, folder=paths)
            title = f"one of {calls} calls of {name}, {WIRES} at a time"
            comparisons.append(compare(title, [of_each(sample, calls) for sample in samples], baseline=BARE))
    return tuple(comparisons)


async def _told(address: str, name: str) -> dict[str, Any]:
    async with connect(address) as wire:
        answer: dict[str, Any] = msgspec.json.decode(await wire.ask("/mcp", *modern(1, **REQUESTS[name])))
    return answer


async def _asked(address: str, name: str, calls: int, _path: Path) -> None:
    """Ask as fast as a server answers."""

    async def ask() -> None:
        async with connect(address) as wire:
            for number in range(calls // WIRES):
                await wire.ask("/mcp", *modern(number, **REQUESTS[name]))

    async with anyio.create_task_group() as tasks:
        for _ in range(WIRES):
            tasks.start_soon(ask)


def _result(size: _Size, loaded: _Loaded, memory: Sequence[float], comparisons: Sequence[Comparison]) -> Result:
    began, first, before, _, after = memory
    connection = (first - began) * KB_PER_MB / size.listeners
    growth = after / before - 1
    said = f": {loaded.wrong[0]}" if loaded.wrong else ""
    amounts = [
        Amount("a server that waits, and after each turn of the load", (began, before, after), "MB"),
        Amount(f"each of {size.listeners} connections that listen", (connection,), "kB"),
    ]
    for what, seconds in (("create_project", loaded.creates), ("list_templates", loaded.calls)):
        for percent in (50, 99):
            found = percentile(seconds, percent) * MILLISECONDS
            amounts.append(Amount(f"{what}, all at once, of {len(seconds)} calls: p{percent}", (found,), "ms"))
    done = len(loaded.creates) + len(loaded.calls)
    claims = [
        Claim(
            f"with {size.listeners} that listen nothing fails, is lost or is given to another",
            f"{len(loaded.wrong)} of {done}{said}",
            not loaded.wrong,
        ),
        Claim(
            f"memory grows at most {MOST_GROWTH:.0%} from one turn of the load to the next",
            f"{growth:+.1%}",
            growth <= MOST_GROWTH,
        ),
    ]
    for name, comparison in zip(REQUESTS, comparisons, strict=True):
        found = comparison.ratios[0].median
        claims.append(
            Claim(
                f"{name}: at least {LEAST_OF_BARE:g} of the calls per second of {BARE}",
                f"{found:.2f}",
                found >= LEAST_OF_BARE,
            )
        )
    return Result("load", tuple(comparisons), claims=tuple(claims), amounts=tuple(amounts))
