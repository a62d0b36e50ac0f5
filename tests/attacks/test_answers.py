"""Answers are data: whatever they look like, they come out as they went in, or are refused before anything runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dynamo_mcp.errors import DynamoError, InvalidAnswers
from homes import SLUG, Home, base_environments

pytestmark = pytest.mark.anyio

CODE = (
    "{{ 7919 * 7 }}",
    "{% raw %}{{ 7919 * 7 }}{% endraw %}",
    "{% endraw %}{{ 7919 * 7 }}{% raw %}",
    "{# gone #}",
    "{{ cookiecutter }}",
    "{{ ''.__class__.__mro__ }}",
    "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "{%- if true -%} x {%- endif -%}",
    "[[ 7919 * 7 ]]",
    "${7919*7} <%= 7919*7 %> #{7919*7} {0.__class__} %(slug)s",
    "$(id) `id` ; id | id && id > id",
    "'''\"\"\"\\'\\\"",
    "../../../etc/passwd",
    "-rf",
    "\x00\x07\x1b[31m\x7f\x9b",
    "a\r\nb\u2028c\u202ed\u200be\ufeff",
    "\U0001f4a9é\u0301" * 100,
    "x" * 50_000,
)
PRIVATE: tuple[dict[str, Any], ...] = (
    {"_extensions": ["subprocess.Popen"]},
    {"_jinja2_env_vars": {"variable_start_string": "["}},
    {"_copy_without_render": ["*"]},
    {"_template": "/etc"},
    {"_output_dir": "/etc"},
    {"_repo_dir": "/etc"},
    {"__rendered": "{{ 7919 * 7 }}"},
    {"cookiecutter": {"slug": "x"}},
    {"__class__": "x"},
    {"slug.__class__": "x"},
    {"slug\n": "x"},
    {"text0": "x" * (20 << 20)},
    {"text0": "\ud800"},
    {"text0": {"deep": 1}},
    {"text0": ["x"] * 1000},
    {"slug": "../escaped"},
    {"slug": "/etc/escaped"},
    {"slug": ""},
    {"slug": "."},
    {"slug": ".."},
    {"slug": "a/b"},
    {"slug": "a\x00b"},
)
FOLDERS = ("/etc", "..", "../templates", "~", "/proc/self/cwd", "", "a\x00b", "link-out")


@pytest.fixture
def home(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path, base_environments(tmp_path_factory))


async def test_answers_that_look_like_code_come_out_as_they_went_in(home: Home) -> None:
    names = [f"text{number}" for number in range(len(CODE))]
    configuration = {"slug": "made", **dict.fromkeys(names, "")}
    files = {f"{SLUG}/{name}": f"{{{{cookiecutter.{name}}}}}|{{{{cookiecutter.{name}}}}}" for name in names}
    hook = "".join(f"open('hook-{name}', 'w').write({{{{ cookiecutter.{name}.encode() }}}}.hex())\n" for name in names)
    async with home.open() as dynamo:
        await home.add(dynamo, "asking", files, configuration=configuration, post_gen_project=hook)
        project = await dynamo.create_project("asking", str(home.outputs), dict(zip(names, CODE, strict=True)))
    made = Path(project.path)
    for name, value in zip(names, CODE, strict=True):
        assert (made / name).read_bytes().decode() == f"{value}|{value}", value
        assert bytes.fromhex((made / f"hook-{name}").read_text()).decode() == value, value


async def test_answers_that_are_none_are_refused_and_nothing_is_made(home: Home, tmp_path: Path) -> None:
    (home.outputs / "link-out").symlink_to(tmp_path)
    before = sorted(tmp_path.glob("*"))
    async with home.open() as dynamo:
        await home.add(dynamo, "asking", configuration={"slug": "made", "text0": "", "__rendered": "x"})
        for variables in PRIVATE:
            with pytest.raises(InvalidAnswers) as caught:
                await dynamo.create_project("asking", str(home.outputs), variables)
            assert len(str(caught.value)) < 5000
        for folder in FOLDERS:
            wanted = str(home.outputs / folder) if folder == "link-out" else folder
            with pytest.raises(DynamoError):
                await dynamo.create_project("asking", wanted)
    assert home.made == ["link-out"]
    assert sorted(tmp_path.glob("*")) == before
