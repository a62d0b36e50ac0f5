"""As whom does Git in a hook commit? As the operator where their Git knows them, otherwise as nobody in particular."""

from __future__ import annotations

from dynamo_mcp.process import run
from dynamo_mcp.settings import Settings

NEUTRAL = ("dynamo-mcp", "dynamo-mcp@localhost")
"""Name and email."""
SECONDS = 5.0


async def git_identity(settings: Settings) -> tuple[str, str]:
    """Return the operator's name and email for Git, or neutral ones."""
    found = []
    for key, neutral in zip(("user.name", "user.email"), NEUTRAL, strict=True):
        command = ["git", "config", "--global", "--get", key]
        environment = {"PATH": settings.search_path, "HOME": settings.environment.get("HOME", "/")}
        try:
            answer = await run(command, env=environment, seconds=SECONDS)
        except Exception:  # noqa: BLE001 - git is not needed
            found.append(neutral)
            continue
        found.append(answer.stdout.decode("utf-8", "replace").strip() or neutral)
    return found[0], found[1]
