"""Turns any cookiecutter template into an MCP tool that an agent can call safely and at once."""

from __future__ import annotations

__version__: str


def __getattr__(name: str) -> str:
    """Read the version when it is asked for: most commands don't, and what reads it takes long to import."""
    if name != "__version__":
        raise AttributeError(f"module `dynamo_mcp` has no attribute `{name}`")
    from importlib.metadata import version  # noqa: PLC0415 - see above

    return version("dynamo-mcp")
