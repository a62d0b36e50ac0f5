"""How is a template fetched from a git repository? By real git, from real repositories, by `file://`, https and ssh."""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from dynamo_mcp import sources
from dynamo_mcp.errors import Busy, FetchFailed, InvalidLocation, InvalidTemplate, TimedOut
from dynamo_mcp.progress import Progress, Step
from dynamo_mcp.settings import Settings
from dynamo_mcp.store import Store, open_store
from dynamo_mcp.types import Checkout, Location
from sources.repositories import GIT_ENVIRONMENT, SECONDS, Fetch, Repository, Server

pytestmark = pytest.mark.anyio


def of(repository: Repository, revision: str | None = None, directory: str | None = None) -> Location:
    return Location("git", repository.url, revision, directory)


def files(checkout: Checkout) -> list[str]:
    return sorted(str(path.relative_to(checkout.path)) for path in checkout.path.rglob("*") if not path.is_dir())


async def test_the_default_branch_is_checked_out_without_its_history(
    fetch: Fetch, repository: Repository, store: Store, steps: list[Step]
) -> None:
    checkout = await fetch(of(repository))
    assert checkout.path == store.home / "checkouts" / checkout.digest[:32]
    assert checkout.revision == repository.git("rev-parse", "HEAD")
    assert files(checkout) == ["cookiecutter.json", "hooks/post_gen_project.sh", "{{cookiecutter.slug}}/README.md"]
    assert os.access(checkout.path / "hooks" / "post_gen_project.sh", os.X_OK)
    assert not (checkout.path / "cookiecutter.json").stat().st_mode & 0o111
    assert not (checkout.path / ".git").exists()
    assert [step.message for step in steps] == [
        f"fetching `{repository.url}`",
        "checking 5 files and folders",
        "checking out",
    ]


async def test_a_branch_a_tag_and_a_commit_are_found_by_every_name_they_have(
    fetch: Fetch, repository: Repository
) -> None:
    first = repository.git("rev-parse", "HEAD")
    repository.git("tag", "light")
    repository.git("tag", "-a", "-m", "x", "v1.0")
    repository.git("checkout", "--quiet", "-b", "feature/one")
    repository.write("second")
    second = repository.commit("second")
    repository.git("branch", "tag")
    repository.git("branch", "0123abc")
    repository.git("checkout", "--quiet", "main")
    for revision in ("main", "light", "v1.0", "refs/tags/v1.0", first, first.upper(), first[:8], None):
        assert (await fetch(of(repository, revision))).revision == first
    for revision in ("feature/one", "refs/heads/feature/one", "tag", "0123abc", second, second[:7]):
        assert (await fetch(of(repository, revision))).revision == second


async def test_an_old_commit_is_found_where_only_names_are_offered(
    fetch: Fetch, server: Server, trusting: dict[str, str], repository: Repository
) -> None:
    first = repository.git("rev-parse", "HEAD")
    repository.write("second")
    repository.commit("second")
    repository.git("update-server-info")
    checkout = await fetch(Location("git", f"{server.url}/dumb/template/.git", first), passed=trusting)
    assert checkout.revision == first
    assert "second" not in files(checkout)


async def test_the_newest_version_is_by_number_and_final_if_there_is_one(
    fetch: Fetch, repository: Repository, steps: list[Step]
) -> None:
    for name in ("nightly", "v0.9", "v0.10.0", "1.0rc1", "release-7"):
        repository.write("version", name)
        repository.commit(name)
        repository.git("tag", name)
    found = await fetch(of(repository, "latest"))
    assert (found.path / "version").read_text() == "v0.10.0"
    assert f"the newest version of `{repository.url}` is `v0.10.0`" in [step.message for step in steps]
    repository.git("tag", "-a", "-m", "x", "v0.11")
    assert ((await fetch(of(repository, "latest"))).path / "version").read_text() == "release-7"


async def test_the_newest_of_versions_that_are_no_final_ones_is_taken_too(fetch: Fetch, repository: Repository) -> None:
    for name in ("1.0a10", "1.0a9"):
        repository.write("version", name)
        repository.commit(name)
        repository.git("tag", name)
    assert ((await fetch(of(repository, "latest"))).path / "version").read_text() == "1.0a10"


async def test_a_repository_without_versions_has_no_newest_one(fetch: Fetch, repository: Repository) -> None:
    with pytest.raises(InvalidLocation, match="has no tag that is a version"):
        await fetch(of(repository, "latest"))
    repository.git("tag", "nightly")
    repository.git("branch", "latest")
    with pytest.raises(InvalidLocation, match="has no tag that is a version") as caught:
        await fetch(of(repository, "latest"))
    assert "`nightly`" in caught.value.hint
    assert (await fetch(of(repository, "refs/heads/latest"))).revision == repository.git("rev-parse", "HEAD")


@pytest.mark.parametrize("revision", ["mian", "0123456", "f" * 40, "+main"])
async def test_an_unknown_revision_is_refused_with_the_names_that_are_most_like_it(
    fetch: Fetch, repository: Repository, revision: str
) -> None:
    repository.git("tag", "v1.0")
    with pytest.raises(InvalidLocation, match="has no branch, tag or commit") as caught:
        await fetch(of(repository, revision))
    assert f"`{revision}`" in caught.value.message
    assert "`main`" in caught.value.hint


async def test_an_abbreviation_that_fits_two_commits_is_refused(fetch: Fetch, repository: Repository) -> None:
    seen: dict[str, str] = {}
    head = repository.git("rev-parse", "HEAD")
    commits = (f"commit refs/heads/main\ncommitter T <t@x> {number} +0000\ndata 1\nx\n" for number in range(2000))
    first, *more = commits
    repository.git("fast-import", "--quiet", stdin="\n".join([f"{first}from {head}\n", *more]).encode())
    for commit in repository.git("rev-list", "main").splitlines():
        if commit[:4] in seen:
            break
        seen[commit[:4]] = commit
    else:
        pytest.fail("no two commits begin alike")
    with pytest.raises(InvalidLocation, match="More than one commit"):
        await fetch(of(repository, commit[:4]))


async def test_a_tag_that_is_no_commit_is_refused(fetch: Fetch, repository: Repository) -> None:
    repository.git("tag", "file", repository.blob(b"x"))
    with pytest.raises(InvalidLocation, match="has no branch, tag or commit `file`"):
        await fetch(of(repository, "file"))


async def test_a_repository_without_commits_is_told_so(fetch: Fetch, tmp_path: Path) -> None:
    with pytest.raises(FetchFailed, match="no commit on its default branch"):
        await fetch(of(Repository(tmp_path / "empty")))


async def test_a_folder_that_is_no_repository_is_told_so(fetch: Fetch, tmp_path: Path) -> None:
    with pytest.raises(FetchFailed, match="not a git repository, or does not exist"):
        await fetch(Location("git", f"file://{tmp_path}/none"))


async def test_a_directory_must_be_in_the_commit(fetch: Fetch, repository: Repository) -> None:
    repository.write("templates/one/cookiecutter.json", "{}")
    repository.commit()
    checkout = await fetch(of(repository, directory="templates/one"))
    assert (checkout.path / "templates" / "one" / "cookiecutter.json").exists()
    for missing in ("one", "cookiecutter.json", "templates/one/cookiecutter.json"):
        with pytest.raises(InvalidLocation, match="There is no folder") as caught:
            await fetch(of(repository, directory=missing))
        assert "`templates/one`" in caught.value.hint


async def test_names_that_templates_really_have_survive(fetch: Fetch, repository: Repository) -> None:
    names = [
        "{{cookiecutter.slug}}/{{ cookiecutter.x|lower }} \"a\" 'b'.py",
        "größe/文件",
        "-rf",
        "tab-free|pipe",
        "A",
        "a",
    ]
    for name in names:
        repository.write(name, name)
    repository.commit()
    checkout = await fetch(of(repository))
    assert [(checkout.path / name).read_text("utf-8") for name in names] == names


async def test_a_link_inside_the_tree_stays_a_link(fetch: Fetch, repository: Repository) -> None:
    (repository.path / "{{cookiecutter.slug}}" / "up").symlink_to("../cookiecutter.json")
    (repository.path / "folder").symlink_to("{{cookiecutter.slug}}")
    (repository.path / "ü").symlink_to("nowhere/ü")
    repository.commit()
    checkout = await fetch(of(repository))
    assert (checkout.path / "{{cookiecutter.slug}}" / "up").readlink() == Path("../cookiecutter.json")
    assert (checkout.path / "folder").readlink() == Path("{{cookiecutter.slug}}")
    assert (checkout.path / "ü").readlink() == Path("nowhere/ü")


@pytest.mark.parametrize("target", ["/etc/passwd", "../../../etc/passwd", "inner/../.."])
async def test_a_link_out_of_the_tree_is_refused_before_any_checkout(
    fetch: Fetch, repository: Repository, target: str, steps: list[Step]
) -> None:
    (repository.path / "inner").symlink_to("hooks")
    (repository.path / "leak").symlink_to(target)
    repository.commit()
    with pytest.raises(InvalidTemplate, match="the link `leak`"):
        await fetch(of(repository))
    assert "checking out" not in [step.message for step in steps]


async def test_a_submodule_is_refused_by_name(fetch: Fetch, repository: Repository) -> None:
    commit = repository.git("rev-parse", "HEAD")
    repository.git("update-index", "--add", "--cacheinfo", f"160000,{commit},vendor/lib")
    repository.git("commit", "--quiet", "-m", "submodule")
    with pytest.raises(InvalidTemplate, match="`vendor/lib` is a submodule"):
        await fetch(of(repository))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a\nb", r"`a\\nb` has a control character"),
        ("a\x1b]0;x\x07b", "has a control character"),
        ("a\udcffb", "not UTF-8"),
        (".git", "refuses as unsafe"),
        (".GIT", "refuses as unsafe"),
        ("git~1", "refuses as unsafe"),
        (".g\u200cit", "refuses as unsafe"),
        ("..", "refuses as unsafe"),
        ("a/b", "refuses as unsafe"),
        ("x" * 300, "is too long"),
    ],
)
async def test_names_that_can_harm_are_refused(fetch: Fetch, tmp_path: Path, name: str, said: str) -> None:
    repository = Repository(tmp_path / "made")
    raw = b"100644 " + name.encode("utf-8", "surrogateescape") + b"\0" + bytes.fromhex(repository.blob())
    repository.commit_tree(repository.git("hash-object", "-t", "tree", "-w", "--literally", "--stdin", stdin=raw))
    with pytest.raises((InvalidTemplate, FetchFailed), match=said):
        await fetch(of(repository))


async def test_untidy_objects_that_harm_nobody_are_fetched(fetch: Fetch, tmp_path: Path) -> None:
    repository = Repository(tmp_path / "old")
    blob = bytes.fromhex(repository.blob(b"x"))
    inner = repository.git("hash-object", "-t", "tree", "-w", "--stdin", stdin=b"100644 file\0" + blob)
    outer = b"040000 folder\0" + bytes.fromhex(inner)  # a mode with a zero in front, which old tools wrote
    tree = repository.git("hash-object", "-t", "tree", "-w", "--literally", "--stdin", stdin=outer)
    repository.commit_tree(tree)
    assert files(await fetch(of(repository))) == ["folder/file"]


async def test_thirty_thousand_files_are_refused_before_any_checkout(
    fetch: Fetch, tmp_path: Path, steps: list[Step]
) -> None:
    repository = Repository(tmp_path / "many")
    blob = repository.blob()
    repository.commit_tree(repository.tree(*(f"100644 blob {blob}\tfile{number}" for number in range(30_000))))
    with pytest.raises(InvalidTemplate, match="more than 20000 files and folders"):
        await fetch(of(repository))
    assert [step.message for step in steps] == [f"fetching `{repository.url}`"]


async def test_a_tree_of_a_billion_files_or_folders_is_refused_as_fast(fetch: Fetch, tmp_path: Path) -> None:
    repository = Repository(tmp_path / "bomb")
    tree = repository.tree(*(f"100644 blob {repository.blob()}\t{number}" for number in range(10)))
    for _ in range(8):
        tree = repository.tree(*(f"040000 tree {tree}\t{number}" for number in range(10)))
    repository.commit_tree(tree)
    with anyio.fail_after(SECONDS), pytest.raises(InvalidTemplate, match="more than 20000"):
        await fetch(of(repository))


async def test_too_many_bytes_are_refused_while_they_are_fetched_or_listed(
    fetch: Fetch, repository: Repository
) -> None:
    repository.write("zeros", "0" * 200_000)
    repository.commit()
    with pytest.raises(InvalidTemplate, match=r"has more than 100000 bytes\n"):
        await fetch(of(repository), template_bytes=100_000)
    (repository.path / "noise").write_bytes(os.urandom(500_000))
    repository.commit()
    with pytest.raises(InvalidTemplate, match="more than 400000 bytes to fetch"):
        await fetch(of(repository), template_bytes=100_000)


async def test_filters_and_hooks_do_nothing(
    fetch: Fetch, repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    witness = tmp_path / "witness"
    (tmp_path / ".gitconfig").write_text(
        f'[filter "evil"]\n\tsmudge = touch {witness}\n\tprocess = touch {witness}\n'
        f"[core]\n\thooksPath = {tmp_path}/hooks\n"
    )
    (tmp_path / "hooks").mkdir()
    for hook in ("post-checkout", "post-index-change", "reference-transaction"):
        for folder in (tmp_path / "hooks", repository.path / ".git" / "hooks"):
            folder.mkdir(exist_ok=True)
            (folder / hook).write_text(f"#!/bin/sh\ntouch {witness}\n")
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    repository.write(".gitattributes", "*.txt filter=evil\n*.bin filter=lfs diff=lfs merge=lfs -text\n")
    repository.write("a.txt", "$Id$\n")
    repository.write("b.bin", pointer)
    repository.commit()
    for folder in (tmp_path / "hooks", repository.path / ".git" / "hooks"):
        for script in folder.iterdir():
            script.chmod(0o755)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / ".gitconfig"))
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "filter.evil.smudge")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", f"touch {witness}")
    checkout = await fetch(of(repository))
    assert (checkout.path / "a.txt").read_text() == "$Id$\n"
    assert (checkout.path / "b.bin").read_text() == pointer
    assert not witness.exists()


async def test_attributes_make_of_a_file_what_they_make_of_it_in_a_clone(
    fetch: Fetch, repository: Repository, tmp_path: Path
) -> None:
    repository.write(
        ".gitattributes",
        "* text=auto\n*.bat text eol=crlf\n*.id ident\n*.u working-tree-encoding=UTF-16LE-BOM eol=crlf\n"
        "*.wrong working-tree-encoding=UTF-99\n*.raw -text\n[attr]windows eol=crlf\n*.cmd windows\n"
        "left.bat export-ignore\n*.subst export-subst\n",
    )
    repository.write("inner/.gitattributes", "*.bat eol=lf\n*.txt eol=crlf\n")
    repository.write("-first/.gitattributes", "* eol=crlf\n")  # is checked out before the root's
    blobs = {f"{folder}{name}": b"one\ntwo\n" for folder in ("", "inner/", "-first/") for name in ("a.bat", "a.txt")}
    blobs |= dict.fromkeys(("!a.bat", "left.bat", "a.cmd", "a.u", "a.wrong"), b"one\n")
    blobs |= {"mixed.txt": b"one\r\ntwo\n", "crlf.raw": b"one\r\n", "binary.bat": b"\0\n"}
    blobs |= {"a.id": b"$Id$\n$Id: old $\n", "a.subst": b"$Format:%H$\n"}
    for name, content in blobs.items():
        repository.git("update-index", "--add", "--cacheinfo", f"100644,{repository.blob(content)},{name}")
    repository.git("add", "--", "*.gitattributes")
    repository.git("commit", "--quiet", "-m", "attributes")
    clone = tmp_path / "clone"
    repository.git("clone", "--quiet", repository.url, str(clone))
    checkout = await fetch(of(repository))
    made = {name: (checkout.path / name).read_bytes() for name in blobs}
    assert made == {name: (clone / name).read_bytes() for name in blobs}
    assert made["a.bat"] == made["-first/a.bat"] == b"one\r\ntwo\r\n"
    assert made["inner/a.bat"] == b"one\ntwo\n"
    assert made["a.u"] == b"\xff\xfe" + "one\r\n".encode("utf-16-le")
    assert made["a.id"].startswith(b"$Id: ")


async def test_what_attributes_make_grow_is_bounded_too(fetch: Fetch, repository: Repository, store: Store) -> None:
    repository.write(".gitattributes", "*.id ident working-tree-encoding=UTF-32\n")
    blob = repository.blob(b"$Id$" * 20_000)
    repository.git("add", ".gitattributes")
    repository.git("update-index", "--add", "--cacheinfo", f"100644,{blob},a.id")
    repository.git("commit", "--quiet", "-m", "grows")
    with pytest.raises(InvalidTemplate, match="more than 100000 bytes") as caught:
        await fetch(of(repository), template_bytes=100_000)
    assert "DYNAMO_MCP_TEMPLATE_BYTES" in caught.value.hint
    repository.git("update-index", "--cacheinfo", f"100644,{repository.blob(b'$Id$' * 2_000_000)},a.id")
    repository.git("commit", "--quiet", "-m", "grows beyond memory")
    with pytest.raises(FetchFailed, match=r"could not check out .*Out of memory"):
        await fetch(of(repository), template_bytes=10_000_000)
    assert list((store.home / "checkouts").iterdir()) == []


async def test_a_repository_of_this_machine_cannot_make_its_server_run_anything(
    fetch: Fetch, repository: Repository, tmp_path: Path
) -> None:
    witness = tmp_path / "witness"
    for key in ("uploadpack.packObjectsHook", "core.fsmonitor", "core.sshCommand", "core.alternateRefsCommand"):
        repository.git("config", key, f"touch {witness}; cat")
    repository.git("config", "extensions.partialClone", "origin")
    repository.git("config", "core.repositoryFormatVersion", "1")
    repository.git("config", "remote.origin.url", f"ext::touch {witness}")
    repository.git("config", "remote.origin.promisor", "true")
    await fetch(of(repository))
    # An object that is missing would be fetched from `origin`.
    blob = repository.git("rev-parse", "HEAD:cookiecutter.json")
    (repository.path / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    with pytest.raises(FetchFailed):
        await fetch(of(repository))
    assert not witness.exists()


async def test_two_fetches_at_once_give_one_checkout(fetch: Fetch, repository: Repository, store: Store) -> None:
    checkouts: list[Checkout] = []

    async def once() -> None:
        checkouts.append(await fetch(of(repository)))

    async with anyio.create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(once)
    assert len(set(checkouts)) == 1
    assert [path.name for path in (store.home / "checkouts").iterdir()] == [checkouts[0].digest[:32]]


async def test_a_checkout_is_published_by_one_process_at_a_time(
    fetch: Fetch, repository: Repository, store: Store, settings: Settings, progress: Progress
) -> None:
    checkout = await fetch(of(repository))
    await store.discard(checkout.path)
    async with store.lock(f"checkout-{checkout.path.name}"), open_store(settings.home, lock_seconds=0.05) as other:
        with pytest.raises(Busy):
            await sources.fetch(of(repository), store=other, settings=settings, progress=progress)
    assert not checkout.path.exists()


async def test_a_checkout_that_is_there_is_used_as_it_is(fetch: Fetch, repository: Repository) -> None:
    inode = (await fetch(of(repository))).path.stat().st_ino
    repository.commit("another commit of the same tree")
    assert (await fetch(of(repository))).path.stat().st_ino == inode


async def test_git_missing_is_told_with_what_to_do(fetch: Fetch, repository: Repository, tmp_path: Path) -> None:
    with pytest.raises(FetchFailed, match="git is not installed") as caught:
        await fetch(of(repository), search_path=str(tmp_path))
    assert "install git" in caught.value.hint


# --- https


@pytest.mark.parametrize("way", ["smart", "dumb"])
@pytest.mark.parametrize("revision", [None, "main", "hash", "short"])
async def test_a_repository_is_fetched_by_https(
    fetch: Fetch, server: Server, trusting: dict[str, str], repository: Repository, *, way: str, revision: str | None
) -> None:
    head = repository.git("rev-parse", "HEAD")
    revision = {"hash": head, "short": head[:9]}.get(revision or "", revision)
    location = Location("git", f"{server.url}/{way}/template/.git", revision)
    checkout = await fetch(location, passed=trusting)
    assert checkout.revision == head
    assert "{{cookiecutter.slug}}/README.md" in files(checkout)


@pytest.mark.parametrize(
    ("path", "said", "hint"),
    [
        ("missing/r.git", "not a git repository, or does not exist", "spelling"),
        ("page/r.git", "not a git repository", "spelling"),
        ("private/r.git", "needs a sign-in", "ssh agent"),
    ],
)
async def test_what_a_host_answers_is_told_in_words(
    fetch: Fetch, server: Server, trusting: dict[str, str], *, path: str, said: str, hint: str
) -> None:
    with pytest.raises(FetchFailed, match=said) as caught:
        await fetch(Location("git", f"{server.url}/{path}"), passed=trusting)
    assert hint in caught.value.hint
    assert server.url in caught.value.message
    assert server.authorizations == []
    assert not any(asked.startswith("/smart") for asked in server.paths)


async def test_a_certificate_that_nobody_vouches_for_is_refused(fetch: Fetch, server: Server) -> None:
    with pytest.raises(FetchFailed, match="certificate can't be verified") as caught:
        await fetch(Location("git", f"{server.url}/smart/template/.git"))
    assert "SSL_CERT_FILE" in caught.value.hint
    assert server.paths == []


async def test_a_certificate_of_another_host_is_refused(fetch: Fetch, server: Server, trusting: dict[str, str]) -> None:
    address = server.url.replace("127.0.0.1", "127.0.0.2") + "/smart/template/.git"
    with pytest.raises(FetchFailed, match=r"certificate can't be verified|can't be reached"):
        await fetch(Location("git", address), passed=trusting)
    assert server.paths == []


async def test_a_host_that_cannot_be_found_or_reached_is_told_so(fetch: Fetch) -> None:
    with pytest.raises(FetchFailed, match="can't be found"):
        await fetch(Location("git", "https://nowhere.invalid/o/r"))
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        with pytest.raises(FetchFailed, match="can't be reached"):
            await fetch(Location("git", f"https://127.0.0.1:{closed.getsockname()[1]}/o/r"))


async def test_a_proxy_is_used_and_its_password_is_never_told(fetch: Fetch) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        proxy = f"http://me:s3cret@127.0.0.1:{closed.getsockname()[1]}"
        with pytest.raises(FetchFailed, match="can't be reached") as caught:
            await fetch(Location("git", "https://nowhere.invalid/o/r"), passed={"https_proxy": proxy})
    assert "s3cret" not in str(caught.value)


async def test_a_host_that_never_answers_is_left_in_time(
    fetch: Fetch, server: Server, trusting: dict[str, str], store: Store
) -> None:
    with pytest.raises(TimedOut, match="took more than 1 seconds") as caught:
        await fetch(Location("git", f"{server.url}/silent/r.git"), passed=trusting, fetch_seconds=1.0)
    assert "DYNAMO_MCP_FETCH_SECONDS" in caught.value.hint
    assert running_in(store.scratch) == []


async def test_a_fetch_cancelled_in_the_middle_leaves_no_process_and_no_file(
    fetch: Fetch, server: Server, trusting: dict[str, str], store: Store
) -> None:
    location = Location("git", f"{server.url}/silent/r.git")

    async with anyio.create_task_group() as tasks:

        async def run() -> None:
            await fetch(location, passed=trusting)

        tasks.start_soon(run)
        assert await anyio.to_thread.run_sync(server.asked.wait, SECONDS)
        assert running_in(store.scratch) != []
        tasks.cancel_scope.cancel()
    assert running_in(store.scratch) == []
    assert list(store.scratch.iterdir()) == []
    assert list((store.home / "checkouts").iterdir()) == []


def running_in(folder: Path) -> list[str]:
    """Return the command lines of the processes that name a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = process.read_bytes()
        except OSError:
            continue
        if os.fsencode(folder) in line:
            found.append(os.fsdecode(line))
    return found


# --- ssh


@pytest.fixture
def ssh(tmp_path: Path) -> dict[str, object]:
    """A program called `ssh` that notes how it was called and runs what it was asked to, here."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "ssh"
    program.write_text(
        f'#!/bin/sh\nenv > {folder}/env\nprintf "%s\\n" "$@" > {folder}/arguments\n'
        f'for last; do :; done\n[ -e {folder}/says ] && {{ cat {folder}/says >&2; exit 255; }}\nexec sh -c "$last"\n'
    )
    program.chmod(0o755)
    passed = {"SSH_AUTH_SOCK": "/run/agent", "HTTPS_PROXY": "http://proxy.invalid", "UV_INDEX": "x"}
    return {"search_path": f"{folder}{os.pathsep}{GIT_ENVIRONMENT['PATH']}", "passed": passed}


@pytest.mark.parametrize("form", ["ssh://git@host.invalid{}", "git@host.invalid:{}"])
async def test_ssh_gets_the_agent_and_trusts_no_new_host(
    fetch: Fetch, ssh: dict[str, object], repository: Repository, tmp_path: Path, settings: Settings, *, form: str
) -> None:
    location = sources.parse(form.format(repository.path), settings=settings)
    checkout = await fetch(location, **ssh)
    assert checkout.revision == repository.git("rev-parse", "HEAD")
    arguments = (tmp_path / "bin" / "arguments").read_text().splitlines()
    assert {"-oBatchMode=yes", "-oStrictHostKeyChecking=yes", "-oForwardAgent=no", "git@host.invalid"} <= set(arguments)
    environment = (tmp_path / "bin" / "env").read_text().splitlines()
    assert {"SSH_AUTH_SOCK=/run/agent", "HOME=/nonexistent", "GIT_ALLOW_PROTOCOL=ssh"} <= set(environment)
    assert not any(line.startswith(("HTTPS_PROXY", "UV_INDEX", "PYTEST")) for line in environment)


@pytest.mark.parametrize(
    ("says", "said", "hint"),
    [
        ("Host key verification failed.", "ssh key is not known", "known_hosts"),
        ("git@host.invalid: Permission denied (publickey).", "needs a sign-in", "ssh agent"),
        ("ssh: Could not resolve hostname host.invalid: Name or service not known", "can't be found", "spelling"),
        ("ERROR: Repository not found.", "does not exist", "spelling"),
    ],
)
async def test_what_ssh_says_is_told_in_words(
    fetch: Fetch, ssh: dict[str, object], tmp_path: Path, *, says: str, said: str, hint: str
) -> None:
    (tmp_path / "bin" / "says").write_text(f"{says}\n\x1b[31mred\n")
    with pytest.raises(FetchFailed, match=said) as caught:
        await fetch(Location("git", "git@host.invalid:r"), **ssh)
    assert hint in caught.value.hint
    assert says.rpartition(": ")[2] in caught.value.message
    assert "\x1b" not in caught.value.message


async def test_every_git_gets_every_flag_and_nothing_of_the_environment(
    fetch: Fetch, ssh: dict[str, object], repository: Repository, tmp_path: Path
) -> None:
    real = shutil.which("git", path=GIT_ENVIRONMENT["PATH"])
    git = tmp_path / "bin" / "git"
    git.write_text(f'#!/bin/sh\n{{ echo "$*"; env; echo; }} >> {tmp_path}/calls\nexec {real} "$@"\n')
    git.chmod(0o755)
    (repository.path / "link").symlink_to("hooks")
    repository.commit()
    await fetch(of(repository), **ssh)
    calls = (tmp_path / "calls").read_text().strip().split("\n\n")
    for call in calls:
        flags, *environment = call.splitlines()
        for flag in (
            "protocol.allow=never",
            "protocol.file.allow=always",
            "core.hooksPath=/dev/null",
            "credential.helper=",
        ):
            assert f"-c {flag} " in flags
        assert {line.partition("=")[0] for line in environment} - {"PWD", "OLDPWD", "SHLVL", "_"} == {
            *("PATH", "HOME", "LC_ALL", "GIT_ALLOW_PROTOCOL", "GIT_ASKPASS", "GIT_ATTR_NOSYSTEM", "GIT_CONFIG_GLOBAL"),
            *("GIT_CONFIG_NOSYSTEM", "GIT_LFS_SKIP_SMUDGE", "GIT_NO_LAZY_FETCH", "GIT_NO_REPLACE_OBJECTS"),
            "GIT_TERMINAL_PROMPT",
        }
        assert {"HOME=/nonexistent", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_ALLOW_PROTOCOL=file"} <= set(environment)
    assert len(calls) == 5
