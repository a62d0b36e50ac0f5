"""Which optional packages are there, and what brings the others."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from dynamo_mcp import extras

PROJECT = Path(__file__).parent.parent / "pyproject.toml"


def having(*names: str) -> Callable[[str], str]:
    def version(name: str) -> str:
        if name not in names:
            raise PackageNotFoundError(name)
        return "1.0"

    return version


def test_the_extras_are_those_of_the_package() -> None:
    declared = tomllib.loads(PROJECT.read_text())["project"]["optional-dependencies"]
    names = {extra: {re.split("[<>=]", each)[0] for each in needed} for extra, needed in declared.items()}
    assert {extra: set(each[0]) for extra, each in extras.EXTRAS.items()} == names


def test_each_that_is_missing_says_what_it_is_for_and_what_brings_it() -> None:
    found = {part.name: part for part in extras.look(having("uvloop", "grpcio", "protobuf", "opentelemetry-sdk"))}
    assert {name: part.present for name, part in found.items()} == {
        "http": False,
        "grpc": True,
        "metrics": False,
        "traces": False,
    }
    assert found["http"].why == "HTTP is served slower without `httptools`"
    assert found["http"].command == "pip install 'dynamo-mcp[http]'"
    assert found["grpc"].why == "grpcio 1.0, protobuf 1.0: `serve --transport grpc`"
    assert found["grpc"].command is None
    assert found["metrics"].command == "pip install 'dynamo-mcp[metrics]'"
    assert found["traces"].command == "pip install opentelemetry-exporter-otlp"


@pytest.mark.parametrize("exporter", ["opentelemetry-exporter-otlp", "opentelemetry-exporter-otlp-proto-http"])
def test_traces_are_exported_with_the_sdk_and_an_exporter(exporter: str) -> None:
    *_, traces = extras.look(having("opentelemetry-sdk", exporter))
    assert (traces.present, traces.command) == (True, None)
    assert traces.why == f"opentelemetry-sdk 1.0, {exporter} 1.0: traces can be exported"
