"""What did a run of cookiecutter answer? Its replay file says: `~/.cookiecutter_replay/<template>.json`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dynamo_mcp.errors import UsageError
from dynamo_mcp.views import VariableInfo


def read(path: Path, asked: tuple[VariableInfo, ...]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Read the answers in a replay file; they are literal, as cookiecutter takes them.

    Args:
        path: The file.
        asked: What the template asks now.

    Returns:
        The answers, and the names in the file that the template does not ask. Names that begin with `_` are the
        template's own business and are passed over: it computes them anew.

    Raises:
        UsageError: It can't be read, or is no replay file.
    """
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"The replay file `{path}` can't be read: {error}", hint="name a JSON file") from error
    given = content.get("cookiecutter") if isinstance(content, dict) else None
    if not isinstance(given, dict):
        raise UsageError(
            f"`{path}` is no replay file: it has no object `cookiecutter`",
            hint="name a file that cookiecutter wrote; `--answers` takes plain ones",
        )
    types = {variable.name: variable.type for variable in asked}
    answers, unknown = {}, []
    for name, value in given.items():
        if name in types:
            # A choice between numbers or booleans is offered, and answered, as text.
            single = not isinstance(value, (list, dict))
            answers[name] = str(value) if types[name] == "choice" and single else value
        elif not name.startswith("_"):
            unknown.append(name)
    return answers, tuple(unknown)
