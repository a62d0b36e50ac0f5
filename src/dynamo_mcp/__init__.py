"""Turns any cookiecutter template into an MCP tool that an agent can call safely and at once."""

from importlib.metadata import version

__version__ = version("dynamo-mcp")
