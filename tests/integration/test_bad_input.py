"""Bad input gets a clear error, and nothing is lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client

from integration.places import Place, write_template

pytestmark = pytest.mark.anyio

NOBODY = 65534


def text(result: Any) -> str:
    return str(result.content[0].text)


@contextmanager
def tiny_disk(folder: Path, size: str) -> Iterator[Path]:
    """Mount a small file system: CI runs as root, and so may."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=True, timeout=20)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True, timeout=20)


ADDS = {
    "a folder that is no template": ("empty", "There is no `cookiecutter.json`", "directory"),
    "invalid JSON": ("broken", "line 2, column 3", "mend the template"),
    "an unreachable URL": ("https://127.0.0.1:9/x.git", "127.0.0.1", ""),
    "a folder that is not there": ("missing", "missing", ""),
    "a package that is not on the index": ("needy", "no-such-package-of-anybody", "index can be reached"),
}


async def test_a_template_that_cannot_be_added_is_refused_with_the_reason_over_mcp_and_in_a_shell(place: Place) -> None:
    (place.templates / "empty").mkdir()
    write_template(place.templates / "needy")
    (write_template(place.templates / "broken") / "cookiecutter.json").write_text("{\n  oops}")
    async with place.joined("http", "2026-07-28") as client:
        for case, (address, message, hint) in ADDS.items():
            url = address if "://" in address else str(place.templates / address)
            arguments: dict[str, Any] = {"url": url}
            options = []
            if address == "needy":
                arguments["requirements"] = ["no-such-package-of-anybody"]
                options = ["--requirement", "no-such-package-of-anybody"]
            result = await client.call_tool("add_template", arguments)
            assert result.is_error, case
            assert message in text(result), case
            assert hint in text(result), case
            assert "hint: " in text(result), case
            failed = {"missing": 2}.get(address, 1)
            said, _ = await place.run("add", url, "--json", *options, code=failed)
            assert message in json.loads(said)["error"]["message"], case
            assert list((place.home / "templates").iterdir()) == [], case
            assert list((place.home / "checkouts").iterdir()) == [], case
    assert place.scratch == []


CREATES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "an unknown variable": ({"moto": "x"}, ["`moto` is not asked; did you mean `motto`?"]),
    "a wrong type": ({"use_docs": 7}, ["`use_docs` can't be a number `7`; it is true or false"]),
    "a wrong choice": ({"license": "mit"}, ["one of `MIT`, `BSD-3-Clause`, `Apache-2.0`", "did you mean `MIT`?"]),
    "several at once": ({"moto": "x", "workers": "many", "owner": 1}, ["`moto`", "`workers`", "`owner`"]),
    "a project folder with `..`": ({"slug": "../evil"}, ["`../evil`", "not a plain folder name"]),
    "an absolute project folder": ({"slug": "/etc/evil"}, ["not a plain folder name"]),
    "an output folder outside the roots": ({"_output_dir": "/etc"}, ["may not be written to `/etc`", "--output-root"]),
    "an output folder that climbs": ({"_output_dir": "../../../../etc"}, ["may not be written to"]),
}


async def test_answers_and_folders_that_do_not_fit_are_refused_with_what_is_allowed(place: Place) -> None:
    folder = write_template(place.templates / "asking")
    async with place.joined("http", "2026-07-28") as client:
        await client.call_tool("add_template", {"url": str(folder)})
        for case, (arguments, messages) in CREATES.items():
            result = await client.call_tool("create_asking", {"_output_dir": str(place.outputs), **arguments})
            assert result.is_error, case
            for message in messages:
                assert message in text(result), case
        result = await client.call_tool("create_project", {"template_name": "askin"})
        assert result.is_error
        assert "did you mean `asking`?" in text(result)
        result = await client.call_tool("create_asking", {"_output_dir": str(place.outputs), "slug": "fine"})
        assert not result.is_error, result.content
        (place.outputs / "fine" / "README.md").write_text("a person's words")
        result = await client.call_tool("create_asking", {"_output_dir": str(place.outputs), "slug": "fine"})
        assert result.is_error
        assert "exists already" in text(result)
        assert "`overwrite`" in text(result)
        assert (place.outputs / "fine" / "README.md").read_text() == "a person's words"
    assert place.made == ["fine"]
    assert place.scratch == []


async def test_a_hook_that_fails_shows_what_it_printed_and_leaves_nothing(place: Place) -> None:
    folder = write_template(
        place.templates / "failing", hook='import sys\nprint("see here")\nsys.exit("no, because")\n'
    )
    async with place.joined("stdio", "legacy") as client:
        await client.call_tool("add_template", {"url": str(folder)})
        result = await client.call_tool("create_failing", {"_output_dir": str(place.outputs)})
    assert result.is_error
    assert "the hook `post_gen_project.py` failed: exit status 1" in text(result)
    assert "see here" in text(result)
    assert "no, because" in text(result)
    assert place.made == []
    assert place.scratch == []


async def test_a_full_disk_is_said_in_words_and_nothing_half_done_stays(place: Place) -> None:
    folder = write_template(place.templates / "large")
    (folder / "{{cookiecutter.slug}}" / "large.bin").write_bytes(b"\0" * (3 << 20))
    await place.run("add", str(folder))
    with tiny_disk(place.outputs, "1m"):
        said, _ = await place.run("create", "large", "-o", str(place.outputs), "--json", code=1)
        error = json.loads(said)["error"]
        assert error["kind"] == "StorageFailed"
        assert "No space left on device" in error["message"]
        assert "free some space" in error["hint"]
        assert place.made == []
    assert place.scratch == []
    await place.run("create", "large", "-o", str(place.outputs))


async def test_a_home_on_a_full_disk_is_said_in_words(tmp_path: Path) -> None:
    place = Place(tmp_path)
    folder = write_template(place.templates / "one")
    with tiny_disk(place.home, "2m"):
        said, _ = await place.run("add", str(folder), "--json", code=1)
        assert "No space left on device" in json.loads(said)["error"]["message"]
        assert place.scratch == []


async def test_a_home_that_cannot_be_written_is_said_in_words(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o755)
    # Root may write anywhere, so somebody else tries, who may not even look where the interpreter lies.
    program = (
        "import os, sys, anyio\n"
        "from dynamo_mcp.cli import application\n"
        "app = application()\n"
        f"app(['--home', {str(tmp_path / 'first')!r}, 'list'], standalone_mode=False)  # imports all that is needed\n"
        f"os.setgid({NOBODY}); os.setuid({NOBODY})\n"
        "app(['list', '--json'], prog_name='dynamo-mcp')\n"
    )
    with anyio.fail_after(60):
        done = await anyio.run_process(
            [sys.executable, "-c", program],
            env={**os.environ, "DYNAMO_MCP_HOME": str(home), "COVERAGE_PROCESS_START": ""},
            check=False,
            cwd="/",
        )
    assert done.returncode == 1, done.stderr.decode()
    error = json.loads(done.stdout[done.stdout.index(b"{") :])["error"]
    assert error["kind"] == "StorageFailed"
    assert str(home) in error["message"]
    assert "DYNAMO_MCP_HOME" in error["hint"]


async def test_a_name_that_could_lead_elsewhere_is_refused(place: Place) -> None:
    folder = write_template(place.templates / "one")
    async with place.joined("http", "2026-07-28") as client:
        for name in ("../evil", "a/b", "UPPER", "project", ".hidden", "a" * 41, "a\nb"):
            result = await client.call_tool("add_template", {"url": str(folder), "name": name})
            assert result.is_error, name
            assert "name" in text(result), name
            assert list((place.home / "templates").iterdir()) == [], name
        result = await client.call_tool("add_template", {"url": str(folder), "name": ""})
    assert not result.is_error  # as if none was given


async def test_a_folder_outside_the_source_roots_cannot_be_added_by_an_agent(place: Place) -> None:
    folder = write_template(place.root / "private")
    async with place.joined("http", "2026-07-28") as client:
        result = await client.call_tool("add_template", {"url": str(folder)})
    assert result.is_error
    assert "--source-root" in text(result)
    await place.run("add", str(folder))  # which a person may


async def test_an_unknown_tool_is_a_protocol_error_and_the_server_goes_on(place: Place) -> None:
    async with place.joined("http", "2026-07-28") as client:
        with pytest.raises(Exception, match="Unknown tool"):
            await client.call_tool("create_nothing", {})
        assert isinstance(client, Client)
        assert not (await client.call_tool("list_templates", {})).is_error
