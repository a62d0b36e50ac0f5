"""A real authorization server on loopback: metadata, registration, PKCE, tokens, keys, introspection."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from dynamo_mcp.transports.web import serving


class Key:
    """A key that tokens are signed with."""

    def __init__(self, algorithm: str = "ES256") -> None:
        self.algorithm = algorithm
        self.identity = secrets.token_hex(4)
        self.private: Any = ec.generate_private_key(ec.SECP256R1())
        if algorithm.startswith(("RS", "PS")):
            self.private = rsa.generate_private_key(65537, 2048)

    @property
    def public(self) -> dict[str, Any]:
        """What the issuer publishes of it."""
        kind = jwt.get_algorithm_by_name(self.algorithm)
        return {**json.loads(kind.to_jwk(self.private.public_key())), "kid": self.identity, "use": "sig"}


class AuthorizationServer:
    """Issues tokens to whoever asks, as a person who consents to everything."""

    def __init__(self, address: str) -> None:
        self.issuer = address
        self.keys = [Key()]
        self.asked: list[str] = []
        """Paths, in the order in which they were asked for."""
        self.says: dict[str, Response] = {}
        """What is answered at a path in place of the right thing."""
        self.introspected: dict[str, dict[str, Any]] = {}
        self.client = ("dynamo-mcp", "se cret/+:")
        self.granted: str | None = None
        """Scopes that are given, whatever is asked for."""
        self._codes: dict[str, dict[str, str]] = {}

    def claims(self, **claims: Any) -> dict[str, Any]:
        """Return good claims, but for those that are given; None leaves one out."""
        now = time.time()
        whole = {
            "iss": self.issuer,
            "sub": "anna",
            "iat": now,
            "exp": now + 300,
            "scope": "templates:read templates:write projects:create",
            **claims,
        }
        return {name: value for name, value in whole.items() if value is not None}

    def token(self, key: Key | None = None, *, header: dict[str, Any] | None = None, **claims: Any) -> str:
        """Return a token, signed."""
        key = key or self.keys[0]
        headers = {"kid": key.identity, "typ": "at+jwt", **(header or {})}
        return jwt.encode(self.claims(**claims), key.private, key.algorithm, headers=headers)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            self.asked.append(scope["path"])
            if scope["path"] in self.says:
                await self.says[scope["path"]](scope, receive, send)
                return
        await self._app(scope, receive, send)

    @property
    def _app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/.well-known/oauth-authorization-server", self._metadata),
                Route("/jwks", self._jwks),
                Route("/register", self._register, methods=["POST"]),
                Route("/authorize", self._authorize),
                Route("/token", self._token, methods=["POST"]),
                Route("/introspect", self._introspect, methods=["POST"]),
            ]
        )

    async def _metadata(self, _request: Request) -> Response:
        return JSONResponse(
            {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "registration_endpoint": f"{self.issuer}/register",
                "jwks_uri": f"{self.issuer}/jwks",
                "introspection_endpoint": f"{self.issuer}/introspect",
                "response_types_supported": ["code"],
                "grant_types_supported": ["authorization_code"],
                "code_challenge_methods_supported": ["S256"],
                "token_endpoint_auth_methods_supported": ["none"],
            }
        )

    async def _jwks(self, _request: Request) -> Response:
        return JSONResponse({"keys": [key.public for key in self.keys]})

    async def _register(self, request: Request) -> Response:
        asked = await request.json()
        return JSONResponse({**asked, "client_id": "the-client"}, status_code=201)

    async def _authorize(self, request: Request) -> Response:
        asked = dict(request.query_params)
        assert asked["code_challenge_method"] == "S256"
        code = secrets.token_hex(8)
        self._codes[code] = asked
        answer = {"code": code, "state": asked["state"], "iss": self.issuer}
        return RedirectResponse(f"{asked['redirect_uri']}?{urlencode(answer)}", status_code=302)

    async def _token(self, request: Request) -> Response:
        form = await request.form()
        asked = self._codes.pop(str(form["code"]))
        digest = hashlib.sha256(str(form["code_verifier"]).encode()).digest()
        if base64.urlsafe_b64encode(digest).decode().rstrip("=") != asked["code_challenge"]:
            return JSONResponse({"error": "invalid_grant"}, status_code=400)
        assert form["resource"] == asked["resource"]
        scope = self.granted or asked.get("scope", "")
        token = self.token(aud=asked["resource"], scope=scope)
        return JSONResponse({"access_token": token, "token_type": "Bearer", "expires_in": 300, "scope": scope})

    async def _introspect(self, request: Request) -> Response:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        wanted = urlencode({"u": self.client[0]})[2:] + ":" + urlencode({"p": self.client[1]})[2:]
        if scheme != "Basic" or base64.b64decode(given).decode() != wanted:
            return JSONResponse({"error": "invalid_client"}, status_code=401)
        form = await request.form()
        return JSONResponse(self.introspected.get(str(form["token"]), {"active": False}))


@asynccontextmanager
async def authorization_server() -> AsyncIterator[AuthorizationServer]:
    """Run one while the caller stays in the context."""
    listener = socket.create_server(("127.0.0.1", 0))
    try:
        server = AuthorizationServer(f"http://127.0.0.1:{listener.getsockname()[1]}")
        async with serving(server, listener, lambda: None):
            yield server
    finally:
        listener.close()
