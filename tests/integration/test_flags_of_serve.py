"""What is wrong with where and how a server should serve is told at once, before it opens its home."""

from __future__ import annotations

import datetime as dt
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from dynamo_mcp.transports.tls import dated
from edge.test_http_reaching import certified
from integration.places import Place
from integration.test_imports_of_commands import imported

pytestmark = pytest.mark.anyio

__all__ = ["certified"]

HTTP = ("--transport", "http")
GRPC = ("--transport", "grpc")


@pytest.fixture
def taken() -> Iterator[str]:
    """A port on which somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield str(listener.getsockname()[1])


async def refused(place: Place, *flags: str) -> str:
    """Return what `serve` says, which has opened nothing by then."""
    said, told = await place.run("serve", *flags, code=2)
    assert said == ""
    assert told.startswith("error: ")
    assert "\n\nhint: " in told
    assert not (place.home / "scratch").exists()
    return told


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ((*HTTP, "--port", "70000"), "70000 is not in the range"),
        ((*HTTP, *GRPC, "--port", "3123", "--grpc-port", "3123"), "`--port` and `--grpc-port` are both `3123`"),
        ((*HTTP, "--port", "0", "--host", "192.0.2.1", "--auth", "keys"), "choose an address of this machine"),
        ((*HTTP, "--allowed-host", "x:99999"), "`x:99999` is not a host\n\nhint: name one as"),
        ((*HTTP, "--allowed-host", "x:0"), "`x:0` is not a host"),
        ((*HTTP, "--allowed-host", "[::g]"), "`[::g]` is not a host"),
        ((*HTTP, "--allowed-host", "[:::]"), "`[:::]` is not a host"),
        ((*HTTP, "--allowed-host", "*"), "`*` is not a host"),
        ((*HTTP, "--allowed-origin", "https://x:99999"), "a port from 1 to 65535"),
        ((*HTTP, "--allowed-origin", "null"), "`null` is not an origin"),
        ((*HTTP, "--trusted-proxy", "10.0.0.1/8"), "`10.0.0.1/8` is no address of a proxy"),
        ((*HTTP, "--uds", "nowhere/socket"), "Can't listen on `nowhere/socket`: No such file"),
        ((*HTTP, "--tls-key", "key.pem"), "`key.pem` is the key of no certificate"),
        ((*HTTP, "--tls-certificate", "gone.pem"), "Can't read the certificate at `gone.pem`: No such file"),
        ((*GRPC, "--grpc-port", "0", "--tls-certificate", "gone.pem"), "Can't read the certificate at `gone.pem`"),
        (("--transport", "pigeon"), "There is no transport `pigeon`\n\nhint: it is one of `stdio`"),
        (("--grace", "nan"), "`nan`, which is not a number"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
async def test_what_no_server_can_serve_with_is_told_with_the_value_and_what_may_be(
    flags: tuple[str, ...], said: str, place: Place
) -> None:
    port = () if {"--port", "--uds"} & {*flags} or "http" not in flags else ("--port", "0")
    assert said in await refused(place, *flags, *port)


async def test_a_port_that_is_taken_is_told_with_the_flag_that_chooses_another(place: Place, taken: str) -> None:
    for transport, flag in ((HTTP, "--port"), (GRPC, "--grpc-port")):
        told = await refused(place, *transport, flag, taken)
        assert f"Can't listen on `127.0.0.1:{taken}`: Address already in use" in told
        assert f"or choose another with `{flag}`" in told


async def test_what_is_wrong_is_told_before_the_sdk_is_imported(place: Place, taken: str) -> None:
    heavy = ("mcp", "starlette", "uvicorn", "grpc")
    assert await imported(place, "serve", *HTTP, *GRPC, "--grpc-port", taken, "--port", "0", heavy=heavy) == []


async def test_a_certificate_and_another_ones_key_are_told(place: Place, certified: tuple[Path, Path]) -> None:
    certificate, key = certified
    flags = (*HTTP, "--port", "0", "--tls-certificate", str(certificate), "--tls-key")
    assert "the key is that of another certificate" in await refused(place, *flags, str(key.with_name("other.pem")))


async def test_what_was_tried_is_free_and_nothing_of_it_stays(place: Place, certified: tuple[Path, Path]) -> None:
    certificate, key = certified
    tls = ("--tls-certificate", str(certificate), "--tls-key", str(key))
    # Standard input is closed at once, and the server ends.
    told = (await place.run("serve", "--transport", "stdio", *HTTP, "--uds", "socket", *tls))[1]
    assert "warning" not in told
    assert not (place.root / "socket").exists()


def test_a_certificate_that_holds_no_more_or_not_yet_is_told(certified: tuple[Path, Path]) -> None:
    certificate, _ = certified
    now = dt.datetime.now(dt.UTC)
    assert dated(certificate) is None
    assert "` expired on 2" in str(dated(certificate, now + dt.timedelta(days=2)))
    assert "` holds only from 2" in str(dated(certificate, now - dt.timedelta(days=2)))


async def test_the_doctor_tells_of_extras(place: Place) -> None:
    said, _ = await place.run("doctor")
    found = json.loads((await place.run("doctor", "--json"))[0])
    assert [part["name"] for part in found["extras"]] == ["http", "grpc", "metrics", "traces"]
    assert all(part["why"] in said for part in found["extras"])
    assert not {part["command"] for part in found["extras"]} & {*found["commands"]}
