"""Is each file as small as one question needs?"""

from __future__ import annotations

from pathlib import Path

import dynamo_mcp

PACKAGE = Path(dynamo_mcp.__file__).parent
LINES = 350


def test_no_module_is_longer_than_a_reader_can_hold() -> None:
    modules = [path for path in PACKAGE.rglob("*.py") if not path.is_relative_to(PACKAGE / "templates")]
    lengths = {str(path.relative_to(PACKAGE)): len(path.read_text("utf-8").splitlines()) for path in modules}
    assert len(lengths) > 100
    assert {name: length for name, length in lengths.items() if length > LINES} == {}
