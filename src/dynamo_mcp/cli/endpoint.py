"""Can it be served where and as an operator said? What is wrong is told before anything is opened."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from dynamo_mcp.errors import Failed, UsageError
from dynamo_mcp.transports import proxies, tls
from dynamo_mcp.transports.listening import listen
from dynamo_mcp.transports.transport import check_transport
from dynamo_mcp.transports.unix_socket import listening_at


def check(
    transports: Sequence[str],
    *,
    host: str,
    port: int,
    grpc_port: int,
    anywhere: bool,
    uds: Path | None,
    tls_certificate: Path | None,
    tls_key: Path | None,
    trusted_proxies: Sequence[str],
) -> str | None:
    """Try what can be tried; nothing of it stays.

    Args:
        transports: Their names.
        host: As the fields of `Endpoint`, and so is all that follows but `anywhere`.
        port: Likewise.
        grpc_port: Likewise.
        anywhere: The address may be one that other machines reach.
        uds: Likewise.
        tls_certificate: Likewise.
        tls_key: Likewise.
        trusted_proxies: Likewise.

    Returns:
        What the operator should know though it can be served so, if there is anything.

    Raises:
        UsageError: It can't be served so.
        Refused: It may not.
    """
    with _as_usage():
        for name in transports:
            check_transport(name)
        over_http, over_grpc = "http" in transports, "grpc" in transports
        if over_http and over_grpc and uds is None and port == grpc_port != 0:
            raise UsageError(
                f"`--port` and `--grpc-port` are both `{port}`", hint="choose two, or 0 for any that is free"
            )
        if over_http:
            proxies.check(trusted_proxies)
        if over_http and uds is not None:
            with listening_at(uds):
                pass
        elif over_http:
            listen(host, port, anywhere=anywhere).close()
        if over_grpc:
            listen(host, grpc_port, anywhere=anywhere, flag="--grpc-port").close()
        if not (over_http or over_grpc):
            return None
        tls.context(tls_certificate, tls_key)
        return tls.dated(tls_certificate) if tls_certificate is not None else None


@contextmanager
def _as_usage() -> Iterator[None]:
    """Tell of a file or a port that it was named, and can't have been meant."""
    try:
        yield
    except Failed as error:
        raise UsageError(error.message, hint=error.hint) from error
