"""How does the program begin? `dynamo-mcp`, or `python -m dynamo_mcp`; its version is said before the rest is read."""

from __future__ import annotations

import gc
import sys


def main() -> None:
    """Run the command line."""
    if sys.argv[1:] == ["--version"]:
        from dynamo_mcp import __version__  # noqa: PLC0415 - what reads it takes long to import

        sys.stdout.write(f"{__version__}\n")
        return
    from dynamo_mcp.cli import main as run  # noqa: PLC0415 - see this module's question

    try:
        run()
    finally:
        gc.freeze()  # what is left goes with the process, and nobody waits until it was looked through


if __name__ == "__main__":
    main()
