"""How is uv asked? The binary of the `uv` package, without configuration, offline first, in a clean environment.

No file of a template is ever handed to it: names and specifiers are parsed by us (`requirements.py`), and written anew.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import msgspec
import uv

from dynamo_mcp.disk import words
from dynamo_mcp.errors import EnvironmentFailed
from dynamo_mcp.index_secrets import masked, secrets_of_all
from dynamo_mcp.once import Say
from dynamo_mcp.process import Completed, run
from dynamo_mcp.settings import ANOTHER_PYTHON, Settings
from dynamo_mcp.text import plain

PINNED = "requirements.txt"

_DOWNLOADING = re.compile(r"Downloading ([\w.-]{1,100}) \(([\d.]+ ?[KMG]?i?B)\)")
_UNKNOWN = "check the template's requirements, and that the package index can be reached"
_FULL = "free some space on the disk of the home, or choose another with `DYNAMO_MCP_HOME`"
_HINTS = {
    f"(os error {errno.ENOSPC})": _FULL,
    f"(os error {errno.EDQUOT})": _FULL,
    "the network was disabled": "unset `UV_OFFLINE` until it is installed once; the wheels are kept from then on",
}


class Uv:
    """uv with this home's wheel cache."""

    def __init__(self, settings: Settings) -> None:
        """Find the binary once.

        Raises:
            EnvironmentFailed: The package holds no binary for this machine.
        """
        try:
            self._binary = Path(uv.find_uv_bin())
        except FileNotFoundError as error:
            raise EnvironmentFailed(
                "uv's package holds no binary for this machine", hint="install `uv` for this machine, then try again"
            ) from error
        self._settings = settings
        self._secrets = secrets_of_all(settings.passed)
        self._environment = {
            **settings.passed,
            "PATH": settings.search_path,
            "UV_CACHE_DIR": str(settings.home / "wheels"),
            "UV_NO_CONFIG": "1",
            "UV_NO_PROGRESS": "1",
            "UV_PYTHON_DOWNLOADS": "never",
        }

    async def version(self, seconds: float) -> str:
        """Return which uv it is.

        Args:
            seconds: Seconds that it has to say so.

        Raises:
            EnvironmentFailed: With uv's message.
            TimedOut: It said nothing.
        """
        asked = await self._run(["--version"], offline=True, seconds=seconds)
        _check(asked, "say its version")
        return plain(asked.stdout.decode("utf-8", "replace").strip().removeprefix("uv "))

    async def default_index(self) -> str:
        """Return the package index that uv asks where an operator has configured none.

        Raises:
            EnvironmentFailed: With uv's message.
        """
        command = ["pip", "compile", "--quiet", "--no-header", "--emit-index-url"]
        asked = await self._run([*command, "--python", str(self._settings.python), "-"], offline=True)
        _check(asked, "say which package index it asks", ANOTHER_PYTHON)
        found = re.search(rb"^--index-url (\S+)$", asked.stdout, re.MULTILINE)
        if found is None:
            raise EnvironmentFailed("uv names no package index", hint="set `UV_DEFAULT_INDEX` to one")
        return found[1].decode()

    async def create(self, path: Path) -> None:
        """Make an empty, relocatable virtual environment; nothing of what was there stays.

        Raises:
            EnvironmentFailed: With uv's message.
        """
        command = ["venv", "--clear", "--relocatable", "--python", str(self._settings.python), str(path)]
        _check(
            await self._run(command, offline=True),
            f"make an environment from `{self._settings.python}`",
            ANOTHER_PYTHON,
        )

    async def install(self, path: Path, pinned: Path, say: Say) -> None:
        """Install wheels into an empty environment; nothing is built from source, or compiled.

        What the cache holds is installed without asking the index. No interpreter is started that could load what was
        installed: wheels bring `.pth` files and may replace `pyvenv.cfg`.

        Args:
            path: The environment.
            pinned: All that is installed (`resolve`); where it has hashes, a wheel must have one of them.
            say: Is told what is done, and what is downloaded with its size.

        Raises:
            EnvironmentFailed: With uv's message.
        """
        command = ["pip", "install", "--python", str(path), "--no-build", "--no-deps", "--requirements", str(pinned)]
        say("installing its packages")
        cached = await self._run(command, offline=True)
        if cached.code != 0:
            # uv asks the environment's interpreter, which would run the `.pth` file of a package that is there by now.
            await self.create(path)
            say("downloading its packages")
            downloaded = await self._run(command, offline=False, on_error_line=partial(_say_download, say))
            _check(downloaded, "install the requirements")

    async def resolve(self, folder: Path, requirements: tuple[str, ...]) -> bytes:
        """Return what is installed for requirements, in every version, with the hashes that the index has.

        Args:
            folder: An empty one.
            requirements: All of them.

        Raises:
            EnvironmentFailed: With uv's message.
        """
        _check(await self._resolve(folder, requirements), "install the requirements")
        return _pinned(folder)

    async def lacks(self, folder: Path, requirements: tuple[str, ...]) -> str | bytes:
        """Say why these can't be installed together from wheels, or return what `resolve` does.

        Args:
            folder: As there.
            requirements: As there.

        Raises:
            EnvironmentFailed: The index could not be asked; with uv's message.
        """
        asked = await self._resolve(folder, requirements)
        if asked.code == 0:
            return _pinned(folder)
        if "No solution found" not in asked.error:
            _check(asked, "ask the package index")
        reason = re.sub(r"\s+", " ", asked.error).partition("Because ")[2].partition("hint: ")[0]
        return plain(re.split(" and you require|, we can conclude", reason)[0] or asked.error)

    async def forget(self, names: Iterable[str]) -> None:
        """Remove all that the cache holds of these distributions; uv waits until no other uv uses the cache.

        Raises:
            EnvironmentFailed: With uv's message.
        """
        _check(await self._run(["cache", "clean", "--", *names], offline=True), "clean its cache")

    async def _resolve(self, folder: Path, requirements: tuple[str, ...]) -> Completed:
        for requirement in requirements:
            # In a file a line may also be an option, which no name begins like (PyPA, Dependency specifiers).
            if not re.fullmatch(r"[A-Za-z0-9][^\r\n\\]*", requirement):
                raise EnvironmentFailed(
                    f"`{plain(requirement)}` is no requirement", hint="name a package, such as `jinja2-time>=0.2`"
                )
        asked = folder / "requirements.in"
        with words("write the requirements", asked):
            asked.write_text("".join(f"{requirement}\n" for requirement in requirements), "utf-8")
        command = ["pip", "compile", "--python", str(self._settings.python), "--no-build", "--generate-hashes"]
        command += ["--no-header", "--no-annotate", "--quiet", "--output-file", str(folder / PINNED), str(asked)]
        # 30 ms of a processor with a warm cache (20 packages), a fifth of what installing them takes.
        completed = await self._run(command, offline=True)
        return completed if completed.code == 0 else await self._run(command, offline=False)

    async def compile(self, folder: Path) -> None:
        """Compile bytecode, and run nothing of what was installed.

        Without `site` (`-S`) no `.pth` file of a package runs, as it would with uv's option. A wheel may also replace
        `pyvenv.cfg`, by which the environment's own interpreter finds its standard library; another one is asked.
        """
        command: list[str | Path] = [self._settings.python, "-I", "-S", "-m", "compileall", "-q", folder]
        # What does not compile is a template's or an old Python's, and harms nobody who does not import it.
        await run(command, env={}, seconds=self._settings.environment_seconds, cwd=Path(os.sep))

    async def _run(
        self,
        command: list[str],
        *,
        offline: bool,
        seconds: float | None = None,
        on_error_line: Callable[[str], None] | None = None,
    ) -> Completed:
        environment = dict(self._environment)
        if offline:
            # Certificates are not read offline; hundreds of them cost a seventh of a uv process.
            environment.pop("SSL_CERT_DIR", None)
            environment["UV_OFFLINE"] = "1"
        completed = await run(
            [self._binary, *command],
            env=environment,
            seconds=seconds or self._settings.environment_seconds,
            cwd=Path(os.sep),
            on_error_line=on_error_line,
        )
        said = masked(completed.stderr.decode("utf-8", "surrogateescape"), self._secrets)
        return msgspec.structs.replace(completed, stderr=said.encode("utf-8", "surrogateescape"))


def _say_download(say: Say, line: str) -> None:
    """Say what uv says of a wheel of more than a megabyte; several are on their way at a time."""
    if found := _DOWNLOADING.fullmatch(line.strip()):
        say(f"downloading {found[1]} ({found[2]})")


def _pinned(folder: Path) -> bytes:
    with words("read the requirements", folder / PINNED):
        return (folder / PINNED).read_bytes()


def _check(completed: Completed, doing: str, hint: str = _UNKNOWN) -> None:
    if completed.code != 0:
        raise EnvironmentFailed(
            f"uv could not {doing}; it says:\n{completed.error}",
            hint=next((known for sign, known in _HINTS.items() if sign in completed.error), hint),
        )
