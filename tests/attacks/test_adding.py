"""No file of a template tells uv anything: not where packages come from, and not what to build."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import anyio
import pytest

from attacks.test_locations import listener, reached
from homes import SECONDS, Home, base_environments, write_template
from people import uv_binary
from wheels import publish

__all__ = ["listener"]

pytestmark = pytest.mark.anyio


async def test_a_template_can_not_tell_uv_where_packages_come_from(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, listener: socket.socket
) -> None:
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    built = f"import pathlib; pathlib.Path({str(tmp_path / 'built')!r}).touch()\n"
    files: dict[str, str | bytes] = {
        "uv.toml": f'index-url = "{address}"\n',
        "pyproject.toml": f'[project]\nname = "x"\nversion = "1"\n[tool.uv]\nindex-url = "{address}"\n',
        "requirements.txt": f"--index-url {address}\n-e .\n",
        ".env": f"UV_INDEX_URL={address}\n",
        "pip.conf": f"[global]\nindex-url = {address}\n",
        "setup.py": built,
        "sitecustomize.py": built,
    }
    home = Home(tmp_path / "home-of-a-person", base_environments(tmp_path_factory))
    index = publish(tmp_path / "index", "harmless_thing", {"harmless_thing.py": ""})
    folder = write_template(home.templates / "hostile", files, post_gen_project="import harmless_thing\n")

    command: list[str | Path] = [
        uv_binary(),
        "pip",
        "install",
        "--dry-run",
        "--target",
        tmp_path / "target",
        "harmless-thing",
    ]
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "UV_HTTP_RETRIES": "0", "UV_HTTP_TIMEOUT": "1"}
    with anyio.fail_after(SECONDS):
        await anyio.run_process(command, cwd=folder, env=environment, check=False)
    assert reached(listener), "the canary proves nothing"

    home.take_wheels()
    async with home.open({"UV_INDEX": index, "UV_OFFLINE": "1"}) as dynamo:
        await dynamo.add_template(str(folder), name="hostile", requirements=["harmless-thing"])
        await dynamo.create_project("hostile", str(home.outputs))
    assert not reached(listener)
    assert not (tmp_path / "built").exists()
