"""What is told when a job fails?"""

from __future__ import annotations


class Failure(Exception):
    """The template's or the answers' fault, in words."""

    def __init__(self, kind: str, message: str, *, hook: str | None = None, output: str = "") -> None:
        """Keep the parts of a `failed` message (see `worker.py`)."""
        super().__init__(message)
        self.kind = kind
        self.hook = hook
        self.output = output
