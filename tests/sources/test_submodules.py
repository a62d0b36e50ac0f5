"""Where are the submodules of a commit, and may they be fetched? With nobody's keys, and from nowhere closed."""

from __future__ import annotations

import base64
from pathlib import Path

import msgspec
import pytest

from dynamo_mcp.errors import FetchFailed, InvalidTemplate
from dynamo_mcp.settings import Settings
from dynamo_mcp.source_settings import parse_tokens
from dynamo_mcp.sources.submodules import _resolved, _submodule
from dynamo_mcp.store import Store
from dynamo_mcp.types import Checkout, Location
from sources.repositories import Fetch, Repository, Server

pytestmark = pytest.mark.anyio


@pytest.fixture
def library(tmp_path: Path) -> Repository:
    library = Repository(tmp_path / "repositories" / "library")
    library.write("lib.txt", "library")
    library.commit()
    return library


def attach(repository: Repository, path: str, url: str, commit: str) -> str:
    """Let a repository have a submodule, which need not be anywhere."""
    modules = repository.path / ".gitmodules"
    said = modules.read_text() if modules.exists() else ""
    modules.write_text(f'{said}[submodule "{path}"]\n\tpath = {path}\n\turl = {url}\n')
    repository.git("add", ".gitmodules")
    repository.git("update-index", "--add", "--cacheinfo", f"160000,{commit},{path}")
    repository.git("commit", "--quiet", "-m", "submodule")
    return repository.git("rev-parse", "HEAD")


def head(repository: Repository) -> str:
    return repository.git("rev-parse", "HEAD")


def content(checkout: Checkout, name: str) -> str:
    return (checkout.path / name).read_text()


async def test_submodules_are_refused_unless_an_operator_allows_them(
    fetch: Fetch, repository: Repository, library: Repository
) -> None:
    attach(repository, "vendor/lib", library.url, head(library))
    with pytest.raises(InvalidTemplate, match=r"`vendor/lib` is a submodule, .*DYNAMO_MCP_SUBMODULES"):
        await fetch(Location("git", repository.url))


async def test_submodules_of_submodules_are_one_tree_with_what_names_them(
    fetch: Fetch, repository: Repository, library: Repository, tmp_path: Path
) -> None:
    inner = Repository(tmp_path / "repositories" / "inner")
    inner.write("deep/inner.txt", "inner")
    (inner.path / "link").symlink_to("deep/inner.txt")
    inner.commit()
    inner.write("deep/inner.txt", "newer, and not asked for")
    old = inner.git("rev-parse", "HEAD")
    inner.commit()
    attach(library, "in", "../inner", old)
    commit = attach(repository, "vendor/lib", "../library", head(library))
    checkout = await fetch(Location("git", repository.url), submodules=True, source_roots=(tmp_path / "repositories",))
    assert checkout.revision == commit
    assert content(checkout, "vendor/lib/lib.txt") == "library"
    assert content(checkout, "vendor/lib/in/link") == "inner"
    assert not list(checkout.path.rglob(".git"))


async def test_a_folder_of_this_machine_is_no_submodule_unless_it_may_be_named(
    fetch: Fetch, repository: Repository, library: Repository
) -> None:
    for url in (library.url, "../library", str(library.path)):
        attach(repository, "vendor/lib", url, head(library))
        with pytest.raises(InvalidTemplate, match="The submodule `vendor/lib` of"):
            await fetch(Location("git", repository.url), submodules=True)
        repository.git("rm", "--quiet", "--cached", "-f", "vendor/lib", ".gitmodules")
        (repository.path / ".gitmodules").unlink()


@pytest.mark.parametrize(
    "url",
    [
        "ext::sh -c x",
        "http://host.example/r",
        "https://me:pw@host.example/r",
        "git@other.example:o/r",
        "https://x.example/a.zip",
    ],
)
async def test_what_no_program_may_name_no_submodule_is(
    fetch: Fetch, repository: Repository, library: Repository, url: str
) -> None:
    attach(repository, "vendor/lib", url, head(library))
    with pytest.raises((InvalidTemplate, FetchFailed)) as caught:
        await fetch(Location("git", repository.url), submodules=True)
    assert "pw" not in str(caught.value)


async def test_a_submodule_without_an_address_is_told(
    fetch: Fetch, repository: Repository, library: Repository
) -> None:
    repository.git("update-index", "--add", "--cacheinfo", f"160000,{head(library)},lost")
    repository.git("commit", "--quiet", "-m", "lost")
    with pytest.raises(InvalidTemplate, match="does not say where its submodule `lost` is"):
        await fetch(Location("git", repository.url), submodules=True)


async def test_the_limits_are_those_of_the_whole_tree(
    fetch: Fetch, repository: Repository, library: Repository, tmp_path: Path
) -> None:
    repository.write("one", "0" * 60_000)
    repository.commit()
    library.write("two", "1" * 60_000)
    library.commit()
    attach(repository, "lib", library.url, head(library))
    roots = (tmp_path / "repositories",)
    with pytest.raises(InvalidTemplate, match="more than 100000 bytes"):
        await fetch(Location("git", repository.url), submodules=True, source_roots=roots, template_bytes=100_000)
    for number in range(20):
        attach(repository, f"more{number}", library.url, head(library))
    with pytest.raises(InvalidTemplate, match="more than 20 submodules"):
        await fetch(Location("git", repository.url), submodules=True, source_roots=roots)


async def test_a_link_of_a_submodule_can_not_leave_the_tree(
    fetch: Fetch, repository: Repository, library: Repository, tmp_path: Path
) -> None:
    (library.path / "up").symlink_to("../../cookiecutter.json")
    library.commit()
    roots = (tmp_path / "repositories",)
    attach(repository, "vendor/lib", library.url, head(library))
    checkout = await fetch(Location("git", repository.url), submodules=True, source_roots=roots)
    assert (checkout.path / "vendor" / "lib" / "up").read_text() == content(checkout, "cookiecutter.json")
    (library.path / "out").symlink_to("../../../etc")
    library.commit()
    attach(repository, "vendor/lib", library.url, head(library))
    with pytest.raises(InvalidTemplate, match="the link `vendor/lib/out`"):
        await fetch(Location("git", repository.url), submodules=True, source_roots=roots)


async def test_a_token_is_for_what_lies_beside_the_repository_and_for_nothing_else(
    *,
    fetch: Fetch,
    server: Server,
    trusting: dict[str, str],
    repository: Repository,
    library: Repository,
    store: Store,
) -> None:
    me, you = server.folder / "me", server.folder / "you"
    for folder in (me, you):
        folder.mkdir()
        library.git("clone", "--quiet", "--bare", str(library.path), str(folder / "library.git"))
    server.opens = "Basic " + base64.b64encode(b"oauth2:s3cr3t").decode()
    tokens = parse_tokens(f"127.0.0.1:{server.server_address[1]}=s3cr3t")
    location = Location("git", f"{server.url}/signed/me/template.git")

    async def fetched(url: str) -> Checkout:
        attach(repository, "vendor/lib", url, head(library))
        repository.git("push", "--quiet", "--force", str(me / "template.git"), "main")
        return await fetch(location, passed=trusting, tokens=tokens, submodules=True, allowed_hosts=("127.0.0.1",))

    repository.git("clone", "--quiet", "--bare", str(repository.path), str(me / "template.git"))
    checkout = await fetched("../library.git")
    assert content(checkout, "vendor/lib/lib.txt") == "library"
    assert len(list((store.home / "mirrors").iterdir())) == 2
    (repository.path / ".gitmodules").unlink()
    with pytest.raises(FetchFailed, match="needs a sign-in"):
        await fetched("../../you/library.git")


@pytest.mark.parametrize(
    ("base", "url", "address"),
    [
        ("https://h.example/o/r.git", "../l.git", "https://h.example/o/l.git"),
        ("https://h.example/o/r/", "./l", "https://h.example/o/r/l"),
        ("https://h.example/o/r", "../../p/l", "https://h.example/p/l"),
        ("git@h.example:o/r", "../l", "git@h.example:o/l"),
        ("git@h.example:r", "../l", "git@h.example:l"),
        ("https://h.example/o/r", "https://x.example/l", "https://x.example/l"),
    ],
)
def test_a_relative_address_is_beside_the_repository(base: str, url: str, address: str) -> None:
    assert _resolved(base, url) == address


@pytest.mark.parametrize("url", ["../../../l", "../../../../../evil.example/l", "../.."])
def test_a_relative_address_leads_to_no_other_host(url: str, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, person=True)
    parent = Location("git", "https://h.example/o/r")
    try:
        found = _submodule("lib", url, "0" * 40, parent, settings)
    except InvalidTemplate:
        return
    assert found.location.address.startswith("https://h.example/") or not found.settings.person


def test_keys_and_tokens_are_only_for_the_same_owner(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, person=True, tokens=parse_tokens("h.example=x"))
    parent = Location("git", "git@h.example:me/r")
    own = _submodule("lib", "../l", "0" * 40, parent, settings)
    # A token is for https alone, and wherever a host leads on to, no other than the repository's own goes along.
    assert (own.location.address, own.settings) == ("git@h.example:me/l", msgspec.structs.replace(settings, tokens=()))
    with pytest.raises(InvalidTemplate, match="your own ssh key"):
        _submodule("lib", "git@h.example:you/l", "0" * 40, parent, settings)
    stranger = _submodule("lib", "https://h.example/me/l", "0" * 40, parent, settings).settings
    assert (stranger.tokens, stranger.person) == ((), False)
    for beside in ("../..%2fyou%2fl", "https://h.example/me/..%2fyou", "https://h.example/me/%2e%2e%2fyou%2fl"):
        found = _submodule("lib", beside, "0" * 40, Location("git", "https://h.example/me/r"), settings)
        assert (found.settings.tokens, found.settings.person) == ((), False)


@pytest.fixture
def private(tmp_path: Path, server: Server) -> Repository:
    """A repository that its host gives only to who has the token."""
    made = Repository(tmp_path / "private")
    made.write("secret.txt", "secret")
    made.commit()
    _publish(server, made, "me/private.git")
    server.opens = "Basic " + base64.b64encode(b"oauth2:s3cr3t").decode()
    return made


def _publish(server: Server, repository: Repository, path: str) -> None:
    (server.folder / path).parent.mkdir(exist_ok=True)
    repository.git("clone", "--quiet", "--bare", str(repository.path), str(server.folder / path))


async def test_what_a_token_has_fetched_is_in_no_stranger_s_submodule(
    *, fetch: Fetch, server: Server, trusting: dict[str, str], repository: Repository, private: Repository
) -> None:
    tokens = parse_tokens(f"127.0.0.1:{server.server_address[1]}/signed/me=s3cr3t")
    given: dict[str, object] = {"passed": trusting, "tokens": tokens, "allowed_hosts": ("127.0.0.1",)}
    given["submodules"] = True
    address = f"{server.url}/signed/me/private.git"
    await fetch(Location("git", address), **given, person=False)
    attach(repository, "vendor/x", address, head(private))
    _publish(server, repository, "evil/t.git")
    with pytest.raises(FetchFailed, match="needs a sign-in"):
        await fetch(Location("git", f"{server.url}/smart/evil/t.git"), **given, person=False)
    for offline in (False, True):
        with pytest.raises(FetchFailed):
            await fetch(
                Location("git", address, head(private)), **{**given, "tokens": ()}, person=False, offline=offline
            )


async def test_a_submodule_of_a_stranger_s_gets_no_token_for_what_lies_beside_it(
    *,
    fetch: Fetch,
    server: Server,
    trusting: dict[str, str],
    repository: Repository,
    private: Repository,
    tmp_path: Path,
) -> None:
    theirs = Repository(tmp_path / "theirs")
    attach(theirs, "n", "../z.git", head(private))
    for made, path in ((theirs, "evil/y.git"), (private, "evil/z.git")):
        _publish(server, made, path)
    attach(repository, "vendor/y", f"{server.url}/smart/evil/y.git", head(theirs))
    _publish(server, repository, "me/t.git")
    tokens = parse_tokens(f"127.0.0.1:{server.server_address[1]}=s3cr3t")
    given = {"passed": trusting, "tokens": tokens, "submodules": True, "allowed_hosts": ("127.0.0.1",)}
    await fetch(Location("git", f"{server.url}/smart/me/t.git"), **given)
    signed = len(server.authorizations)
    assert signed > 0
    asked = [path for path in server.paths if "/me/t.git" in path]
    assert signed == len(asked)


async def test_a_submodule_that_is_led_on_gets_no_other_token_than_its_repository_s(
    *, fetch: Fetch, server: Server, trusting: dict[str, str], repository: Repository, private: Repository
) -> None:
    port = server.server_address[1]
    attach(repository, "vendor/x", "../private.git", head(private))
    _publish(server, repository, "you/t.git")
    tokens = parse_tokens(f"127.0.0.1:{port}/signed/me=s3cr3t")
    server.leads = f"https://127.0.0.1:{port}/signed/me/{{}}"
    parent = Location("git", f"https://localhost:{port}/leads/t.git")
    found = _submodule("vendor/x", "../private.git", head(private), parent, Settings(home=server.folder, tokens=tokens))
    assert found.settings.tokens == ()
    given = {"passed": trusting, "allowed_hosts": ("127.0.0.1", "localhost")}
    with pytest.raises(FetchFailed, match="needs a sign-in"):
        await fetch(found.location, **given, tokens=found.settings.tokens)
    assert server.authorizations == []
