"""Hostile and broken templates at a real server: each is told clearly, and the server goes on for everybody else."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from integration.places import Place, write_template
from integration.test_bad_input import text

pytestmark = pytest.mark.anyio

NAME = "cookiecutter.json"


def written(content: str | bytes) -> Callable[[Path], None]:
    """Return what replaces a template's `cookiecutter.json`."""

    def write(folder: Path) -> None:
        (folder / NAME).write_bytes(content if isinstance(content, bytes) else content.encode())

    return write


def hooked(code: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / "hooks" / "post_gen_project.py").write_text(code)

    return write


def instead(make: Callable[[Path], object]) -> Callable[[Path], None]:
    """Return what puts something else where a template's `cookiecutter.json` is."""

    def write(folder: Path) -> None:
        (folder / NAME).unlink()
        make(folder / NAME)

    return write


def second(folder: Path) -> None:
    (folder / "{{cookiecutter.other}}").mkdir()
    (folder / "{{cookiecutter.other}}" / "file").touch()


def broken_file(folder: Path) -> None:
    (folder / "{{cookiecutter.slug}}" / "z").write_text("\n{% if %}")


TEMPLATES: dict[str, tuple[Callable[[Path], None], list[str]]] = {
    "bad-json": (written('{"slug": "made",\n "b": }'), ["line 2, column 7"]),
    "order-mark": (written("\ufeff{}"), ["line 1, column 1", "byte order mark"]),
    "not-a-number": (written('{"slug": "made",\n "b": NaN}'), ["line 2, column 7", "`NaN` is no number"]),
    "too-large": (written('{"slug": "made",\n "b": 1e999}'), ["line 2, column 7", "`1e999` is no number"]),
    "digits": (written('{"slug": "made", "b": ' + "1" * 5000 + "}"), ["line 1, column 23", "is no number"]),
    "surrogate": (written('{"slug": "made",\n "b": "\\ud800"}'), ["line 2", "half of a surrogate pair"]),
    "deep": (written("[" * 10_000), ["nested too deeply"]),
    "empty-choice": (written('{"slug": "made",\n "b": []}'), ["line 2", "the choice `b` offers nothing"]),
    "wrong-type": (written('{"slug": "made",\n "_extensions": 3}'), ["line 2", "`_extensions` can't be `3`"]),
    "long-name": (written(json.dumps({"slug": "made", "x" * 500_000: ""})), ["line 1", "can't be called", "200"]),
    "hundred": (written(b'{"slug": "' + b"x" * (100 << 20) + b'"}'), ["104857612 bytes; 1048576 are allowed"]),
    "folder": (instead(Path.mkdir), ["`cookiecutter.json`"]),
    "pipe": (instead(os.mkfifo), ["`cookiecutter.json` is a device, a pipe or a socket"]),
    "link": (
        instead(lambda path: path.symlink_to("/etc/passwd")),
        ["`cookiecutter.json`", "leaves the template's tree"],
    ),
    "two": (second, ["several folders", "`{{cookiecutter.other}}`, `{{cookiecutter.slug}}`"]),
    "undefined": (
        written('{"slug": "made",\n "b": "{{ cookiecutter.nope }}"}'),
        ["`cookiecutter.json`, line 2: the default of `b`", "nope"],
    ),
    "circular": (
        written('{"slug": "made",\n "b": "{{ cookiecutter.c }}",\n "c": "{{ cookiecutter.b }}"}'),
        ["line 2: the default of `b`", "`c` is only answered after `b`"],
    ),
    "in-a-file": (broken_file, ["`z`, line 2"]),
    "waits": (hooked("input('sure? ')"), ["`post_gen_project.py`", "EOFError", "sure? "]),
    "endless": (
        hooked("print('x' * 9)\nwhile True: pass"),
        ["more than 6 seconds", "post_gen_project.py", "xxxxxxxxx"],
    ),
    "kills": (hooked("import os\nprint('farewell')\nos.kill(os.getppid(), 9)"), ["post_gen_project.py", "farewell"]),
}


async def test_every_template_that_is_broken_or_means_harm_is_told_clearly_and_the_server_goes_on(place: Place) -> None:
    place.environment["DYNAMO_MCP_CREATE_SECONDS"] = "6"
    good = write_template(place.templates / "good")
    async with place.joined("http", "2026-07-28") as client:
        await client.call_tool("add_template", {"url": str(good)})
        for name, (break_it, messages) in TEMPLATES.items():
            folder = write_template(place.templates / name, configuration={"slug": "made"})
            (folder / "{{cookiecutter.slug}}" / "README.md").write_text("plain")
            break_it(folder)
            result: Any = await client.call_tool("add_template", {"url": str(folder)})
            if not result.is_error:
                arguments = {"template_name": name, "output_dir": str(place.outputs)}
                result = await client.call_tool("create_project", arguments)
            assert result.is_error, name
            assert [message for message in messages if message not in text(result)] == [], (name, text(result)[-2000:])
            assert "\n\nhint: " in text(result), name
            assert place.made == [], name
        made = await client.call_tool("create_good", {"_output_dir": str(place.outputs)})
        assert not made.is_error, made.content
    assert place.made == ["my-project"]
    assert place.scratch == []


async def test_names_and_numbers_that_are_only_odd_reach_clients_and_files(place: Place) -> None:
    asked: dict[str, Any] = {
        "slug": "made",
        "class": "a keyword",
        "two words": "spaces",
        "é.b-c": "letters",
        "0": "a digit",
        "large": 10**400,
        "small": 1e-300,
    }
    folder = write_template(place.templates / "odd", configuration=asked, hook=None)
    shown = "".join(f"{{{{ cookiecutter['{name}'] }}}}\n" for name in asked)
    (folder / "{{cookiecutter.slug}}" / "README.md").write_text(shown)
    given = {name: f"{{{{ {name} }}}}" for name in ("class", "two words", "é.b-c", "0")}
    async with place.joined("http", "2026-07-28") as client:
        result = await client.call_tool("add_template", {"url": str(folder)})
        assert not result.is_error, result.content
        (tool,) = [tool for tool in (await client.list_tools()).tools if tool.name == "create_odd"]
        assert {*asked} <= {*tool.input_schema["properties"]}
        result = await client.call_tool("get_template_variables", {"template_name": "odd"})
        assert not result.is_error, result.content
        result = await client.call_tool("create_odd", {"_output_dir": str(place.outputs), **given})
        assert not result.is_error, result.content
    made = (place.outputs / "made" / "README.md").read_text().splitlines()
    assert made == [str({**asked, **given}[name]) for name in asked]
