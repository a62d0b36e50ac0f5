"""Where does an address lead in the end? Each step is asked for here, and each is looked at like a typed address.

Nobody else follows a redirect: it would go wherever a stranger's server says, with whatever it was sent along. Here
every step is https, its host is checked, the connection goes to what was checked, and nothing is sent along but the
operator's token to the very host that it is for. A host that the operator has configured (`Own`) is asked as they say,
and it alone gets what they sign in with there.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

import msgspec

from dynamo_mcp.errors import FetchFailed, InvalidLocation
from dynamo_mcp.index_secrets import masked
from dynamo_mcp.settings import Settings
from dynamo_mcp.sources.addresses import checked_url, parse
from dynamo_mcp.sources.hosts import Route, route_to
from dynamo_mcp.sources.tokens import authorization, token_for, without
from dynamo_mcp.sources.wording import redacted, safe_address
from dynamo_mcp.text import plain

if TYPE_CHECKING:
    import httpx2

MOST = 5
SECONDS_PER_STEP = 30.0
_MOVED = frozenset({301, 302, 303, 307, 308})
_FOLLOW = "give the address that it leads to, which a browser shows"
_PORTS = {"http": 80, "https": 443}


class Unreachable(FetchFailed):
    """What was asked for may be had by another try."""


class Own(msgspec.Struct, frozen=True):
    """A server that the operator has configured.

    Attributes:
        address: An address on it.
        authorization: What it alone gets as `Authorization`; None where nobody signs in.
        accept: What is asked for, where there is a choice.
        vouches: What it names is the operator's word; not so where it let another server speak.
        secrets: Parts of paths that nobody is shown.
    """

    address: str
    authorization: str | None = None
    accept: str | None = None
    vouches: bool = True
    secrets: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Say nothing of how somebody signs in."""
        return f"Own({called(self.address, self)!r})"

    def headers(self, address: str) -> dict[str, str]:
        """Return what is sent along to an address."""
        accepting = {"Accept": self.accept} if self.accept else {}
        if self.authorization is None or not self.vouches or not same_server(self.address, address):
            return accepting
        return {**accepting, "Authorization": self.authorization}


def called(address: str, own: Own | None) -> str:
    """Return what a message or a record may say of an address."""
    return masked(safe_address(address), own.secrets if own else ())


def same_server(one: str, other: str) -> bool:
    """Tell whether two addresses have the same scheme, host and port (RFC 6454)."""
    return _server(one) == _server(other)


def _server(address: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(address)
    return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme)


async def follow(address: str, *, asking: str, settings: Settings, own: Own | None = None) -> tuple[str, Route]:
    """Follow an https address to where nothing leads on.

    Args:
        address: As it was typed.
        asking: What is asked for below the address; a redirect has to keep it. Empty for a file, which may lead to
            any path and query.
        settings: Who speaks, the hosts that an operator allows, proxies and certificates.
        own: The operator's server that has named the address, if one has: where it vouches, it and the address's host
            are the operator's word, wherever they are; what they redirect to is not.

    Returns:
        The address that it leads to, and how its host is reached.

    Raises:
        InvalidLocation: A step leads where no address may.
        FetchFailed: There are too many steps, or a host can't be asked.
    """
    at, typed = address, _host(address)
    for _ in range(MOST + 1):
        if own is None:
            route = await route_to(at, settings, typed=_host(at) == typed)
        else:
            vouched = own.vouches and (same_server(at, own.address) or same_server(at, address))
            speaking = msgspec.structs.replace(settings, person=True) if vouched else settings
            route = await route_to(at, speaking, typed=vouched)
        leads = await leads_on(at + asking, route, settings, own=own)
        if leads is None:
            return at, route
        at = _next(at, leads, asking, settings, own)
    raise FetchFailed(f"`{called(address, own)}` is redirected more than {MOST} times", hint=_FOLLOW)


def _host(address: str) -> str | None:
    return urlsplit(address).hostname


def _next(at: str, leads: str, asking: str, settings: Settings, own: Own | None) -> str:
    """Return the address of the next step, looked at like one that was typed."""
    was = called(at, own)
    try:
        target = urljoin(at + asking, leads)
    except ValueError as error:
        raise InvalidLocation(f"`{was}` is redirected to what can't be read", hint=_FOLLOW) from error
    safe = called(target, own)
    if not target.startswith("https://") and not (own and own.vouches and same_server(target, own.address)):
        raise InvalidLocation(f"`{was}` is redirected to `{safe}`, which is not https", hint=_FOLLOW)
    if not target.endswith(asking):
        raise InvalidLocation(f"`{was}` is redirected to `{safe}`, which is something else", hint=_FOLLOW)
    try:
        if not asking:
            return checked_url(target)
        return parse(target.removesuffix(asking), settings=settings).address
    except InvalidLocation as error:
        said = masked(error.message, own.secrets if own else ())
        raise InvalidLocation(f"`{was}` is redirected: {said}", hint=error.hint) from error


async def leads_on(url: str, route: Route, settings: Settings, *, own: Own | None = None) -> str | None:
    """Ask a host, and return where it leads on to; None when it doesn't.

    Raises:
        FetchFailed: It can't be asked.
    """
    async with answered(url, route, settings, own=own) as answer:
        return answer.headers.get("location") if answer.status_code in _MOVED else None


@asynccontextmanager
async def answered(
    url: str, route: Route, settings: Settings, *, own: Own | None = None
) -> AsyncIterator[httpx2.Response]:
    """Ask a host, and yield what it answers, whose content is not read yet.

    Args:
        url: What is asked for.
        route: How its host is reached.
        settings: Certificates.
        own: The operator's server that has named it, if one has.

    Raises:
        FetchFailed: It can't be asked; Unreachable where another try may help.
    """
    import httpx2  # noqa: PLC0415 - hardly any address leads on, and starting up would pay for it

    token = token_for(url, settings.tokens)
    sent = {"Host": httpx2.URL(url).netloc.decode(), "Accept-Encoding": "identity"}
    sent |= {"Authorization": authorization(token)} if token else {}
    sent |= own.headers(url) if own else {}
    said: Exception | None = None
    async with AsyncExitStack() as stack:
        answer: httpx2.Response | None = None
        for address in route.addresses or (route.host,):
            # The certificate is the host's, whatever the address.
            asked = httpx2.URL(url, host=address)
            try:
                client = await stack.enter_async_context(client_for(route, settings, seconds=SECONDS_PER_STEP))
                answer = await stack.enter_async_context(
                    client.stream(
                        "GET",
                        asked,
                        headers=sent,
                        extensions={"sni_hostname": route.host},
                    )
                )
                break
            except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError, ImportError) as error:
                said = error
        if answer is None:
            kind = FetchFailed if "CERTIFICATE_VERIFY" in str(said) else Unreachable
            raise kind(
                f"`{called(url, own)}` can't be asked: {plain(redacted(without(str(said), token)), 200)}",
                hint="check the network, the proxy settings and the certificates, or " + _FOLLOW,
            ) from said
        yield answer


def client_for(route: Route, settings: Settings, *, seconds: float) -> httpx2.AsyncClient:
    """Return a client that goes a route, believes the operator's certificates, and follows no redirect.

    Args:
        route: How a host is reached.
        settings: Certificates.
        seconds: That each step of an exchange may take.
    """
    import httpx2  # noqa: PLC0415 - starting up would pay for it

    return httpx2.AsyncClient(
        verify=_certificates(settings.passed), proxy=_with_scheme(route.proxy), trust_env=False, timeout=seconds
    )


def _certificates(passed: dict[str, str]) -> ssl.SSLContext | bool:
    """Return the certificates that git would trust."""
    file, folder = passed.get("GIT_SSL_CAINFO", passed.get("SSL_CERT_FILE")), passed.get("SSL_CERT_DIR")
    return ssl.create_default_context(cafile=file, capath=folder) if file or folder else True


def _with_scheme(proxy: str | None) -> str | None:
    """Return a proxy as a URL; curl reads one without a scheme as `http`."""
    return proxy if proxy is None or "://" in proxy else f"http://{proxy}"
