"""How do clients talk to us over gRPC? A stream in each direction, of JSON-RPC messages (`mcp.proto`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import unquote

import anyio
import grpc
import grpc.aio
from google.protobuf.wrappers_pb2 import StringValue

from dynamo_mcp.callers import current
from dynamo_mcp.errors import DynamoError, Failed, TooManyAttempts, Unauthenticated
from dynamo_mcp.transports.admission import admit
from dynamo_mcp.transports.listening import authority, listen
from dynamo_mcp.transports.messages import Left, speak
from dynamo_mcp.transports.shares import Shares, TooMuch, share_of
from dynamo_mcp.transports.tls import context as tls_context
from dynamo_mcp.transports.tls import pair
from dynamo_mcp.transports.under_way import UnderWay

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anyio.abc import TaskStatus

    from dynamo_mcp.server import DynamoServer
    from dynamo_mcp.serving import Serving
    from dynamo_mcp.transports.transport import Endpoint

    Context: TypeAlias = grpc.aio.ServicerContext[StringValue, StringValue]

SERVICE = "dynamo_mcp.v1.Mcp"
METHOD = "Connect"
_LAST_SECONDS = 0.4
_MOST = (1 << 31) - 1
"""That gRPC can be told: it takes an `int` of C."""
_ENVELOPE = 16
"""Bytes that a message may have besides its text."""


async def serve(server: DynamoServer, endpoint: Endpoint, *, task_status: TaskStatus[str]) -> None:
    """Serve until cancelled (`Transport`).

    Raises:
        Failed: The port can't be had, or TLS not be spoken; Refused or UsageError if it may not.
    """
    tls = _credentials(endpoint)
    sessions = grpc.stream_stream_rpc_method_handler(
        _Sessions(server, endpoint).serve,
        request_deserializer=StringValue.FromString,
        response_serializer=StringValue.SerializeToString,
    )
    limits = endpoint.limits
    web = grpc.aio.server(options=_options(limits), maximum_concurrent_rpcs=min(limits.sessions, _MOST))
    web.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {METHOD: sessions}),))
    # What may not be listened on, or is taken, is told in the same words as that of HTTP.
    with listen(endpoint.host, endpoint.grpc_port, anywhere=bool(endpoint.authenticators), flag="--grpc-port") as tried:
        host, port = tried.getsockname()[:2]
    try:
        address = authority(host, port)
        bound = web.add_insecure_port(address) if tls is None else web.add_secure_port(address, tls)
    except RuntimeError as error:
        raise Failed(
            f"Can't listen on `{authority(host, port)}`: {error}",
            hint="choose another port with `--grpc-port`; 0 takes any that is free",
        ) from error
    try:
        await web.start()
        task_status.started(f"serves gRPC at {authority(host, bound)}{'' if tls is None else ', by TLS'}")
        await anyio.sleep_forever()
    finally:
        with anyio.CancelScope(shield=True):
            await web.stop(_LAST_SECONDS)


def _credentials(endpoint: Endpoint) -> grpc.ServerCredentials | None:
    """Return the certificate that HTTP has too; None where nothing is encrypted."""
    tls_context(endpoint.tls_certificate, endpoint.tls_key)  # says what is wrong with them, as gRPC does not
    read = pair(endpoint.tls_certificate, endpoint.tls_key)
    return None if read is None else grpc.ssl_server_credentials([(read[1], read[0])])


def _options(limits: Serving) -> Sequence[tuple[str, Any]]:
    numbers = {
        "grpc.so_reuseport": 0,
        "grpc.max_receive_message_length": limits.body_bytes + _ENVELOPE,
        "grpc.max_allowed_incoming_connections": limits.connections,
        "grpc.server_handshake_timeout_ms": round(1000 * limits.head_seconds),
        "grpc.keepalive_time_ms": round(1000 * limits.idle_seconds),
        "grpc.keepalive_timeout_ms": round(1000 * limits.stalled_seconds),
        "grpc.max_metadata_size": limits.head_bytes,
        "grpc.absolute_max_metadata_size": limits.head_bytes,
    }
    return [(name, min(number, _MOST)) for name, number in numbers.items()]


class _Sessions:
    """The sessions of one server."""

    def __init__(self, server: DynamoServer, endpoint: Endpoint) -> None:
        self._server = server
        self._authenticators = endpoint.authenticators
        self._attempts = endpoint.attempts
        self._shares = Shares(endpoint.limits)

    async def serve(self, _requests: object, context: Context) -> None:
        """Serve one, whose client's context is its own."""
        given = [str(value) for name, value in context.invocation_metadata() or () if name == "authorization"]
        try:
            admission = await admit(self._authenticators, given, self._attempts, _address(context.peer()))
        except Unauthenticated as error:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, str(error))
        except TooManyAttempts as error:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, str(error))
        except DynamoError:  # why is the operator's business, and logged
            await context.abort(grpc.StatusCode.UNAVAILABLE, "At the moment nobody can be told from anybody else")
        current.set(admission.caller)
        told = _Told(context)

        async def hear() -> str:
            message = await context.read()
            if not isinstance(message, StringValue) or not await admission.still_holds():
                raise Left
            return message.value

        who = share_of(_address(context.peer()))
        try:
            self._shares.spend(who)
            with self._shares.open(who):
                async with admission.held():
                    under_way = UnderWay(self._shares, who)
                    await speak(self._server, hear, told.tell, under_way, self._shares.limits.stalled_seconds)
                if not told.is_taken:
                    # gRPC can't end a stream before its client has taken what was written: so long it is its share.
                    await anyio.sleep_forever()
        except TooMuch as error:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, str(error))
        if admission.is_over:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "The credentials hold no more")


class _Told:
    """What one client is told.

    Attributes:
        is_taken: Whether it has taken all of it.
    """

    def __init__(self, context: Context) -> None:
        self.is_taken = True
        self._context = context

    async def tell(self, text: str) -> None:
        self.is_taken = False
        try:
            await self._context.write(StringValue(value=text))
        except (grpc.RpcError, grpc.aio.BaseError) as error:  # the latter where it leaves meanwhile
            raise Left from error
        self.is_taken = True


def _address(peer: str) -> str | None:
    """Return the address in how gRPC names a peer, such as `ipv4:192.0.2.1:5000` or `ipv6:%5B::1%5D:5000`."""
    kind, _, rest = peer.partition(":")
    return unquote(rest).rpartition(":")[0].strip("[]") if kind in {"ipv4", "ipv6"} else None
