"""Whom does a token of the organisation's authorization server speak of? We are its resource server (OAuth 2.1)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from dynamo_mcp.auth.claims import PATHS, Claims
from dynamo_mcp.auth.introspection import Introspection
from dynamo_mcp.auth.key_sets import KeySet
from dynamo_mcp.auth.keys import PREFIX as OF_A_KEY
from dynamo_mcp.auth.reaching import Asking
from dynamo_mcp.auth.tokens import Tokens
from dynamo_mcp.auth.ways import Way
from dynamo_mcp.callers import SCOPES, Caller
from dynamo_mcp.disk import words
from dynamo_mcp.errors import Unauthenticated, UsageError

if TYPE_CHECKING:
    from dynamo_mcp.auth_settings import OAuthSettings
    from dynamo_mcp.settings import Settings

WELL_KNOWN = "/.well-known/oauth-protected-resource"
"""Where a server says who issues tokens for it (RFC 9728, section 3)."""
_OFFERED = [scope for scope in SCOPES if scope != "admin"]
"""Clients ask for all that is named there, and hardly anybody needs more than that."""


def make(settings: Settings) -> Way:
    """Return the way (`Maker`)."""
    chosen = settings.oauth
    if chosen.issuer is None or not chosen.audience:
        missing = "DYNAMO_MCP_OAUTH_ISSUER" if chosen.issuer is None else "DYNAMO_MCP_OAUTH_AUDIENCE"
        raise UsageError(
            f"`oauth` needs `{missing}`, which is not set",
            hint="set `DYNAMO_MCP_OAUTH_ISSUER` to the authorization server, and `DYNAMO_MCP_OAUTH_AUDIENCE` to the "
            "address at which clients reach this server, such as `https://mcp.example.com`",
        )
    asking = Asking(settings)
    if chosen.introspection is None:
        vouching: _Vouching = Tokens(KeySet(asking, chosen.issuer, chosen.jwks))
    else:
        vouching = Introspection(asking, chosen.introspection, _user(chosen))
    claims = Claims(chosen.issuer, chosen.audience, skew_seconds=chosen.skew_seconds)
    documents = _documents(chosen.issuer, chosen.audience[0])
    where = urlsplit(chosen.audience[0])
    metadata = f"{where.scheme}://{where.netloc}{next(iter(documents))}"
    oauth = OAuth(vouching, claims, metadata, stated=chosen.introspection is None)
    return Way(oauth, documents=documents, hosts=(where.netloc,))


class _Vouching(Protocol):
    async def claims(self, token: str) -> Mapping[str, Any]:
        """Return the claims of a token for which the issuer vouches."""
        ...


class OAuth:
    """Knows tokens (`Authenticator`)."""

    def __init__(self, vouching: _Vouching, claims: Claims, metadata: str, *, stated: bool) -> None:
        """Know those of one issuer.

        Args:
            vouching: Returns claims that the issuer vouches for.
            claims: Looks at them.
            metadata: Where clients learn who the issuer is.
            stated: Tokens say by themselves who issued them.
        """
        self._vouching = vouching
        self._claims = claims
        self._stated = stated
        self.challenge = f'Bearer resource_metadata="{metadata}"'
        self._refused = f'Bearer error="invalid_token", resource_metadata="{metadata}"'

    async def authenticate(self, authorization: str) -> Caller | None:
        """Say of whom a token speaks (`Authenticator`)."""
        scheme, _, token = authorization.partition(" ")
        token = token.strip(" ")
        if scheme.lower() != "bearer" or token.startswith(OF_A_KEY):
            return None
        try:
            return self._claims.caller(await self._vouching.claims(token), stated=self._stated)
        except Unauthenticated as error:
            raise Unauthenticated(error.message, hint=error.hint, challenges=(self._refused,)) from error


def _user(chosen: OAuthSettings) -> tuple[str, str] | None:
    secret = chosen.client_secret
    if chosen.client_secret_file is not None:
        with words(
            "read the client's secret", chosen.client_secret_file, hint="check `DYNAMO_MCP_OAUTH_CLIENT_SECRET_FILE`"
        ):
            secret = chosen.client_secret_file.read_text("utf-8").strip()
    if chosen.client_id is None and secret is None:
        return None
    if not chosen.client_id or not secret:
        raise UsageError(
            "Of the client as which tokens are introspected only one of identity and secret is set",
            hint="set `DYNAMO_MCP_OAUTH_CLIENT_ID`, and `DYNAMO_MCP_OAUTH_CLIENT_SECRET` or "
            "`DYNAMO_MCP_OAUTH_CLIENT_SECRET_FILE`",
        )
    return chosen.client_id, secret


def _documents(issuer: str, address: str) -> dict[str, bytes]:
    """Return what clients read, by path, that of the address itself first (RFC 9728, sections 2 and 3.1)."""
    path = urlsplit(address).path.rstrip("/")
    address = address.rstrip("/")
    documents = {f"{WELL_KNOWN}{path}": _document(issuer, address)}
    if path:
        # Clients that were not told where to look look there last (MCP 2026-07-28, basic/authorization).
        return {**documents, WELL_KNOWN: _document(issuer, address)}
    return documents | {f"{WELL_KNOWN}{below}": _document(issuer, address + below) for below in PATHS}


def _document(issuer: str, resource: str) -> bytes:
    said = {
        "resource": resource,
        "authorization_servers": [issuer],
        "scopes_supported": _OFFERED,
        "bearer_methods_supported": ["header"],
        "resource_name": "dynamo-mcp",
    }
    return json.dumps(said).encode()
