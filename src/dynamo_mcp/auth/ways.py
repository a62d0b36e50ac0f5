"""Which ways are there to find out who calls? Each is a module beside this one, or of an installed package."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Protocol, cast

import msgspec

from dynamo_mcp import plugins
from dynamo_mcp.callers import Authenticator
from dynamo_mcp.errors import UsageError
from dynamo_mcp.settings import Settings
from dynamo_mcp.text import plain

GROUP = "dynamo_mcp.auth"
OWN = ("keys", "basic", "oauth")
"""Modules beside this one."""


class Way(msgspec.Struct, frozen=True):
    """A way to find out who calls.

    Attributes:
        authenticator: Finds it out.
        documents: What anybody may read over HTTP, in JSON by its path: where to get credentials, for one.
        hosts: Names under which clients know this server, as far as the way was told.
        encrypted: Its credentials may cross a network only where that is encrypted: they are a person's password.
    """

    authenticator: Authenticator
    documents: Mapping[str, bytes] = {}
    hosts: tuple[str, ...] = ()
    encrypted: bool = False


class Maker(Protocol):
    """What a module of a way has, and what an entry point of the group `dynamo_mcp.auth` names."""

    def make(self, settings: Settings) -> Way:
        """Return the way, as an operator has chosen it.

        Raises:
            DynamoError: Something is missing that it needs.
        """
        ...


def way_of(name: str, settings: Settings) -> Way:
    """Return a way by its name.

    Raises:
        UsageError: There is none of this name.
        Failed: It can't be imported.
        DynamoError: Something is missing that it needs.
    """
    return _maker(name).make(settings)


def _maker(name: str) -> Maker:
    if name in OWN:
        return cast("Maker", import_module(f"dynamo_mcp.auth.{name}"))
    entry = plugins.found(GROUP).get(name)
    if entry is None:
        raise UsageError(
            f"There is no authentication `{plain(name, plugins.SHOWN)}`",
            hint=f"it is one of {', '.join(f'`{known}`' for known in dict.fromkeys((*OWN, *plugins.found(GROUP))))}",
        )
    return cast("Maker", plugins.load(entry, "authentication"))
