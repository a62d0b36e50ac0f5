"""What if a template's environment has other versions of what the worker has loaded? Its job then begins afresh.

A fork goes on with the worker's cookiecutter, Jinja and so on, which is quick, and right as long as the template's own
environment has the very same. Otherwise the job, confined as it is by then, becomes that environment's interpreter:
`python -I -S -B afresh.py SITE_PACKAGES FILE`, where the file holds, as JSON, what `job.make` is called with.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if __name__ == "__main__":
    # An isolated interpreter leaves a script's own folder out of the path.
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    sys.path.append(sys.argv[1])

if TYPE_CHECKING:
    from dynamo_mcp._in_environment import job
elif __name__ == "__main__":
    import job


def needed(loaded: str, own: str) -> bool:
    """Tell whether a job has to begin afresh.

    Args:
        loaded: The `site-packages` that the worker has loaded cookiecutter from.
        own: That of the template's environment.
    """
    return own != loaded and not _versions(loaded) <= _versions(own)


def begin(environment: str, own: str, temporary: str, **given: Any) -> NoReturn:
    """Become an environment's interpreter, which calls `job.make` with what is given."""
    path = os.path.join(temporary, ".job")
    with open(path, "w", encoding="utf-8") as file:
        json.dump(given, file)
    for descriptor in (given["orders"], given["replies"]):
        os.set_inheritable(descriptor, True)  # noqa: FBT003 - its only form
    python = os.path.join(environment, "bin", "python")
    os.execv(python, [python, "-I", "-S", "-B", __file__, own, path])  # noqa: S606 - no shell is wanted


def main() -> NoReturn:
    """Go on with the job that became this process."""
    logging.disable(logging.CRITICAL)
    with open(sys.argv[2], encoding="utf-8") as file:
        given: dict[str, Any] = json.load(file)
    os.unlink(sys.argv[2])
    job.end(given["replies"], lambda: job.make(**given))


def _versions(packages: str) -> set[str]:
    return {name for name in os.listdir(packages) if name.endswith(".dist-info")}


if __name__ == "__main__":
    main()
