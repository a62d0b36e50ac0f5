"""What a person may give a template besides its trust, and what nobody can."""

from __future__ import annotations

from pathlib import Path

import pytest

from dynamo_mcp.errors import Refused, UsageError
from dynamo_mcp.sandbox.grants import Grants, command, environment, granted, network_files, parse
from dynamo_mcp.settings import Settings, load


@pytest.fixture
def person(tmp_path: Path) -> Settings:
    """Return the settings of a person whose home folder and PATH are of this test alone."""
    for name in ("mine/data", "bin", "own"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "bin" / "tool").write_text("#!/bin/sh\n")
    (tmp_path / "bin" / "tool").chmod(0o755)
    (tmp_path / "bin" / "text").write_text("")
    environ = {
        "HOME": str(tmp_path / "mine"),
        "PATH": str(tmp_path / "bin"),
        "HTTPS_PROXY": "http://proxy:1",
        "SSL_CERT_FILE": "/certificates.pem",
        "SSH_AUTH_SOCK": "/agent",
        "UV_INDEX": "https://user:secret@index/",
        "SECRET": "x",
    }
    return load(environ, home=tmp_path / "own", person=True)


def test_grants_are_kept_absolute_sorted_and_once(person: Settings, tmp_path: Path) -> None:
    data = tmp_path / "mine" / "data"
    given = parse(["read:" + str(data / ".." / "data"), "network", "executable:tool", "network"], person)
    assert given == (f"executable:{tmp_path / 'bin' / 'tool'}", "network", f"read:{data}")


@pytest.mark.parametrize("word", ["", "net", "read", "read:", "executable:", "write:/x", "network:x", "read:/\n"])
def test_what_is_no_grant_is_told_with_what_is(person: Settings, word: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse([word], person)
    assert "`network`, `executable:/path` (or a name on your `PATH`), or `read:/path`" in raised.value.hint


@pytest.mark.parametrize(
    ("word", "meant"),
    [("NETWORK", "network"), ("net", "network"), ("read", "read:/path"), ("exec:/a", "executable:/a")],
)
def test_what_is_nearly_a_grant_is_told_with_what_may_be_meant(person: Settings, word: str, meant: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse([word], person)
    assert raised.value.hint.startswith(f"did you mean `{meant}`? it is `network`")


@pytest.mark.parametrize(("name", "what"), [("text", "a file that may not be executed"), ("", "a folder")])
def test_what_is_there_and_no_executable_is_said_to_be_none(
    person: Settings, tmp_path: Path, name: str, what: str
) -> None:
    path = tmp_path / "bin" / name
    with pytest.raises(UsageError, match=f"`{path}` is {what}, not an executable") as raised:
        parse([f"executable:{path}"], person)
    assert f"grant `read:{path}`" in raised.value.hint


@pytest.mark.parametrize("word", ["read:{}/nothing", "executable:{}/nothing", "executable:nothing", "executable:text"])
def test_what_is_not_there_can_not_be_granted(person: Settings, tmp_path: Path, word: str) -> None:
    with pytest.raises(UsageError, match="There is no"):
        parse([word.format(tmp_path)], person)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/", "the whole machine"),
        ("{}/mine", "your home folder"),
        ("{}/mine/data/..", "your home folder"),
        ("{}", "your home folder"),
        ("{}/to-root", "the whole machine"),
        ("{}/to-home", "your home folder"),
        ("{}/own", "its own things"),
        ("{}/own/keys", "its own things"),
        ("/proc", "of its own"),
        ("/proc/self", "of its own"),
        ("/dev/shm", "of its own"),  # noqa: S108 - refused
        ("/etc", "of its own"),
    ],
)
def test_what_would_undo_the_sandbox_is_refused_with_the_reason(
    person: Settings, tmp_path: Path, path: str, reason: str
) -> None:
    (tmp_path / "own" / "keys").mkdir()
    (tmp_path / "to-root").symlink_to("/")
    (tmp_path / "to-home").symlink_to(tmp_path / "mine")
    with pytest.raises(Refused, match=reason) as raised:
        parse([f"read:{path.format(tmp_path)}"], person)
    assert "it would undo the sandbox" in raised.value.message
    assert raised.value.exit_code == 5


def test_a_grant_is_of_a_link_and_of_what_it_leads_to_now(person: Settings, tmp_path: Path) -> None:
    data, link = tmp_path / "mine" / "data", tmp_path / "link"
    link.symlink_to(data)
    words = parse([f"read:{link}"], person)
    assert granted("one", words, person).paths == (link, data)
    link.unlink()
    with pytest.raises(Refused, match="can't have it") as raised:
        granted("one", ("network", *words), person)
    assert "do without: `dynamo-mcp trust one contained --grant network`; or" in raised.value.hint
    assert f"again: `dynamo-mcp trust one contained --grant network --grant read:{link}`" in raised.value.hint
    link.symlink_to("/")
    with pytest.raises(Refused, match="the whole machine"):
        granted("one", words, person)


def test_with_the_network_go_proxies_and_certificates_and_nothing_else(person: Settings) -> None:
    assert environment(Grants(), person) == {}
    assert network_files(Grants(), person) == ()
    network = granted("one", ("network",), person)
    assert environment(network, person) == {"HTTPS_PROXY": "http://proxy:1", "SSL_CERT_FILE": "/certificates.pem"}
    files = network_files(network, person)
    assert Path("/etc/resolv.conf") in files
    assert Path("/certificates.pem") in files
    assert Path("/etc/ssl") not in files  # where private keys are


def test_the_command_that_gives_grants_can_be_pasted() -> None:
    assert command("one", "contained", ["network", "read:/a b"]) == (
        "dynamo-mcp trust one contained --grant network --grant 'read:/a b'"
    )
