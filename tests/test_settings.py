"""What may an operator choose? A variable for every setting, and a person's own words above them."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from dynamo_mcp.errors import UsageError
from dynamo_mcp.serving import Serving, load_serving
from dynamo_mcp.settings import LEAST, NONE, NOT_CHOSEN, PASSED_TO_FETCHERS, Settings, load
from dynamo_mcp.source_settings import Token

FIELDS = [field for field in msgspec.structs.fields(Settings) if field.name not in NOT_CHOSEN]
REAL_HOME = Path.home()
"""Of whoever runs the tests: this is read before any of them has begun."""
NUMBERS = [field.name for field in FIELDS if field.type in (int, float)]


@pytest.mark.parametrize("name", [field.name for field in FIELDS])
def test_every_setting_has_a_variable(name: str, tmp_path: Path) -> None:
    kind = next(field.type for field in FIELDS if field.name == name)
    text, expected = {
        Path: (str(tmp_path / "x"), tmp_path / "x"),
        int: ("7", 7),
        float: ("7.5", 7.5),
        bool: ("Yes", True),
        str | None: ("x", "x"),
        Path | None: (str(tmp_path / "x"), tmp_path / "x"),
        tuple[str, ...]: ("x", ("x",)),
    }.get(kind, (str(tmp_path / "x"), (tmp_path / "x",)))
    if name == "trust":
        text = expected = "inert"
    if name == "tools":
        text = expected = "compact"
    if name == "hook_interpreter":
        text = expected = "own"
    if name == "audit":
        text = expected = "answers"
    if name in LEAST:
        text, expected = str(LEAST[name]), LEAST[name]
    if name == "trusted":
        text, expected = "gh:me/ /srv/x", ("gh:me/", "/srv/x")
    if name == "tokens":
        text, expected = "x.example/me=secret", (Token("x.example", 443, "/me", "oauth2", "secret"),)
    if name == "abbreviations":
        text, expected = "me=https://x.example/{0}", {"me": "https://x.example/{}"}
    if name == "catalogues":
        text, expected = "https://a.org/c.json /srv/c.json", ("https://a.org/c.json", "/srv/c.json")
    assert getattr(load({"HOME": str(tmp_path), f"DYNAMO_MCP_{name.upper()}": text}), name) == expected


@pytest.mark.parametrize("name", [field.name for field in FIELDS])
def test_an_empty_variable_is_as_good_as_none(name: str) -> None:
    found = load({f"DYNAMO_MCP_{name.upper()}": ""})
    assert msgspec.structs.replace(found, environment={}) == load({})


@pytest.mark.parametrize(
    "text", ["http://a.org/c", "file:///c", "https://me@a.org/c", "https://a.org", "https:///c", "ftp://a/c", "\x1b"]
)
def test_a_catalogue_is_a_file_or_an_https_address(text: str) -> None:
    with pytest.raises(UsageError, match="neither a file nor an https address"):
        load({"DYNAMO_MCP_CATALOGUES": text})


def test_a_catalogue_that_is_named_twice_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = load({"DYNAMO_MCP_CATALOGUES": f"own.json  {tmp_path}/own.json\nhttps://a.org/c?x=1"}).catalogues
    assert found == (f"{tmp_path}/own.json", "https://a.org/c?x=1")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (name, text)
        for name in NUMBERS
        for text in ["many", "0", "-1", "1 2", "nan", "1,5", "0x10", "-inf", "true", "null", "\x00"]
        if not (text == "0" and name in NONE)
    ],
)
def test_a_number_that_is_none_or_not_above_zero_is_refused_with_its_variable(name: str, text: str) -> None:
    variable = f"DYNAMO_MCP_{name.upper()}"
    with pytest.raises(UsageError) as caught:
        load({variable: text})
    assert f"`{variable}`" in caught.value.message
    assert f"`{text}`" in caught.value.message
    assert "unset it" in caught.value.hint


@pytest.mark.parametrize("text", ["1.5", "1e-3"])
def test_a_count_is_a_whole_number(text: str) -> None:
    with pytest.raises(UsageError, match="which is not a whole number above zero") as caught:
        load({"DYNAMO_MCP_RENDERERS": text})
    assert "set it to a whole number" in caught.value.hint


def test_there_may_be_no_spare_environments() -> None:
    assert load({"DYNAMO_MCP_SPARE_ENVIRONMENTS": "0"}).spare_environments == 0
    with pytest.raises(UsageError, match="`-1`, which is not a whole number, or 0 for none"):
        load({"DYNAMO_MCP_SPARE_ENVIRONMENTS": "-1"})


@pytest.mark.parametrize("name", LEAST)
def test_a_limit_that_lets_no_job_begin_is_refused_with_the_least_that_does(name: str) -> None:
    variable = f"DYNAMO_MCP_{name.upper()}"
    with pytest.raises(UsageError, match=f"`{variable}` is `{LEAST[name] - 1}`, with which no project") as caught:
        load({variable: str(LEAST[name] - 1)})
    assert f"set it to {LEAST[name]} at least" in caught.value.hint


def test_a_number_that_no_machine_could_hold_is_refused_with_its_variable() -> None:
    with pytest.raises(UsageError, match=r"`DYNAMO_MCP_MEMORY_BYTES` is `9{30}`, which is more than any machine has"):
        load({"DYNAMO_MCP_MEMORY_BYTES": "9" * 30})


@pytest.mark.parametrize("text", ["full", "FULL", "none"])
def test_no_setting_trusts_every_template_with_everything(text: str) -> None:
    with pytest.raises(UsageError, match=f"`DYNAMO_MCP_TRUST` is `{text}`") as raised:
        load({"DYNAMO_MCP_TRUST": text})
    assert "`contained` or `inert`" in raised.value.hint


def test_there_are_two_ways_to_run_python_hooks() -> None:
    with pytest.raises(UsageError, match="`DYNAMO_MCP_HOOK_INTERPRETER` is `fast`") as raised:
        load({"DYNAMO_MCP_HOOK_INTERPRETER": "fast"})
    assert "`warm` (" in raised.value.hint
    assert "`own` (" in raised.value.hint


def test_there_are_three_ways_to_log_who_did_what() -> None:
    with pytest.raises(UsageError, match="`DYNAMO_MCP_AUDIT` is `all`") as raised:
        load({"DYNAMO_MCP_AUDIT": "all"})
    assert "`off`, `calls` (" in raised.value.hint


@pytest.mark.parametrize(
    "text", ["/", "https://", "file:///", "gh:", "ssh://", "https://github.com/", "ssh://git@GitLab.com/"]
)
def test_what_every_location_begins_with_is_nobodys_own(text: str) -> None:
    with pytest.raises(UsageError, match="the beginning of every location"):
        load({"DYNAMO_MCP_TRUSTED": f"gh:me/ {text}"})


@pytest.mark.parametrize(
    "text",
    [
        *("foo", "gh:me", "gh:../..", "gh:me/,gh:you/", "/srv/a,/srv/b", "/a/../b", "templates/", "{{x}}"),
        *("https://github.com", "http://git.example.com/me/", "github.com/me/", "https://me@github.com/me/"),
        "https://github.com/me/*",
    ],
)
def test_what_no_location_begins_with_is_refused_instead_of_never_matching(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        load({"DYNAMO_MCP_TRUSTED": f"gh:me/ {text}"})
    assert f"`{text}`, which no location is or begins with" in caught.value.message
    assert "with spaces between them" in caught.value.hint


def test_what_locations_begin_with_is_one_s_own() -> None:
    own: tuple[str, ...] = (
        "gh:me/",
        "gl:me/one",
        "cb:me/",
        "sr:~me/",
        "https://git.example.com/",
        "https://git.example.com:8443/me/one.git",
    )
    own += ("ssh://git@git.example.com/me/", "git@git.example.com:me/", "file:///srv/one", "/srv/t", "~/t/", "~me/t")
    assert load({"DYNAMO_MCP_TRUSTED": " ".join(own)}).trusted == own


def test_what_is_one_s_own_may_be_said_with_abbreviations_of_one_s_own() -> None:
    abbreviations = "work=https://git.example.com/{}.git lab=git@lab.example.com:{} odd=https://odd.example.com/{}/tree"
    environ = {"DYNAMO_MCP_ABBREVIATIONS": abbreviations}
    own = "work:team/ work:team/one work:two.git work: lab:me/ odd:me/x gh:me/"
    assert load({**environ, "DYNAMO_MCP_TRUSTED": own}).trusted == (
        "https://git.example.com/team/",
        "https://git.example.com/team/one.git",
        "https://git.example.com/two.git",
        "https://git.example.com/",
        "git@lab.example.com:me/",
        "https://odd.example.com/me/x/tree",
        "gh:me/",
    )
    for wrong in ("none:me/", "odd:me/", "work:../me/", "work:me/../", "lab:", "work:a,b/"):
        with pytest.raises(UsageError) as caught:
            load({**environ, "DYNAMO_MCP_TRUSTED": wrong})
        assert f"`{wrong}`" in caught.value.message
    with pytest.raises(UsageError, match="every location"):
        load({"DYNAMO_MCP_ABBREVIATIONS": "hub=https://github.com/{}", "DYNAMO_MCP_TRUSTED": "hub:"})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("work", "is no abbreviation"),
        ("Work=https://x.example/{}", "is no abbreviation"),
        ("w=https://x.example/{}", "is no abbreviation"),
        ("gh=https://x.example/{}", "means something else already"),
        ("https=https://x.example/{}", "means something else already"),
        ("pypi=https://x.example/{}", "means something else already"),
        ("work=https://x.example/", "no `{}` behind it"),
        ("work=https://{}/x", "no `{}` behind it"),
        ("work=http://x.example/{}", "no `{}` behind it"),
        ("work=ext::sh/{}", "no `{}` behind it"),
        ("work=https://x.example/{}/{}", "no `{}` behind it"),
        ("work=https://me:pw@x.example/{}", "no `{}` behind it"),
    ],
)
def test_an_abbreviation_that_can_mean_nothing_is_refused(text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        load({"DYNAMO_MCP_ABBREVIATIONS": f"fine=git@x.example:{{}} {text}"})
    assert caught.value.message.startswith("`DYNAMO_MCP_ABBREVIATIONS` holds `")
    assert said in caught.value.message


def test_a_token_says_where_it_is_for_and_nothing_of_what_it_is() -> None:
    text = "Git.example.com:8443/a/b/=me:s3=cr:et bitbucket.org=x1"
    settings = load({"DYNAMO_MCP_TOKENS": text, "DYNAMO_MCP_ARCHIVE_PASSWORD": "pw", "OTHER": "kept"})
    one, other = settings.tokens
    assert (one.where, one.user, one.secret) == ("git.example.com:8443/a/b", "me", "s3=cr:et")
    assert (other.where, other.user, other.secret) == ("bitbucket.org", "x-token-auth", "x1")
    assert "s3=cr" not in repr(settings)
    assert settings.environment == {"OTHER": "kept"}


@pytest.mark.parametrize(
    "wrong",
    [
        "secret",
        "=secret",
        "x.example=",
        "x.example=me:",
        "https://x.example=secret",
        "x/../y=secret",
        "x.example=sécret",
    ],
)
def test_what_is_no_token_is_refused_without_saying_it(wrong: str) -> None:
    with pytest.raises(UsageError, match=r"`DYNAMO_MCP_TOKENS` .* part 2") as caught:
        load({"DYNAMO_MCP_TOKENS": f"fine.example=t0ken {wrong}"})
    assert not any(said in str(caught.value) for said in ("secret", "sécret", "t0ken"))
    with pytest.raises(UsageError, match=r"two tokens for `a\.example`"):
        load({"DYNAMO_MCP_TOKENS": "a.example=1 A.example:443=2"})


@pytest.mark.parametrize("name", ["output_roots", "source_roots"])
def test_several_folders_are_split_as_in_path(name: str, tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "with space"
    text = os.pathsep.join(["", str(one), "", str(other), ""])
    assert getattr(load({f"DYNAMO_MCP_{name.upper()}": text}), name) == (one, other)


def test_hosts_are_names_suffixes_and_networks_and_anything_else_is_refused() -> None:
    text = "Git.example.com, *.intra.example  10.0.0.0/8,fd00::/8 192.168.1.5"
    found = load({"DYNAMO_MCP_ALLOWED_HOSTS": text}).allowed_hosts
    assert found == ("git.example.com", "*.intra.example", "10.0.0.0/8", "fd00::/8", "192.168.1.5")
    for wrong in (
        "*",
        "https://git.example.com",
        "10.0.0.1/8",
        "git.example.com:443",
        "a*b",
        "*.*.com",
        "*.com",
        "0.0.0.0/0",
        "::/0",
    ):
        with pytest.raises(UsageError, match="DYNAMO_MCP_ALLOWED_HOSTS") as caught:
            load({"DYNAMO_MCP_ALLOWED_HOSTS": f"fine.example {wrong}"})
        assert f"`{wrong}`" in caught.value.message


def test_an_address_within_a_network_is_refused_with_the_network_that_may_be_meant() -> None:
    with pytest.raises(UsageError, match=r"`10\.0\.0\.1/8`, which is an address within a network") as caught:
        load({"DYNAMO_MCP_ALLOWED_HOSTS": "10.0.0.1/8"})
    assert caught.value.hint == "name the network `10.0.0.0/8`, or the address alone: `10.0.0.1`"
    assert load({"DYNAMO_MCP_ALLOWED_HOSTS": "*.lan"}).allowed_hosts == ("*.lan",)


def test_what_is_chosen_wins_over_the_environment(tmp_path: Path) -> None:
    environ = {"DYNAMO_MCP_HOME": str(tmp_path / "variable"), "DYNAMO_MCP_RENDERERS": "3"}
    settings = load(environ, home=tmp_path / "chosen", renderers=5)
    assert (settings.home, settings.renderers) == (tmp_path / "chosen", 5)


def test_what_is_left_open_does_not_win_over_the_environment() -> None:
    assert load({"DYNAMO_MCP_RENDERERS": "3"}, renderers=None).renderers == 3


def test_folders_are_absolute_and_real(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    monkeypatch.chdir(tmp_path)
    settings = load({"DYNAMO_MCP_HOME": "link/home", "DYNAMO_MCP_OUTPUT_ROOTS": f"link{os.pathsep}~/projects"})
    assert settings.home == tmp_path / "real" / "home"
    assert settings.output_roots == (tmp_path / "real", Path.home() / "projects")


def test_the_interpreter_is_found_from_every_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load({"DYNAMO_MCP_PYTHON": "bin/python"}).python == tmp_path / "bin" / "python"


def test_a_link_to_an_interpreter_stays_one_since_it_says_which_environment_is_meant(tmp_path: Path) -> None:
    (tmp_path / "python").symlink_to("/usr/bin/env")
    assert load({"DYNAMO_MCP_PYTHON": str(tmp_path / "python")}).python == tmp_path / "python"


@pytest.mark.parametrize("variable", ["DYNAMO_MCP_HOME", "DYNAMO_MCP_OUTPUT_ROOTS"])
def test_the_folder_of_a_person_who_does_not_exist_is_refused_with_its_variable(variable: str) -> None:
    with pytest.raises(UsageError, match=variable):
        load({variable: "~nobody-of-this-name/dynamo"})


def test_only_the_variables_that_are_named_reach_git_and_uv() -> None:
    secrets = {"AWS_SECRET_ACCESS_KEY": "x", "GITHUB_TOKEN": "x", "PYTHONPATH": "x", "LD_PRELOAD": "x", "HOME": "/x"}
    named = {name: f"value of {name}" for name in PASSED_TO_FETCHERS}
    assert load({**secrets, **named}).passed == named


def test_a_variable_that_is_empty_reaches_nobody() -> None:
    assert load({"HTTPS_PROXY": ""}).passed == {}


def test_no_variable_makes_a_person_of_an_agent() -> None:
    assert load({"DYNAMO_MCP_PERSON": "1"}).person is False


def test_executables_are_looked_up_where_the_operator_does() -> None:
    assert load({"PATH": "/a:/b"}).search_path == "/a:/b"
    assert load({}).search_path == os.defpath


def test_the_environment_is_that_of_the_process_unless_another_is_given(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DYNAMO_MCP_HOME", str(tmp_path / "mine"))
    assert load().home == tmp_path / "mine"


def test_a_home_that_nobody_chose_is_the_platform_s_and_the_tests_never_reach_the_real_one() -> None:
    assert load({}).home.is_relative_to(Path.home())
    assert Path.home() != REAL_HOME


def test_projects_go_to_outputs_when_nobody_says_where(tmp_path: Path) -> None:
    assert load({}, home=tmp_path).outputs == tmp_path / "outputs"


def test_every_setting_is_explained() -> None:
    described = Settings.__doc__ or ""
    assert [field.name for field in msgspec.structs.fields(Settings) if f"    {field.name}: " not in described] == []


@pytest.mark.parametrize("field", msgspec.structs.fields(Serving), ids=lambda field: field.name)
def test_every_limit_of_network_transports_has_a_variable(field: msgspec.structs.FieldInfo) -> None:
    variable = f"DYNAMO_MCP_{field.name.upper()}"
    assert getattr(load_serving({variable: "7"}), field.name) == 7
    assert load_serving({variable: ""}) == Serving()
    with pytest.raises(UsageError, match=variable):
        load_serving({variable: "-1"})
