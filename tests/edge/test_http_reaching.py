"""By which name, through what, and as whom do clients reach the server on HTTP?"""

from __future__ import annotations

import datetime as dt
import json
import os
import socket
import ssl
import stat
from typing import TYPE_CHECKING, Any

import anyio
import grpc.aio
import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from google.protobuf.wrappers_pb2 import StringValue
from mcp import Client

from dynamo_mcp.errors import Failed, StorageFailed, UsageError
from dynamo_mcp.serving import Serving
from dynamo_mcp.transports.proxies import Peer
from edge.framed import CONNECT
from edge.joining import over_grpc, over_http
from edge.raw import request
from edge.test_http import DISCOVER
from edge.test_http_limits import rest
from fakes import FakeDynamo

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate of 127.0.0.1, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    (folder / "other.pem").write_bytes(
        ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    (folder / "locked.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    return folder / "certificate.pem", folder / "key.pem"


async def test_it_speaks_tls_and_no_old_one(certified: tuple[Path, Path], tmp_path: Path) -> None:
    certificate, key = certified
    trusting = ssl.create_default_context(cafile=str(certificate))
    async with over_http(FakeDynamo(tmp_path), tls_certificate=certificate, tls_key=key) as address:
        assert address.startswith("https://127.0.0.1:")
        url = address.replace("127.0.0.1", "localhost")
        async with httpx2.AsyncClient(verify=trusting) as client:
            for origin in (url, "http://evil.example"):
                answer = await client.post(
                    f"{url}/mcp", headers=DISCOVER | {"origin": origin}, json=request(1, "server/discover")
                )
                assert answer.status_code == (200 if origin == url else 403)
        old = ssl.create_default_context(cafile=str(certificate))
        old.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            old.minimum_version = ssl.TLSVersion.TLSv1_1
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            old.maximum_version = ssl.TLSVersion.TLSv1_1
        async with httpx2.AsyncClient(verify=old) as client:
            with pytest.raises(httpx2.ConnectError):
                await client.get(f"{url}/healthz")


@pytest.mark.parametrize("said", [b"", b"\x16\x03\x01\x02\x00\x01"], ids=["nothing", "half a word"])
async def test_who_begins_tls_and_goes_no_further_is_left_as_soon_as_who_sends_no_head(
    said: bytes, certified: tuple[Path, Path], tmp_path: Path
) -> None:
    certificate, key = certified
    trusting = ssl.create_default_context(cafile=str(certificate))
    limits = Serving(head_seconds=1)
    async with (
        over_http(FakeDynamo(tmp_path), tls_certificate=certificate, tls_key=key, limits=limits) as address,
        httpx2.AsyncClient(verify=trusting) as client,
    ):
        url = address.replace("127.0.0.1", "localhost")
        with anyio.fail_after(20):
            streams = [await anyio.connect_tcp("127.0.0.1", int(url.rpartition(":")[2])) for _ in range(20)]
            for stream in streams:
                if said:
                    await stream.send(said)
            assert (await client.get(f"{url}/healthz")).status_code == 200
            for stream in streams:
                assert await rest(stream) == b""
                await stream.aclose()


async def test_tls_that_can_not_be_spoken_is_told_at_the_start(certified: tuple[Path, Path], tmp_path: Path) -> None:
    certificate, key = certified
    (tmp_path / "text").write_text("no PEM")
    for given, kind, words in (
        ({"tls_key": key}, UsageError, "is the key of no certificate"),
        ({"tls_certificate": tmp_path / "gone"}, StorageFailed, "read the certificate at .*gone`: No such file"),
        ({"tls_certificate": certificate, "tls_key": tmp_path / "gone"}, StorageFailed, "key at .*gone`: No such file"),
        ({"tls_certificate": tmp_path / "text"}, Failed, "no certificate in `.*text`"),
        ({"tls_certificate": certificate}, Failed, "no key in `.*certificate.pem`, and `--tls-key` names no other"),
        ({"tls_certificate": certificate, "tls_key": certificate}, Failed, "no key in `.*certificate.pem`"),
        ({"tls_certificate": certificate, "tls_key": key.with_name("locked.pem")}, Failed, "the key has a password"),
        ({"tls_certificate": certificate, "tls_key": key.with_name("other.pem")}, Failed, "of another certificate"),
    ):
        endpoint: dict[str, Any] = {**given}
        for over in (over_http, over_grpc):
            with pytest.raises(ExceptionGroup) as raised:
                async with over(FakeDynamo(tmp_path), **endpoint):
                    pass
            assert raised.group_contains(kind, match=words), raised.value.exceptions


async def test_grpc_speaks_tls_where_http_does(certified: tuple[Path, Path], tmp_path: Path) -> None:
    certificate, key = certified
    async with over_grpc(FakeDynamo(tmp_path), tls_certificate=certificate, tls_key=key) as words:
        port = words.removesuffix(", by TLS").rpartition(":")[2]
        trusted = grpc.ssl_channel_credentials(certificate.read_bytes())
        async with grpc.aio.secure_channel(f"localhost:{port}", trusted) as channel:
            with anyio.fail_after(20):
                await channel.channel_ready()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            call: Any = channel.stream_stream(CONNECT)(metadata=())
            with anyio.fail_after(20), pytest.raises(grpc.aio.AioRpcError) as refusal:
                await call.read()
            assert refusal.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_unix_socket_is_for_its_owner_and_gone_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "s"
    async with over_http(FakeDynamo(tmp_path), uds=path) as url:
        assert stat.S_IMODE(path.lstat().st_mode) == 0o600
        transport = httpx2.AsyncHTTPTransport(uds=str(path))
        async with httpx2.AsyncClient(transport=transport) as client:
            answer = await client.post(f"{url}/mcp", headers=DISCOVER, json=request(1, "server/discover"))
            assert answer.status_code == 200
            refused = await client.post(f"{url}/mcp", headers=DISCOVER | {"host": "evil.example"})
            assert refused.status_code == 421
    assert not path.exists()


async def test_a_unix_socket_of_the_dead_is_replaced_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    async with over_http(FakeDynamo(tmp_path), uds=path):
        with pytest.raises(ExceptionGroup) as raised:
            async with over_http(FakeDynamo(tmp_path), uds=path):
                pass
        assert raised.group_contains(Failed, match="A server listens on")
        assert path.is_socket()
        # What somebody else puts there meanwhile stays.
        path.unlink()
        path.write_text("mine")
    assert path.read_text() == "mine"
    for wrong, words in (
        (path, "is no socket"),
        (tmp_path / "gone" / "s", "No such file"),
        (tmp_path / ("x" * 200), ""),
    ):
        with pytest.raises(ExceptionGroup) as raised:
            async with over_http(FakeDynamo(tmp_path), uds=wrong):
                pass
        assert raised.group_contains(Failed, match=words)
    assert sorted(os.listdir(tmp_path)) == ["s"]


@pytest.mark.parametrize("named", ["tools.example", "tools.example:8443"])
async def test_further_names_and_pages_may_be_allowed(named: str, tmp_path: Path) -> None:
    allowed = {"hosts": (named,), "origins": ("https://app.example",)}
    async with over_http(FakeDynamo(tmp_path), **allowed) as url, httpx2.AsyncClient() as client:
        for host, status in ((named, 200), ("other.example", 421), (f"{named}.other.example", 421)):
            answer = await client.post(
                f"{url}/mcp", headers=DISCOVER | {"host": host}, json=request(1, "server/discover")
            )
            assert answer.status_code == status, host
        for origin, status in (
            ("https://app.example", 200),
            (f"https://{named}", 200),
            ("http://app.example", 403),
            ("https://app.example.evil.example", 403),
        ):
            headers = DISCOVER | {"host": named, "origin": origin}
            answer = await client.post(f"{url}/mcp", headers=headers, json=request(1, "server/discover"))
            assert answer.status_code == status, origin


async def seen(trusted: tuple[str, ...], client: tuple[str, int] | None) -> tuple[Any, str]:
    """Return whom the app takes a request for that says it comes from 203.0.113.9 by https."""
    found: list[Any] = []

    async def app(scope: Any, _receive: Any, _send: Any) -> None:
        found.append((scope["client"][0], scope["scheme"]))

    headers = [(b"x-forwarded-for", b"198.51.100.1, 203.0.113.9"), (b"x-forwarded-proto", b"https")]
    scope = {"type": "http", "client": client, "scheme": "http", "headers": headers}
    await Peer(app, trusted)(scope, None, None)  # type: ignore[arg-type]
    return found[0]  # type: ignore[no-any-return]


async def test_only_a_trusted_proxy_says_whom_it_speaks_for() -> None:
    truth, told = ("127.0.0.1", "http"), ("203.0.113.9", "https")
    assert await seen((), ("127.0.0.1", 1)) == truth
    assert await seen(("10.0.0.0/8",), ("127.0.0.1", 1)) == truth
    assert await seen(("10.0.0.0/8", "127.0.0.1"), ("127.0.0.1", 1)) == told
    assert await seen(("127.0.0.1",), None) == ("unix", "http")
    assert await seen(("unix",), None) == told


@pytest.mark.parametrize("wrong", ["*", "", "proxy.example", "10.0.0.1/8", "10.0.0.0/99"])
async def test_what_is_no_address_of_a_proxy_is_refused(wrong: str, tmp_path: Path) -> None:
    with pytest.raises(ExceptionGroup) as raised:
        async with over_http(FakeDynamo(tmp_path), trusted_proxies=(wrong,)):
            pass
    assert raised.group_contains(UsageError, match="is no address of a proxy")


async def test_the_sdk_connects_by_tls(certified: tuple[Path, Path], tmp_path: Path) -> None:
    certificate, key = certified
    from mcp.client.streamable_http import streamable_http_client  # noqa: PLC0415

    trusting = ssl.create_default_context(cafile=str(certificate))
    async with (
        over_http(FakeDynamo(tmp_path), tls_certificate=certificate, tls_key=key) as url,
        httpx2.AsyncClient(verify=trusting) as client,
        Client(streamable_http_client(f"{url}/mcp".replace("127.0.0.1", "localhost"), http_client=client)) as joined,
    ):
        assert (await joined.list_tools()).tools


async def test_grpc_speaks_tls_where_a_certificate_is_chosen(tmp_path: Path, certified: tuple[Path, Path]) -> None:
    certificate, key = certified
    async with over_grpc(FakeDynamo(tmp_path), tls_certificate=certificate, tls_key=key) as address:
        trusting = grpc.ssl_channel_credentials(certificate.read_bytes())
        with anyio.fail_after(20):
            async with grpc.aio.secure_channel(address.replace("127.0.0.1", "localhost"), trusting) as channel:
                stream: Any = channel.stream_stream(
                    CONNECT,
                    request_serializer=StringValue.SerializeToString,
                    response_deserializer=StringValue.FromString,
                )()
                await stream.write(StringValue(value=json.dumps(request(1, "server/discover"))))
                assert "result" in json.loads((await stream.read()).value)
            async with grpc.aio.insecure_channel(address) as channel:
                stream = channel.stream_stream(CONNECT)()
                with pytest.raises(grpc.aio.AioRpcError):
                    await stream.read()
