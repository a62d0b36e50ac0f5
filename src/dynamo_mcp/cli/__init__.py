"""What can I type?

stdout carries the protocol or the asked-for output and nothing else; progress, logs and errors go to stderr. Nothing
here imports the MCP SDK, which takes most of a second, unless it serves.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

import dynamo_mcp
from dynamo_mcp.cli.running import OutputRoots, SourceRoots, choose, fail
from dynamo_mcp.errors import UsageError

COMMANDS = {
    "serve": "serve",
    "add": "templates",
    "list": "templates",
    "info": "templates",
    "variables": "templates",
    "remove": "templates",
    "update": "updates",
    "discover": "finding",
    "search": "finding",
    "recommend": "finding",
    "trust": "trust",
    "create": "create",
    "preview": "preview",
    "quickstart": "quickstart",
    "doctor": "doctor",
    "prune": "reclaim",
    "reclaim": "reclaim",
    "export": "shared",
    "import": "shared",
    "sync": "shared",
    "keys": "callers",
    "users": "callers",
}
"""Of each command, the module that has it; the order is that of the help."""


def application(command: str | None = None) -> typer.Typer:
    """Return the command line: all of it, or as much as one command needs, which starts in less time.

    Args:
        command: The word that the command line begins with; anything but a command's name stands for all of them.
    """
    app = typer.Typer(
        name="dynamo-mcp",
        help="Turns any cookiecutter template into an MCP tool that an agent can call safely and at once.",
        epilog="Without a command it serves MCP on standard input and output.",
        no_args_is_help=False,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"auto_envvar_prefix": "DYNAMO_MCP", "help_option_names": ["-h", "--help"]},
    )
    app.callback(invoke_without_command=True)(root)
    modules = dict.fromkeys([COMMANDS[command]] if command in COMMANDS else COMMANDS.values())
    for module in modules:
        import_module(f"dynamo_mcp.cli.{module}").register(app)
    return app


def _version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"{dynamo_mcp.__version__}\n")
        raise typer.Exit


def root(
    context: typer.Context,
    *,
    home: Annotated[
        Path | None, typer.Option(envvar="DYNAMO_MCP_HOME", help="Where templates, environments and projects are kept.")
    ] = None,
    output_root: OutputRoots = None,
    source_root: SourceRoots = None,
    user_config: Annotated[
        Path | None,
        typer.Option(
            envvar="DYNAMO_MCP_USER_CONFIG",
            help="Your cookiecutter configuration, whose `default_context` answers where nobody else does.",
        ),
    ] = None,
    offline: Annotated[
        bool,
        typer.Option("--offline", envvar="DYNAMO_MCP_OFFLINE", help="Fetch nothing: use what was fetched before."),
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, allow_from_autoenv=False, help="Print it.")
    ] = False,
) -> None:
    """Turn any cookiecutter template into an MCP tool that an agent can call safely and at once."""
    del version
    choose(
        home=home,
        output_roots=output_root,
        source_roots=source_root,
        user_config=user_config,
        offline=offline or None,
    )
    if context.invoked_subcommand is None:
        from dynamo_mcp.cli import serve  # noqa: PLC0415 - no other command needs it

        serve.stdio()


def main() -> None:
    """Run the command line; whatever is wrong with it is said as every other error is."""
    try:
        code = application(next(iter(sys.argv[1:]), None))(prog_name="dynamo-mcp", standalone_mode=False)
    except typer.TyperException as error:
        context: typer.Context | None = getattr(error, "ctx", None)
        fail(
            UsageError(error.format_message().rstrip("."), hint=_hint(error, context)), as_json="--json" in sys.argv[1:]
        )
    sys.exit(code)


def _hint(error: typer.TyperException, context: typer.Context | None) -> str:
    """Return what helps who typed a wrong command line."""
    if context is None:
        return "`dynamo-mcp --help` says what is allowed"
    root, option = context.find_root(), getattr(error, "option_name", None)
    if context is not root and any(option in known.opts for known in root.command.params):
        return f"`{option}` stands before the command: `{root.command_path} {option} {context.info_name}`"
    return f"`{context.command_path} --help` says what is allowed"
