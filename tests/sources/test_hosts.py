"""Which hosts may be asked? Real names and addresses, resolved by the system."""

from __future__ import annotations

import ipaddress
import os
import socket
from pathlib import Path

import pytest

from dynamo_mcp import sources
from dynamo_mcp.errors import FetchFailed, InvalidLocation
from dynamo_mcp.settings import Settings
from dynamo_mcp.sources.hosts import is_public, route_to
from dynamo_mcp.types import Location
from sources.repositories import GIT_ENVIRONMENT, Fetch, Repository, Server

pytestmark = pytest.mark.anyio

LOOPBACK = ["127.0.0.1", "2130706433", "0x7f.1", "0177.0.0.1", "127.1", "0", "localhost", "[::ffff:127.0.0.1]", "[::1]"]


def program(tmp_path: Path, **changes: object) -> Settings:
    return Settings(home=tmp_path / "home", search_path=GIT_ENVIRONMENT["PATH"], **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "address",
    [
        *("10.0.0.1", "172.16.0.1", "192.168.1.1", "127.0.0.1", "0.0.0.0", "169.254.169.254", "100.64.0.1"),  # noqa: S104
        *("224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1", "192.88.99.1"),
        *("168.63.129.16", "192.0.0.192", "192.0.0.9", "100.100.100.200"),
        *("::", "::1", "fe80::1", "fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1", "ff0e::1", "100::1", "5f00::1"),
        *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "::8.8.8.8", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe"),
        *("64:ff9b:1::808:808", "2002:7f00:1::", "2002:808:808::1", "2001:0:808:808::1", "2001:db8::1", "3fff::1"),
    ],
)
def test_an_address_that_is_not_of_the_public_internet_is_none_in_every_form(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "address", ["140.82.121.3", "8.8.8.8", "2606:4700::1111", "2a00:1450::1", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_an_address_of_the_public_internet_is_one_also_where_it_is_translated(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("host", LOOPBACK)
async def test_no_spelling_of_this_machine_is_asked_for_a_program(
    fetch: Fetch, tmp_path: Path, canary: socket.socket, *, host: str
) -> None:
    address = f"https://{host}:{canary.getsockname()[1]}/owner/repository"
    location = sources.parse(address, settings=program(tmp_path))
    with pytest.raises(InvalidLocation, match="not public") as caught:
        await fetch(location, person=False)
    assert "DYNAMO_MCP_ALLOWED_HOSTS" in caught.value.hint


@pytest.mark.parametrize("proxy", ["https_proxy", "ALL_PROXY"])
@pytest.mark.parametrize("host", LOOPBACK)
async def test_a_proxy_is_not_asked_for_this_machine_either(
    tmp_path: Path, canary: socket.socket, *, host: str, proxy: str
) -> None:
    settings = program(tmp_path, passed={proxy: f"http://127.0.0.1:{canary.getsockname()[1]}"})
    with pytest.raises(InvalidLocation, match="not public"):
        await route_to(f"https://{host}/owner/repository", settings)


async def test_a_name_is_left_to_the_proxy_that_connects_and_not_where_none_does(tmp_path: Path) -> None:
    settings = program(tmp_path, passed={"HTTPS_PROXY": "proxy.invalid:3128", "NO_PROXY": ".example.invalid"})
    route = await route_to("https://nowhere.invalid/o/r", settings)
    assert (route.proxy, route.addresses) == ("proxy.invalid:3128", ())
    with pytest.raises(FetchFailed, match=r"`git\.example\.invalid` can't be found"):
        await route_to("https://git.example.invalid/o/r", settings)


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("localhost", ("localhost",)),
        ("localhost", ("127.0.0.0/8", "::1/128")),
        ("LOCALHOST", ("localhost",)),
        ("127.0.0.1", ("127.0.0.1/32",)),
        ("127.0.0.1", ("127.0.0.1",)),
        ("[::ffff:127.0.0.1]", ("127.0.0.0/8",)),
    ],
)
async def test_what_an_operator_allows_is_asked_where_it_was_found(
    tmp_path: Path, *, host: str, allowed: tuple[str, ...]
) -> None:
    route = await route_to(f"https://{host}/o/r", program(tmp_path, allowed_hosts=allowed))
    assert {ipaddress.ip_address(address).is_loopback for address in route.addresses} == {True}


async def test_a_suffix_allows_the_names_below_it(tmp_path: Path) -> None:
    settings = program(tmp_path, passed={"https_proxy": "http://proxy.invalid"}, allowed_hosts=("*.git.localhost",))
    assert (await route_to("https://deep.in.git.localhost/o/r", settings)).proxy == "http://proxy.invalid"
    with pytest.raises(InvalidLocation):
        await route_to("https://git.localhost/o/r", settings)


@pytest.mark.parametrize("allowed", ["host", "*.host", "calhost", "*.localhost", "10.0.0.0/8", "::/0"])
async def test_what_only_looks_like_an_allowed_host_is_refused(tmp_path: Path, *, allowed: str) -> None:
    with pytest.raises(InvalidLocation):
        await route_to("https://localhost/o/r", program(tmp_path, allowed_hosts=(allowed, "192.168.0.0/16")))


async def test_an_address_in_an_unusual_spelling_is_refused_though_it_is_allowed(tmp_path: Path) -> None:
    with pytest.raises(InvalidLocation, match="unusual spelling") as caught:
        await route_to("https://2130706433/o/r", program(tmp_path, allowed_hosts=("127.0.0.0/8",)))
    assert "`127.0.0.1`" in caught.value.hint


async def test_a_person_may_name_any_host_and_nothing_is_looked_up_for_them(settings: Settings) -> None:
    route = await route_to("https://nowhere.invalid:8443/o/r", settings)
    assert (route.host, route.port, route.addresses) == ("nowhere.invalid", 8443, ())


async def test_a_program_fetches_from_an_allowed_host(
    fetch: Fetch, server: Server, trusting: dict[str, str], repository: Repository
) -> None:
    location = Location("git", f"{server.url}/smart/template/.git")
    with pytest.raises(InvalidLocation):
        await fetch(location, passed=trusting, person=False)
    assert server.paths == []
    checkout = await fetch(location, passed=trusting, person=False, allowed_hosts=("127.0.0.0/8",))
    assert checkout.revision == repository.git("rev-parse", "HEAD")


async def test_a_git_that_cannot_be_told_where_a_host_was_found_is_refused(fetch: Fetch, tmp_path: Path) -> None:
    old = tmp_path / "old" / "git"
    old.parent.mkdir()
    old.write_text('#!/bin/sh\n[ "$1" = version ] && echo git version 2.34.1\n')
    old.chmod(0o755)
    path = f"{old.parent}{os.pathsep}{GIT_ENVIRONMENT['PATH']}"
    with pytest.raises(FetchFailed, match=r"git version 2\.34\.1") as caught:
        await fetch(
            Location("git", "https://127.0.0.1/o/r"), person=False, allowed_hosts=("127.0.0.1/32",), search_path=path
        )
    assert "2.37" in caught.value.hint


# --- ssh


@pytest.fixture
def configured(tmp_path: Path) -> dict[str, str]:
    """The real ssh, which reads this configuration, and is only written down when it is to connect."""
    real = "/usr/bin/ssh"
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "config").write_text("Host jump.invalid\n ProxyJump other.invalid\nHost work\n HostName 127.0.0.1\n")
    program = folder / "ssh"
    program.write_text(
        f'#!/bin/sh\ncase " $* " in *" -G "*) exec {real} -F {folder}/config "$@";; esac\n'
        f'printf "%s\\n" "$@" > {folder}/arguments\nfor last; do :; done\nexec sh -c "$last"\n'
    )
    program.chmod(0o755)
    return {"search_path": f"{folder}{os.pathsep}{GIT_ENVIRONMENT['PATH']}"}


@pytest.mark.parametrize(
    "form", ["git@localhost:{}", "git@127.1:{}", "git@work:{}", "ssh://git@localhost:2222{}", "git@[::1]:{}"]
)
async def test_no_spelling_of_this_machine_is_asked_by_ssh_for_a_program(
    fetch: Fetch, configured: dict[str, str], tmp_path: Path, *, form: str
) -> None:
    location = sources.parse(form.format("/owner/repository"), settings=program(tmp_path))
    with pytest.raises(InvalidLocation, match="not public"):
        await fetch(location, person=False, **configured)
    assert not (tmp_path / "bin" / "arguments").exists()


@pytest.mark.parametrize(
    ("form", "alias"),
    [
        ("git@localhost:{}", "localhost"),
        ("ssh://git@localhost:2222{}", "[localhost]:2222"),
        ("git@work:{}", "127.0.0.1"),
    ],
)
async def test_ssh_connects_to_what_was_checked_and_looks_the_key_up_by_the_hosts_name(
    fetch: Fetch, configured: dict[str, str], repository: Repository, tmp_path: Path, *, form: str, alias: str
) -> None:
    location = sources.parse(form.format(repository.path), settings=program(tmp_path))
    allowed = ("127.0.0.0/8", "::1/128")
    checkout = await fetch(location, person=False, allowed_hosts=allowed, **configured)
    assert checkout.revision == repository.git("rev-parse", "HEAD")
    arguments = (tmp_path / "bin" / "arguments").read_text().splitlines()
    pinned = {"-oHostName=127.0.0.1", "-oHostName=::1"} & set(arguments)
    assert len(pinned) == 1
    assert f"-oHostKeyAlias={alias}" in arguments


async def test_a_name_is_left_to_the_machine_that_the_operators_ssh_goes_by(
    fetch: Fetch, configured: dict[str, str], repository: Repository, tmp_path: Path
) -> None:
    location = sources.parse(f"git@jump.invalid:{repository.path}", settings=program(tmp_path))
    await fetch(location, person=False, **configured)
    assert not any("HostName" in line for line in (tmp_path / "bin" / "arguments").read_text().splitlines())
