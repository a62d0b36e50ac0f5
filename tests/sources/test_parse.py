"""What did they type? Every form that is understood, and every one that is refused, with what is said."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from dynamo_mcp.errors import InvalidLocation, InvalidName
from dynamo_mcp.settings import Settings
from dynamo_mcp.sources import default_name, display, parse
from dynamo_mcp.types import Location
from sources.repositories import Repository


@pytest.fixture
def agent(settings: Settings, tmp_path: Path) -> Settings:
    return msgspec.structs.replace(settings, person=False, source_roots=(tmp_path / "allowed",))


@pytest.mark.parametrize(
    ("typed", "address"),
    [
        ("https://github.com/o/r", "https://github.com/o/r"),
        ("https://github.com/o/r.git", "https://github.com/o/r.git"),
        ("HTTPS://host.example:8443/o/r", "https://host.example:8443/o/r"),
        ("https://gitlab.com/group/src/tree/r", "https://gitlab.com/group/src/tree/r"),
        ("ssh://git@host.example/o/r.git", "ssh://git@host.example/o/r.git"),
        ("ssh://git@[::1]:2222/o/r.git", "ssh://git@[::1]:2222/o/r.git"),
        ("git@github.com:o/r.git", "git@github.com:o/r.git"),
        ("gh:o/r", "https://github.com/o/r.git"),
        ("gh:o/r/", "https://github.com/o/r.git"),
        ("gh:o/r.git", "https://github.com/o/r.git"),
        ("gl:group/sub/r", "https://gitlab.com/group/sub/r.git"),
        ("bb:o/r", "https://bitbucket.org/o/r.git"),
        ("cb:o/r", "https://codeberg.org/o/r.git"),
        ("sr:~o/r", "https://git.sr.ht/~o/r"),
        ("sr:o/r", "https://git.sr.ht/~o/r"),
        ("work:o/r", "https://git.example.com:8443/team/o/r.git"),
        ("work:r.git", "https://git.example.com:8443/team/r.git"),
        ("keys:~o/r", "git@git.example.com:~o/r"),
    ],
)
def test_an_address_of_a_repository_is_understood(typed: str, address: str, agent: Settings) -> None:
    own = {"work": "https://git.example.com:8443/team/{}.git", "keys": "git@git.example.com:{}"}
    settings = msgspec.structs.replace(agent, abbreviations=own)
    location = parse(typed, settings=settings, revision="v1.0", directory="./a//b/")
    assert location == Location("git", address, "v1.0", "a/b")


@pytest.mark.parametrize("revision", ["refs/pull/7/head", "refs/merge-requests/7/head", "refs/headsx", "refs/"])
def test_a_program_names_no_reference_that_is_neither_a_branch_nor_a_tag(revision: str, agent: Settings) -> None:
    with pytest.raises(InvalidLocation, match="is no branch and no tag") as raised:
        parse("gh:o/r", settings=agent, revision=revision)
    assert "`refs/heads/…`" in raised.value.hint
    person = msgspec.structs.replace(agent, person=True)
    assert parse("gh:o/r", settings=person, revision=revision).revision == revision
    for allowed in ("refs/heads/main", "refs/tags/v1", "main", "pull/7/head"):
        assert parse("gh:o/r", settings=agent, revision=allowed).revision == allowed


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("", "empty"),
        (" ", "empty"),
        ("https://host/o\n.evil/r", "control character"),
        ("https://host/o/r\x1b[31m", "control character"),
        ("https://host/a b", "no URL may have"),
        ("https://host/a\u00a0b", "no URL may have"),
        ("https://host\\@evil/r", "no URL may have"),
        ("git@host:a b", "no URL may have"),
        ("--upload-pack=touch /tmp/x", "begins with `-`"),
        ("-u", "begins with `-`"),
        ("ext::sh -c 'touch x'", "git-remote-ext"),
        ("fd::17", "git-remote-fd"),
        ("ext://x", "scheme `ext`"),
        ("ftp://host/r", "scheme `ftp`"),
        ("http://host/o/r", "without encryption"),
        ("git://host/o/r", "without encryption"),
        ("https://host:port/r", "host or port"),
        ("https://host:99999/r", "host or port"),
        ("https://host:/r", "empty port"),
        ("https://host:0/r", "port 0"),
        ("ssh://git@host:00/r", "port 0"),
        ("https:///r", "names no host"),
        ("https://:80/r", "names no host"),
        ("https://-oProxyCommand=x/r", "host that can't be read"),
        ("ssh://git@-oProxyCommand=x/r", "host that can't be read"),
        ("git@-oProxyCommand=x:r", "host that can't be read"),
        ("https://ho%73t/r", "host that can't be read"),
        ("https://ⓖithub.com/r", "host"),
        ("https://host", "names no repository"),
        ("https://host/", "names no repository"),
        ("https://host/a%0ab", "names no repository"),
        ("git@host:-x", "names no repository"),
        ("https://host/r?private_token=x", "query"),
        ("https://host/r#x", "query"),
        ("ssh://host/r", "must name the user `git`"),
        ("ssh://root@host/r", "must name the user `git`"),
        ("ssh://git:pw@host/r", "must name the user `git`"),
        ("root@host:r", "must name the user `git`"),
        ("host:r", "must name the user `git`"),
        ("C:\\templates", "no URL may have"),
        ("gh:r", "not of the form"),
        ("file://host/r", "not of the form"),
        ("no-such-thing", "neither an address nor"),
        ("no-such-thing.tar.gz", "no-such-thing.tar.gz` is not there"),
        ("https://github.com/o/r/tree/main/dir/sub", "page for browsers"),
    ],
)
def test_what_could_be_meant_otherwise_is_refused_before_anything_runs(
    typed: str, said: str, settings: Settings
) -> None:
    with pytest.raises(InvalidLocation, match=said) as caught:
        parse(typed, settings=settings)
    assert caught.value.hint


def test_an_abbreviation_that_is_none_is_told_with_those_that_are(settings: Settings) -> None:
    own = msgspec.structs.replace(settings, abbreviations={"work": "https://git.example.com/{}"})
    with pytest.raises(InvalidLocation, match="must name the user `git`") as caught:
        parse("hg:owner/name", settings=own)
    assert "`hg:` is no abbreviation: `gh:`, `gl:`, `bb:`, `cb:`, `sr:`, `work:` are" in caught.value.hint
    assert "DYNAMO_MCP_ABBREVIATIONS" in caught.value.hint


@pytest.mark.parametrize(
    "typed",
    [
        "https://user:s3cret@host/r",
        "https://s3cret@host/r",
        "https://user:s3/cret@host/r",
        "https://user:s3 s3cret@host/r",
        "https://user:s3`s3cret@host/r",
        "https://host/r?token=s3cret",
        "http://user:s3cret@host/r",
        "ssh://git:s3cret@host/r",
        "git:s3cret@host:r",
        "ftp://x:s3cret@host\n/r",
    ],
)
def test_a_secret_in_an_address_is_refused_and_not_repeated(typed: str, settings: Settings) -> None:
    with pytest.raises(InvalidLocation) as caught:
        parse(typed, settings=settings)
    assert "s3" not in str(caught.value)


def test_a_secret_is_refused_with_how_to_sign_in_instead(settings: Settings) -> None:
    with pytest.raises(InvalidLocation) as caught:
        parse("https://user:pw@host/r", settings=settings)
    assert "git@host:owner/repository" in caught.value.hint
    assert "ssh agent" in caught.value.hint


def test_unencrypted_addresses_are_answered_with_https(settings: Settings) -> None:
    with pytest.raises(InvalidLocation) as caught:
        parse("git://host/o/r", settings=settings)
    assert "`https://host/o/r`" in caught.value.hint


def test_a_page_for_browsers_is_answered_with_its_parts(settings: Settings) -> None:
    with pytest.raises(InvalidLocation) as caught:
        parse("https://github.com/o/r/tree/main/dir/sub", settings=settings)
    for part in ("`https://github.com/o/r`", "`main`", "`dir/sub`"):
        assert part in caught.value.hint


@pytest.mark.parametrize(
    "revision", ["", "-x", "a b", "a\nb", "a..b", "a~1", "a^", "a:b", "a?", "a*", "a[b", "a\\b", "a@{1}", "a" * 300]
)
def test_a_revision_that_git_could_read_as_something_else_is_refused(revision: str, settings: Settings) -> None:
    with pytest.raises(InvalidLocation, match="revision"):
        parse("gh:o/r", settings=settings, revision=revision)


@pytest.mark.parametrize("revision", ["main", "v1.2", "feature/x-y_z", "0123abc", "refs/heads/main", "tag", "ünï"])
def test_an_ordinary_revision_is_kept(revision: str, settings: Settings) -> None:
    assert parse("gh:o/r", settings=settings, revision=revision).revision == revision


@pytest.mark.parametrize("directory", ["/etc", "..", "a/../..", "a/..", "a\nb"])
def test_a_directory_outside_the_repository_is_refused(directory: str, settings: Settings) -> None:
    with pytest.raises(InvalidLocation, match="not a path inside"):
        parse("gh:o/r", settings=settings, directory=directory)


def test_the_root_as_directory_is_no_directory(settings: Settings) -> None:
    assert parse("gh:o/r", settings=settings, directory="./").directory is None


def test_a_folder_is_local_and_its_path_is_made_real(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "my templates" / "one"
    folder.mkdir(parents=True)
    (tmp_path / "link").symlink_to(folder)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for typed in (str(folder), "./my templates/one", "my templates/one", "~/my templates/one", "link", f"{folder}/"):
        assert parse(typed, settings=settings, live=True) == Location("local", str(folder), live=True)


def test_a_bare_repository_is_git_and_other_repositories_are_folders(
    settings: Settings, repository: Repository, tmp_path: Path
) -> None:
    bare = tmp_path / "bare ü.git"
    repository.git("clone", "--quiet", "--bare", str(repository.path), str(bare))
    assert parse(str(bare), settings=settings) == Location("git", f"file://{tmp_path}/bare%20%C3%BC.git")
    assert parse(f"file://{bare}", settings=settings).address == f"file://{tmp_path}/bare%20%C3%BC.git"
    assert parse(str(repository.path), settings=settings).kind == "local"
    assert parse(repository.url, settings=settings) == Location("git", repository.url)
    assert parse(f"file://localhost{repository.path}", settings=settings).address == repository.url


def test_a_folder_that_is_not_there_or_is_a_file_or_no_repository_is_refused(
    settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    for typed, said in (
        (f"{tmp_path}/nowhere", "is not there"),
        (f"{tmp_path}/file", "is a file"),
        (f"file://{tmp_path}", "is not a git repository"),
    ):
        with pytest.raises(InvalidLocation, match=said):
            parse(typed, settings=settings)


def test_a_folder_has_no_revision_and_a_repository_is_not_live(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(InvalidLocation, match="no revision `main`"):
        parse(str(tmp_path), settings=settings, revision="main")
    with pytest.raises(InvalidLocation) as raised:
        parse(str(tmp_path), settings=settings, revision="main")
    assert raised.value.hint.startswith("leave `checkout` out, ")
    with pytest.raises(InvalidLocation, match="can't be live"):
        parse("gh:o/r", settings=settings, live=True)


def test_an_agent_may_only_name_folders_below_a_source_root(agent: Settings, tmp_path: Path) -> None:
    inside = tmp_path / "allowed" / "one"
    inside.mkdir(parents=True)
    outside = tmp_path / "allowed-not"
    outside.mkdir()
    (inside / "way-out").symlink_to(outside)
    assert parse(str(inside), settings=agent).address == str(inside)
    for typed in (
        str(outside),
        f"{inside}/../../allowed-not",
        f"{inside}/way-out",
        f"file://{outside}",
        f"{tmp_path}/nowhere",
        "~",
    ):
        with pytest.raises(InvalidLocation, match="lies outside") as caught:
            parse(typed, settings=agent)
        assert "--source-root" in caught.value.hint
        assert "DYNAMO_MCP_SOURCE_ROOTS" in caught.value.hint


def test_an_agent_may_not_name_a_repository_that_keeps_its_content_elsewhere(agent: Settings, tmp_path: Path) -> None:
    secret = Repository(tmp_path / "secret")
    secret.commit()
    whole = Repository(tmp_path / "allowed" / "whole")
    assert parse(whole.url, settings=agent).kind == "git"
    pointing = tmp_path / "allowed" / "pointing"
    pointing.mkdir()
    (pointing / ".git").write_text(f"gitdir: {secret.path}/.git\n")
    linked = tmp_path / "allowed" / "linked"
    linked.mkdir()
    (linked / ".git").symlink_to(secret.path / ".git")
    common = Repository(tmp_path / "allowed" / "common")
    (common.path / ".git" / "commondir").write_text(f"{secret.path}/.git\n")
    borrowing = Repository(tmp_path / "allowed" / "borrowing")
    (borrowing.path / ".git/objects/info/alternates").write_text(f"{secret.path}/.git/objects\n")
    for folder in (pointing, linked, common.path, borrowing.path):
        with pytest.raises(InvalidLocation, match="borrows"):
            parse(f"file://{folder}", settings=agent)


@pytest.mark.parametrize(
    ("address", "directory", "name"),
    [
        ("https://github.com/audreyfeldroy/cookiecutter-pypackage.git", None, "pypackage"),
        ("https://github.com/o/Django-Cookiecutter/", None, "django"),
        ("git@host:My_Thing-template", None, "my_thing"),
        ("git@host:o/r.git", None, "r"),
        ("https://host/o/r", "templates/Data Science!", "data-science"),
        ("/home/me/größe (neu)", None, "gr-e-neu"),
        ("file:///srv/a%20b.git", None, "a-b"),
        ("https://host/" + "x" * 60, None, "x" * 40),
        ("https://host/cookiecutter-template", None, "template"),
    ],
)
def test_a_template_is_named_after_its_location(address: str, directory: str | None, name: str) -> None:
    kind = "local" if address.startswith("/") else "git"
    assert default_name(Location(kind, address, directory=directory)) == name


@pytest.mark.parametrize("address", ["https://host/模板", "https://host/cookiecutter-.git", "/"])
def test_a_location_without_a_name_in_it_is_refused(address: str) -> None:
    with pytest.raises(InvalidName, match="No name"):
        default_name(Location("git", address))


def test_clients_read_the_address_without_anything_secret() -> None:
    assert display(Location("git", "git@host:o/r")) == "git@host:o/r"
    assert display(Location("git", "https://host/o/r")) == "https://host/o/r"
    assert display(Location("git", "https://me:pw@host/o/r")) == "https://***@host/o/r"
    assert display(Location("local", "/home/a@b/t")) == "/home/a@b/t"


@pytest.mark.parametrize("address", ["pip:foo", "npm:foo", "Conda:foo/bar"])
def test_a_package_of_another_index_is_said_to_be_no_location(address: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidLocation, match="templates are not added from") as caught:
        parse(address, settings=Settings(home=tmp_path, person=True))
    assert "`gh:owner/repository`" in caught.value.hint


@pytest.mark.parametrize("address", ["gh:../..", "gl:me/..", "bb:./x"])
def test_an_owner_and_a_repository_are_no_way_up(address: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidLocation, match="where an owner and a repository belong"):
        parse(address, settings=Settings(home=tmp_path, person=True))


def test_an_abbreviation_of_one_s_own_opens_nothing_that_is_closed(tmp_path: Path) -> None:
    own = {"here": f"file://{tmp_path}/{{}}"}
    with pytest.raises(InvalidLocation, match="lies outside the folders"):
        parse("here:secret", settings=Settings(home=tmp_path / "home", abbreviations=own))
    for wrong in ("here:", "here:/x", "here:a/../b", "here:a b", "here:-x/{y}", "unknown:x"):
        with pytest.raises(InvalidLocation):
            parse(wrong, settings=Settings(home=tmp_path / "home", person=True, abbreviations=own))
