"""A stranger's catalogue says where a template is, and may say otherwise later: no trust goes by that."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from dynamo_mcp.errors import FetchFailed, UsageError
from dynamo_mcp.types import Trust
from homes import Home

pytestmark = pytest.mark.anyio

ORIGIN = "https://catalogue.example/all.json"


@pytest.mark.parametrize(("trust", "grants"), [("full", ()), (None, ("network",)), ("contained", ("network",))])
async def test_more_trust_than_every_template_gets_is_said_of_a_place(
    tmp_path: Path, trust: Trust | None, grants: tuple[str, ...]
) -> None:
    home = Home(tmp_path, None)
    kept = home.path / "catalogues" / f"{hashlib.sha256(ORIGIN.encode()).hexdigest()[:32]}.json"
    kept.parent.mkdir()
    row = {"name": "far", "location": "gh:far/away", "description": "Far", "category": "web"}
    kept.write_text(json.dumps({"version": 1, "entries": [row]}))
    environ = {"DYNAMO_MCP_CATALOGUES": ORIGIN, "DYNAMO_MCP_OFFLINE": "1"}
    async with home.open(environ, person=True) as dynamo:
        with pytest.raises(UsageError, match="`far` is wherever") as refused:
            await dynamo.add_template("far", trust=trust, grants=grants)
        assert "`gh:far/away`" in refused.value.hint
        # By its place, and without more trust by its name, it is looked for, which it is not here.
        for address, given, granted in (("gh:far/away", trust, grants), ("far", "inert", ()), ("far", None, ())):
            with pytest.raises(FetchFailed):
                await dynamo.add_template(address, trust=given, grants=granted)
