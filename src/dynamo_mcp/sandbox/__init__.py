"""What may a template do? The tier that this machine offers, the policy of a job, and the launch of a renderer."""

from __future__ import annotations

from pathlib import Path

CODE = Path(__file__).parent.parent / "_in_environment"
"""What a template's own Python runs."""
