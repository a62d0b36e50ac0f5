"""How does the program begin? `dynamo-mcp`, or `python -m dynamo_mcp`; its version is said before the rest is read."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line."""
    if sys.argv[1:] == ["--version"]:
        from dynamo_mcp import __version__  # noqa: PLC0415 - what reads it takes long to import

        sys.stdout.write(f"{__version__}\n")
        return
    from dynamo_mcp.cli import main as run  # noqa: PLC0415 - see this module's question

    run()


if __name__ == "__main__":
    main()
