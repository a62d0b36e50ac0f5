"""The command line: greets whoever is named."""

import argparse
from collections.abc import Sequence

from {{ cookiecutter.package_name }} import greet


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code.

    Args:
        arguments: What follows the command, by default `sys.argv[1:]`.
    """
    parser = argparse.ArgumentParser(description="Greet someone")
    parser.add_argument("name", help="who to greet")
    options = parser.parse_args(arguments)
    try:
        print(greet(options.name))
    except ValueError as error:
        parser.error(str(error))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
