{% from "literals.jinja" import python %}
{% set headers = cookiecutter.response_headers | items | selectattr(1) | list %}
"""What does the service answer?"""

import json
{% if headers %}
from collections.abc import Mapping
{% endif %}

from starlette.applications import Starlette
{% if headers %}
from starlette.datastructures import MutableHeaders
{% endif %}
from starlette.exceptions import HTTPException
{% if headers %}
from starlette.middleware import Middleware
{% endif %}
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
{% if headers %}
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Sent with every response that does not set them itself.
RESPONSE_HEADERS = {
    {% for name, value in headers %}
    {{ python(name) }}: {{ python(value | string) }},
    {% endfor %}
}
{% endif %}


async def health(_request: Request) -> JSONResponse:
    """Says that the service is up; look at what it depends on here as well."""
    return JSONResponse({"status": "ok"})


async def counts(request: Request) -> JSONResponse:
    """Counts the words and characters of a text."""
    try:
        question = json.loads(await request.body())
    except ValueError:
        raise HTTPException(400, "the body must be JSON") from None
    text = question.get("text") if isinstance(question, dict) else None
    if not isinstance(text, str):
        raise HTTPException(422, "the body must be an object with a string named `text`")
    return JSONResponse({"words": len(text.split()), "characters": len(text)})


async def as_json(_request: Request, error: Exception) -> JSONResponse:
    """Answers in JSON also where something is wrong."""
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)
{% if headers %}


class AddHeaders:
    """Adds headers to every response."""

    def __init__(self, app: ASGIApp, headers: Mapping[str, str]) -> None:
        self.app = app
        self.headers = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes everything on, and the headers with the start of a response."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                present = MutableHeaders(scope=message)
                for name, value in self.headers.items():
                    present.setdefault(name, value)
            await send(message)

        await self.app(scope, receive, send_with_headers)
{% endif %}


def build_app() -> Starlette:
    """Returns the service as an ASGI application."""
    return Starlette(
        routes=[
            Route("/healthz", health),
            Route("/counts", counts, methods=["POST"]),
        ],
        {% if headers %}
        middleware=[Middleware(AddHeaders, headers=RESPONSE_HEADERS)],
        {% endif %}
        exception_handlers={HTTPException: as_json},
    )
