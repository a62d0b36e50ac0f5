"""Writes the table of `SECURITY.md` anew: `PYTHONPATH=tests uv run python -m attacks`, as root."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec

from attacks.configurations import run
from attacks.running import Results
from attacks.table import SHOWN, replaced, table
from homes import write_template

SECURITY = Path(__file__).resolve().parents[2] / "SECURITY.md"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        template = write_template(root / "template")
        environment = {**os.environ, "DYNAMO_MCP_HOME": str(root / "home")}
        subprocess.run([sys.executable, "-m", "dynamo_mcp", "add", str(template)], env=environment, check=True)
        found = {}
        for name in SHOWN:
            shutil.copytree(root / "home" / "bases", root / name / "home" / "bases", symlinks=True)
            kept = root / f"{name}.json"
            run(name, root / name, kept)
            found[name] = msgspec.json.decode(kept.read_bytes(), type=Results)
    SECURITY.write_text(replaced(SECURITY.read_text("utf-8"), table(found)), "utf-8")


if __name__ == "__main__":
    main()
