"""How much of a template may run, by a person's word alone, and for how long that counts."""

from __future__ import annotations

import importlib.util
import json
import py_compile
import subprocess
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream

from dynamo_mcp.arguments import Placement
from dynamo_mcp.dynamo import Dynamo
from dynamo_mcp.errors import HookFailed, InvalidTemplate, Refused, UsageError
from dynamo_mcp.progress import Step
from dynamo_mcp.tools import GENERAL_TOOLS
from dynamo_mcp.types import Trust
from homes import SLUG, Home, base_environments, write_template

pytestmark = pytest.mark.anyio

HOOK = "print('the hook ran')\n"


@pytest.fixture
def home(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path, base_environments(tmp_path_factory))


async def said(home: Home, dynamo: Dynamo, name: str, slug: str) -> str:
    """Return what the hooks of a new project printed, or how they failed and what was said to do."""
    try:
        project = await dynamo.create_project(name, str(home.outputs), {"slug": slug})
    except HookFailed as error:
        return str(error)
    return "".join(hook.output for hook in project.hooks)


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=T", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false")
    command = ["git", *identity, *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=60).stdout.decode().strip()


def commit(folder: Path) -> None:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message=m")


# Grants


async def test_a_granted_path_is_read_and_a_granted_executable_runs_for_that_template_alone(home: Home) -> None:
    folder = home.root / "granted"
    folder.mkdir()
    (folder / "data").write_text("what was granted")
    (folder / "beside").write_text("what was not")
    (folder / "tool-1.0").write_text("#!/bin/sh\necho the tool ran\n")
    (folder / "tool-1.0").chmod(0o755)
    (folder / "tool").symlink_to("tool-1.0")
    hook = (
        "import subprocess\n"
        "def attempt(work):\n"
        "    try: print(work())\n"
        "    except OSError as error: print(error)\n"
        f"attempt(lambda: open({str(folder / 'data')!r}).read())\n"
        f"attempt(lambda: open({str(folder / 'beside')!r}).read())\n"
        f"attempt(lambda: open({str(folder / 'data')!r}, 'w'))\n"
        "attempt(lambda: subprocess.run(['tool'], capture_output=True, text=True).stdout)\n"
    )
    async with home.open(person=True) as dynamo:
        for name in ("one", "neighbour"):
            await home.add(dynamo, name, post_gen_project=hook)
        grants = (f"executable:{folder / 'tool'}", f"read:{folder / 'data'}")
        (told,) = await dynamo.trust_template("one", "contained", grants)
        assert (told.trust, told.grants, told.tier) == ("contained", grants, "strong")
        granted = await said(home, dynamo, "one", "a")
        assert "what was granted" in granted
        assert "the tool ran" in granted
        assert "what was not" not in granted
        assert (await dynamo.template_info("one")).grants == grants
        assert (await dynamo.create_project("one", str(home.outputs), {"slug": "b"})).grants == grants
        refused = await said(home, dynamo, "neighbour", "c")
        await dynamo.trust_template("one", "contained")
        taken = await said(home, dynamo, "one", "d")
        for without in (refused, taken):
            assert "what was granted" not in without
            assert "the tool ran" not in without
            assert "No such file or directory: 'tool'" in without
    assert (folder / "data").read_text() == "what was granted"


async def test_with_the_network_a_hook_reaches_a_listener_and_without_it_is_told_what_to_grant(home: Home) -> None:
    async def answer(stream: SocketStream) -> None:
        async with stream:
            await stream.send(b"reached")

    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        port = listener.extra(SocketAttribute.local_port)  # noqa: S610 - of anyio
        hook = (
            "import os, socket\n"
            f"with socket.create_connection(('127.0.0.1', {port}), 10) as stream: print(stream.recv(100))\n"
            "print(socket.getaddrinfo('localhost', 1)[0][4][1])\n"
            "print(os.environ.get('HTTPS_PROXY'), 'SSH_AUTH_SOCK' in os.environ)\n"
            "try: socket.socket(socket.AF_UNIX)\n"
            "except OSError as error: print('no unix:', error)\n"
        )
        environ = {"HTTPS_PROXY": "http://127.0.0.1:9", "SSH_AUTH_SOCK": "/agent"}
        async with home.open(environ, person=True) as dynamo, anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, answer)
            await home.add(dynamo, "one", post_gen_project=hook)
            without = await said(home, dynamo, "one", "a")
            assert "PermissionError" in without
            assert "`dynamo-mcp trust one contained --grant network`" in without
            await dynamo.trust_template("one", "contained", ["network"])
            assert "reached" in (given := await said(home, dynamo, "one", "b")), given
            assert "1\nhttp://127.0.0.1:9 False\n" in given
            assert "no unix:" in given
            project = await dynamo.create_project("one", str(home.outputs), {"slug": "c"}, trust="inert")
            assert (project.grants, project.hooks) == ((), ())
            tasks.cancel_scope.cancel()


async def test_what_was_granted_and_is_gone_is_said_before_anything_runs(home: Home) -> None:
    (home.root / "data").write_text("x")
    async with home.open(person=True) as dynamo:
        folder = write_template(home.templates / "one", post_gen_project=HOOK)
        await dynamo.add_template(str(folder), name="one", grants=[f"read:{home.root / 'data'}", "network"])
        (home.root / "data").unlink()
        with pytest.raises(Refused, match=r"was granted `read:.*data`") as raised:
            await dynamo.create_project("one", str(home.outputs))
        assert "`dynamo-mcp trust one contained --grant network`" in raised.value.hint
    assert home.made == []


# For how long


@pytest.mark.parametrize(
    ("path", "content", "what"),
    [
        ("hooks/post_gen_project.py", "print('other')\n", ("hooks",)),
        ("cookiecutter.json", '{"slug": "made", "_extensions": ["own.Other"]}', ("extensions",)),
        (
            "own.py",
            "from jinja2.ext import Extension\nclass Own(Extension): a = 1\nclass Other(Own): pass\n",
            ("extensions",),
        ),
        (f"{SLUG}/README.md", "other\n", ("only other files",)),
    ],
)
@pytest.mark.parametrize(("trust", "grants"), [("full", ()), ("contained", ("network",))])
async def test_an_update_ends_what_was_said_of_other_content_and_says_what_changed(
    home: Home, *, path: str, content: str, what: tuple[str, ...], trust: Trust, grants: tuple[str, ...]
) -> None:
    own = "from jinja2.ext import Extension\nclass Own(Extension): pass\nclass Other(Own): pass\n"
    configuration = {"slug": "made", "_extensions": ["own.Own"]}
    folder = write_template(home.templates / "one", {"own.py": own}, configuration=configuration, post_gen_project=HOOK)
    async with home.open(person=True) as dynamo:
        await dynamo.add_template(str(folder), name="one", trust=trust, grants=grants)
        assert (await dynamo.update_template("one")).trust_dropped == ()
        (folder / path).write_text(content)
        change = await dynamo.update_template("one")
        assert (change.template.trust, change.template.grants) == ("contained", ())
        (ended,) = change.trust_dropped
        assert (ended.template, ended.trust, ended.grants, ended.changed) == ("one", trust, grants, what)
        assert ended.command == " ".join(["dynamo-mcp trust one", trust, *(f"--grant {each}" for each in grants)])
        await dynamo.trust_template("one", trust, grants)
        assert (await dynamo.update_template("one")).template.trust == trust


async def test_an_edit_of_a_live_template_ends_it_until_it_is_said_again(home: Home) -> None:
    folder = write_template(home.templates / "one", post_gen_project=HOOK)
    async with home.open(person=True) as dynamo:
        await dynamo.add_template(str(folder), name="one", live=True, trust="full")

        async def create(slug: str, **options: Any) -> tuple[str, tuple[str, ...]]:
            project = await dynamo.create_project("one", str(home.outputs), {"slug": slug}, **options)
            return project.trust, project.notes

        assert await create("a") == ("full", ())
        (folder / "hooks" / "post_gen_project.py").write_text("print('other')\n")
        trust, notes = await create("b")
        assert trust == "contained"
        assert any("changed: hooks" in note and "`dynamo-mcp trust one full`" in note for note in notes)
        assert (await dynamo.trust("one"))[0].changed == ("hooks",)
        assert await create("c", trust="full") == ("full", ())
        await dynamo.trust_template("one", "full")
        assert await create("d") == ("full", ())
        assert (await dynamo.update_template("one")).trust_dropped == ()
        (folder / "hooks" / "post_gen_project.py").write_text("print('yet another')\n")
        (ended,) = (await dynamo.update_template("one")).trust_dropped
        assert ended.changed == ("hooks",)
        await dynamo.trust_template("one", "full")
        folder.rename(home.root / "away")
        assert "There is no folder" in (await dynamo.trust("one"))[0].changed[0]
        assert [told.trust for told in await dynamo.trust_template("one", "inert")] == ["inert"]


@pytest.mark.parametrize(("trust", "grants"), [("full", ()), ("contained", ("network",))])
@pytest.mark.parametrize("step", ["check answers", "prepare environment", "start renderer"])
async def test_an_edit_while_a_create_waits_for_its_turn_ends_it_too(
    home: Home, *, step: str, trust: Trust, grants: tuple[str, ...]
) -> None:
    folder = write_template(home.templates / "one", post_gen_project=HOOK)
    async with home.open(person=True) as dynamo:
        await dynamo.add_template(str(folder), name="one", live=True, trust=trust, grants=grants)

        async def edit(told: Step) -> None:
            if told.name == step:
                (folder / "hooks" / "post_gen_project.py").write_text("print('other')\n")

        project = await dynamo.create_project("one", str(home.outputs), sink=edit)
    assert (project.trust, project.tier, project.grants) == ("contained", "strong", ())
    assert any("changed: hooks" in note for note in project.notes)


BESIDE = """
import sys
sys.path.insert(0, {folder!r})
sys.path.insert(0, {folder!r} + "/.venv")
import own, other
print("own", own.said, "other", other.said)
"""


@pytest.mark.parametrize("what", ["__pycache__", ".venv"])
@pytest.mark.parametrize(("trust", "grants"), [("full", ()), ("contained", ("read:/usr/share",))])
async def test_code_beside_a_live_template_is_part_of_what_is_trusted(
    home: Home, *, what: str, trust: Trust, grants: tuple[str, ...]
) -> None:
    folder = home.templates / "one"
    files: dict[str, str | bytes] = {"own.py": "said = 'template'\n", ".venv/other.py": "said = 'template'\n"}
    write_template(folder, files, post_gen_project=BESIDE.format(folder=str(folder)))
    (home.templates / "hostile.py").write_text("said = 'stranger'\n")
    async with home.open(person=True) as dynamo:
        await dynamo.add_template(str(folder), name="one", live=True, trust=trust, grants=grants)
        project = await dynamo.create_project("one", str(home.outputs), {"slug": "a"})
        assert (project.trust, project.grants, project.notes) == (trust, grants, ())
        if what == ".venv":
            (folder / ".venv" / "other.py").write_text("said = 'stranger'\n")
        else:  # bytecode that Python takes without a look at what it is of
            compiled = importlib.util.cache_from_source(str(folder / "own.py"))
            py_compile.compile(
                str(home.templates / "hostile.py"),
                compiled,
                invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
            )
        project = await dynamo.create_project("one", str(home.outputs), {"slug": "b"})
        assert "stranger" in project.hooks[0].output
        assert (project.trust, project.grants) == ("contained", ())
        assert any("changed: environments or bytecode in it" in note for note in project.notes), project.notes
        (told,) = await dynamo.trust("one")
        assert told.changed == ("environments or bytecode in it",)
    async with home.open() as dynamo:  # nor does an update by a program take it for what was trusted
        (ended,) = (await dynamo.update_template("one")).trust_dropped
        assert ended.changed == ("environments or bytecode in it",)
        assert (await dynamo.create_project("one", str(home.outputs), {"slug": "c"})).grants == ()


async def test_a_live_folder_with_too_much_in_it_is_trusted_no_more_than_every_template(home: Home) -> None:
    folder = write_template(home.templates / "one")
    (folder / ".venv").mkdir()
    with (folder / ".venv" / "large").open("wb") as file:
        file.truncate(1 << 30)
    async with home.open(person=True) as dynamo:
        with pytest.raises(InvalidTemplate, match="MiB") as raised:
            await dynamo.add_template(str(folder), name="one", live=True, trust="full")
        assert "`.venv`" in raised.value.hint
        await dynamo.add_template(str(folder), name="one", live=True)
        await dynamo.add_template(str(folder), name="copy", trust="full")


@pytest.mark.parametrize("where", ["folder", "file"])
async def test_a_live_folder_that_something_has_taken_the_place_of_is_refused(home: Home, where: str) -> None:
    folder = write_template(home.templates / "one")
    elsewhere = write_template(home.root / "elsewhere", configuration={"slug": "elsewhere"})
    async with home.open() as dynamo:
        await dynamo.add_template(str(folder), name="one", live=True)
        if where == "folder":
            folder.rename(home.root / "old")
            folder.symlink_to(elsewhere)
        else:
            (folder / "cookiecutter.json").unlink()
            (folder / "cookiecutter.json").symlink_to(elsewhere / "cookiecutter.json")
        with pytest.raises(InvalidTemplate, match="leads through a link out of"):
            await dynamo.create_project("one", str(home.outputs))
        (info,) = await dynamo.list_templates()
        assert not info.is_active
    assert home.made == []


# Whose word


async def test_no_tool_takes_trust_or_grants() -> None:
    for tool in GENERAL_TOOLS.values():
        schema = tool.tool.input_schema
        assert not {name for name in schema["properties"] if "trust" in name or "grant" in name}, tool.name
        assert schema["additionalProperties"] is False
    assert not [name for name in GENERAL_TOOLS if "trust" in name]
    assert not [name for name in Placement.__struct_fields__ if "trust" in name or "grant" in name]


async def test_a_program_can_set_no_trust_and_give_no_grants(home: Home) -> None:
    async with home.open() as dynamo:
        folder = write_template(home.templates / "one")
        await dynamo.add_template(str(folder), name="one")
        for trust, grants in (("full", ()), ("contained", ("network",)), ("inert", ())):
            with pytest.raises(UsageError, match="Only a person"):
                await dynamo.trust_template("one", trust, grants)  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="Only a person"):
            await dynamo.add_template(str(folder), name="two", grants=["network"])
        (told,) = await dynamo.trust("one")
        assert (told.trust, told.grants, told.by_person) == ("contained", (), False)


async def test_what_a_person_lets_run_nothing_stays_so_whatever_a_program_does(home: Home) -> None:
    folder = write_template(home.templates / "one", post_gen_project=HOOK)
    copy = write_template(home.templates / "copy", post_gen_project=HOOK)
    async with home.open(person=True) as dynamo:
        await dynamo.add_template(str(folder), name="one", trust="inert")
    async with home.open() as dynamo:
        with pytest.raises(Refused, match="a person has set its trust to `inert`") as raised:
            await dynamo.remove_template("one")
        assert "`dynamo-mcp trust one contained`" in raised.value.hint
        for name, address, options in (
            ("again", f"{folder}/", {}),
            ("live", str(folder), {"live": True}),
            ("part", str(home.templates), {"directory": "one"}),
            ("copy", str(copy), {}),
        ):
            assert (await dynamo.add_template(address, name=name, **options)).trust == "inert", name
        await dynamo.remove_template("again")
        assert (await dynamo.add_template(str(write_template(home.templates / "two")))).trust == "contained"
    async with home.open(person=True) as dynamo:
        await dynamo.remove_template("one")


async def test_the_operator_says_what_templates_get_and_which_are_their_own(home: Home) -> None:
    (home.templates / "own").mkdir()
    own = write_template(home.templates / "own" / "mine")
    other = write_template(home.templates / "other", {"other.txt": "of other content"})
    environ = {"DYNAMO_MCP_TRUST": "inert", "DYNAMO_MCP_TRUSTED": f"gh:me/ {home.templates / 'own'}/"}
    async with home.open(environ) as dynamo:
        assert (await dynamo.add_template(str(other))).trust == "inert"
        assert (await dynamo.add_template(str(own))).trust == "full"
        (own / SLUG / "README.md").write_text("other")
        change = await dynamo.update_template("mine")
        assert (change.changed, change.template.trust, change.trust_dropped) == (True, "full", ())
        await dynamo.remove_template("other")  # nobody said it of that one
    async with home.open(environ, person=True) as dynamo:
        await dynamo.trust_template("mine", "contained")
        (own / SLUG / "README.md").write_text("yet another")
        assert (await dynamo.update_template("mine")).template.trust == "contained"


async def test_a_strangers_pull_request_is_not_trusted_for_the_place_that_hands_it_out(home: Home) -> None:
    folder = write_template(home.templates / "mine", post_gen_project=HOOK)
    git(folder, "init", "-q", "-b", "main")
    git(folder, "config", "uploadpack.allowAnySHA1InWant", "true")
    commit(folder)
    git(folder, "tag", "-a", "-m", "x", "v1")
    main = git(folder, "rev-parse", "HEAD")
    git(folder, "checkout", "-q", "--detach")
    (folder / "hooks" / "post_gen_project.py").write_text("print('a stranger')\n")
    commit(folder)
    stranger = git(folder, "rev-parse", "HEAD")
    git(folder, "update-ref", "refs/pull/7/head", stranger)
    git(folder, "checkout", "-q", "main")
    git(folder, "update-ref", f"refs/heads/{stranger}", main)  # a branch that is called like their commit
    environ = {"DYNAMO_MCP_TRUSTED": folder.as_uri()}
    async with home.open(environ) as dynamo:
        for name, checkout in (("default", None), ("branch", "main"), ("tag", "refs/tags/v1"), ("tip", main)):
            info = await dynamo.add_template(folder.as_uri(), name=name, checkout=checkout)
            assert (info.trust, info.revision, info.notes) == ("full", main, ()), name
        for name, checkout in (("short", "pull/7/head"), ("commit", stranger)):
            info = await dynamo.add_template(folder.as_uri(), name=name, checkout=checkout)
            assert (info.trust, info.revision) == ("contained", stranger), name
            assert any(f"`dynamo-mcp trust {name} full`" in note for note in info.notes), info.notes
            assert (await dynamo.update_template(name)).template.trust == "contained"
        (told,) = await dynamo.trust("default")
        assert (told.trust, told.by_person, told.by_setting) == ("full", False, True)
    async with home.open(environ, person=True) as dynamo:
        info = await dynamo.add_template(folder.as_uri(), name="whole", checkout="refs/pull/7/head")
        assert (info.trust, info.revision) == ("contained", stranger)
        await dynamo.trust_template("whole", "full")
        (told,) = await dynamo.trust("whole")
        assert (told.trust, told.by_person, told.by_setting) == ("full", True, False)
    # Once it is the tip of no branch any more, what was trusted stays so, and nothing else becomes so.
    git(folder, "commit", "-q", "--allow-empty", "-m", "more")
    async with home.open(environ) as dynamo:
        assert (await dynamo.update_template("tip")).template.trust == "full"


async def test_a_program_forgets_no_inert_template_that_its_repository_holds_no_more(home: Home) -> None:
    folder = home.templates / "several"
    for child in ("a", "b"):
        write_template(folder / child, {f"{SLUG}/{child}": ""})
    named = {child: {"path": f"./{child}"} for child in ("a", "b")}
    (folder / "cookiecutter.json").write_text(json.dumps({"templates": named}), "utf-8")
    git(folder, "init", "-q")
    commit(folder)
    async with home.open(person=True) as dynamo:
        await dynamo.add_template(folder.as_uri(), name="several")
        await dynamo.trust_template("several.a", "inert")
    (folder / "cookiecutter.json").write_text(json.dumps({"templates": {"b": named["b"]}}), "utf-8")
    commit(folder)
    async with home.open() as dynamo:
        with pytest.raises(Refused, match=r"`several\.a` can't be removed by a program") as raised:
            await dynamo.update_template("several")
        assert "`dynamo-mcp remove several.a`" in raised.value.hint
        added = await dynamo.add_template(folder.as_uri(), name="again", directory="a")
        assert added.trust == "inert"
        assert home.scratch == []
    async with home.open(person=True) as dynamo:
        await dynamo.remove_template("several.a")
    async with home.open() as dynamo:
        assert (await dynamo.update_template("several")).changed


async def test_all_templates_of_a_repository_are_trusted_by_its_name(home: Home) -> None:
    folder = home.templates / "several"
    for child in ("a", "b"):
        write_template(folder / child, post_gen_project=HOOK)
    (folder / "cookiecutter.json").write_text('{"templates": {"a": {"path": "./a"}, "b": {"path": "./b"}}}', "utf-8")
    git(folder, "init", "-q")
    commit(folder)
    async with home.open(person=True) as dynamo:
        await dynamo.add_template(folder.as_uri(), name="several")
        assert [told.template for told in await dynamo.trust("several")] == ["several.a", "several.b"]
        await dynamo.trust_template("several", "contained", ["network"])
        assert (await dynamo.template_info("several")).grants == ("network",)
        assert (await dynamo.template_info("several.b")).grants == ("network",)
        (folder / "a" / "hooks" / "post_gen_project.py").write_text("print('other')\n")
        commit(folder)
        change = await dynamo.update_template("several")
        assert {ended.template: ended.changed for ended in change.trust_dropped} == {
            "several.a": ("hooks",),
            "several.b": ("only other files",),
        }
        await dynamo.trust_template("several", "inert")
    async with home.open() as dynamo:
        with pytest.raises(Refused, match="a person has set"):
            await dynamo.remove_template("several")
