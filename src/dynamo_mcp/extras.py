"""Which optional packages are there, and what brings those that are not? Those of the package's extras."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import TypeAlias

from dynamo_mcp.types import Primitive

EXTRAS = {
    "http": (("httptools", "uvloop"), "many connections over HTTP are served faster", "HTTP is served slower without"),
    "grpc": (("grpcio", "protobuf"), "`serve --transport grpc`", "no `serve --transport grpc` without"),
    "metrics": (("prometheus-client",), "`/metrics` for Prometheus", "no `/metrics` without"),
}
"""Of each extra its distributions, what they bring, and what it is like without them."""

_SDK = "opentelemetry-sdk"
_EXPORTERS = tuple(f"opentelemetry-exporter-otlp{way}" for way in ("", "-proto-http", "-proto-grpc"))
"""No extra: which exporter there is, is the operator's choice."""

Version: TypeAlias = Callable[[str], str]


def missing(extra: str, version_of: Version = version) -> tuple[str, ...]:
    """Return those distributions of an extra that are not installed; `version_of` tells a version, or raises."""
    return tuple(name for name in EXTRAS[extra][0] if _version(name, version_of) is None)


def install(extra: str) -> str:
    """Return the command that brings an extra."""
    return f"pip install 'dynamo-mcp[{extra}]'"


def look(version_of: Version = version) -> tuple[Primitive, ...]:
    """Look which extras are there, and what exports traces."""
    return (*(_extra(name, version_of) for name in EXTRAS), _tracing(version_of))


def _extra(extra: str, version_of: Version) -> Primitive:
    names, brings, without = EXTRAS[extra]
    if lacking := missing(extra, version_of):
        return Primitive(extra, present=False, why=f"{without} {_and(lacking)}", command=install(extra))
    return Primitive(extra, present=True, why=f"{_versions(names, version_of)}: {brings}")


def _tracing(version_of: Version) -> Primitive:
    exporters = [name for name in _EXPORTERS if _version(name, version_of) is not None]
    lacking = (*(() if _version(_SDK, version_of) else (_SDK,)), *(() if exporters else _EXPORTERS[:1]))
    if not lacking:
        there = _versions((_SDK, exporters[0]), version_of)
        return Primitive("traces", present=True, why=f"{there}: traces can be exported")
    why = f"traces go nowhere without {_and(lacking)}, or another exporter"
    return Primitive("traces", present=False, why=why, command=f"pip install {' '.join(lacking)}")


def _version(name: str, version_of: Version) -> str | None:
    try:
        return version_of(name)
    except PackageNotFoundError:
        return None


def _versions(names: tuple[str, ...], version_of: Version) -> str:
    return ", ".join(f"{name} {version_of(name)}" for name in names)


def _and(names: tuple[str, ...]) -> str:
    return " and ".join(f"`{name}`" for name in names)
