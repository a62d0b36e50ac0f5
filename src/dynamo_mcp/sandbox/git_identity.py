"""As whom does Git in a hook commit? As the operator where their Git knows them, otherwise as nobody in particular."""

from __future__ import annotations

from contextlib import suppress

from dynamo_mcp.process import run
from dynamo_mcp.settings import Settings

KEYS = ("user.name", "user.email")
NEUTRAL = ("dynamo-mcp", "dynamo-mcp@localhost")
"""Name and email."""
SECONDS = 5.0


async def git_identity(settings: Settings) -> tuple[str, str]:
    """Return the operator's name and email for Git, or neutral ones."""
    found = dict(zip(KEYS, NEUTRAL, strict=True))
    command = ["git", "config", "--global", "--null", "--get-regexp", r"^user\.(name|email)$"]
    environment = {"PATH": settings.search_path, "HOME": settings.environment.get("HOME", "/")}
    with suppress(Exception):  # git is not needed
        answer = await run(command, env=environment, seconds=SECONDS)
        # Of several values the last one counts, as Git has it.
        given = dict(line.partition("\n")[::2] for line in answer.stdout.decode("utf-8", "replace").split("\0"))
        found |= {key: value.strip() for key, value in given.items() if key in KEYS and value.strip()}
    return found[KEYS[0]], found[KEYS[1]]
