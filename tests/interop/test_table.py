"""What the docs say of clients is what the tests of them hold."""

from __future__ import annotations

from pathlib import Path

from interop.clients import KINDS, PROXY

DOCS = Path(__file__).parents[2] / "docs" / "interop.md"


def test_the_docs_name_each_client_as_it_is_tried() -> None:
    rows = {line for line in DOCS.read_text("utf-8").splitlines() if line.startswith("| ")}
    for kind in (*KINDS, PROXY):
        packages = ", ".join(f"`{each}`" for each in kind.packages)
        eras = ", ".join(era or "default" for era in kind.eras)
        versions = sorted({version for spoken in kind.eras.values() for version in spoken or ()})
        shown = "yes" if kind.shows_progress else "no"
        row = f"| {kind.name} | {packages} | {eras} | {', '.join(versions) or 'not told'} | {shown} |"
        assert row in rows, row
