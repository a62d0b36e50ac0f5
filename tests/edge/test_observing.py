"""What traces, metrics and the log have of a call."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import httpx2
import pytest
from mcp import Client
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client.parser import text_string_to_metric_families

from dynamo_mcp import metrics
from dynamo_mcp.progress import STEPS_OF_CREATE
from edge.joining import join, over_http
from edge.test_permission import ByScope
from fakes import BROKEN, FakeDynamo

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio

CREATE = {"template_name": "alpha"}


@pytest.fixture(scope="module")
def spans() -> InMemorySpanExporter:
    """Where spans go; of one process there can be one provider."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return exporter


async def scraped(url: str, **headers: str) -> dict[tuple[str, ...], float]:
    async with httpx2.AsyncClient() as client:
        answer = await client.get(f"{url}/metrics", headers=headers)
    answer.raise_for_status()
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


async def test_a_call_is_a_span_of_its_request_and_each_step_one_of_the_call(
    tmp_path: Path, spans: InMemorySpanExporter
) -> None:
    spans.clear()
    async with join("memory", "2026-07-28", tmp_path) as client:
        await client.call_tool("create_project", CREATE)
        await client.call_tool("create_alpha", {"project_name": BROKEN})
    found = spans.get_finished_spans()
    calls = [span for span in found if "dynamo_mcp.tool" in (span.attributes or {})]
    assert [(span.name, (span.attributes or {})["dynamo_mcp.outcome"]) for span in calls] == [
        ("create_project", "done"),
        ("create_<template>", "fault"),
    ]
    for call in calls:
        steps = [span.name for span in found if span.parent and span.parent.span_id == call.context.span_id]
        assert steps == list(STEPS_OF_CREATE)
        request = next(span for span in found if call.parent and span.context.span_id == call.parent.span_id)
        assert request.name.startswith("tools/call create_")


async def test_metrics_count_calls_by_how_they_end_and_tell_what_is_being_done(tmp_path: Path) -> None:
    async with over_http(FakeDynamo(tmp_path)) as url:
        async with Client(f"{url}/mcp", read_timeout_seconds=20) as client:
            await client.call_tool("create_project", CREATE)
            await client.call_tool("create_alpha", {"project_name": BROKEN})
            await client.call_tool("remove_template", {"template_name": "nothing"})
        told = await scraped(url)
    assert told["dynamo_mcp_calls_total", "done", "create_project"] == 1
    assert told["dynamo_mcp_calls_total", "fault", "create_<template>"] == 1
    assert told["dynamo_mcp_calls_total", "TemplateNotFound", "remove_template"] == 1
    assert told["dynamo_mcp_call_seconds_count", "create_project"] == 1
    assert {key[1] for key in told if key[0] == "dynamo_mcp_step_seconds_count"} == set(STEPS_OF_CREATE)
    assert told["dynamo_mcp_jobs_working",] == 1
    assert told["dynamo_mcp_jobs_waiting",] == 2
    assert told["dynamo_mcp_renderers", "idle"] == 3
    assert told["dynamo_mcp_cache_total", "miss", "environments"] == 5
    assert told["dynamo_mcp_cache_total", "hit", "schemas"] == 6


async def test_metrics_are_for_who_may_read(tmp_path: Path) -> None:
    async with over_http(FakeDynamo(tmp_path), authenticators=(ByScope(),)) as url:
        assert await scraped(url, Authorization="Scopes monitor templates:read")
        for scopes, status in (("projects:create", 403), ("", 401)):
            async with httpx2.AsyncClient() as client:
                headers = {"Authorization": f"Scopes monitor {scopes}"} if scopes else {}
                assert (await client.get(f"{url}/metrics", headers=headers)).status_code == status


async def test_without_the_extra_it_is_said_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "installed", lambda: False)
    async with over_http(FakeDynamo(tmp_path)) as url, httpx2.AsyncClient() as client:
        answer = await client.get(f"{url}/metrics")
        assert answer.status_code == 404
        assert "dynamo-mcp[metrics]" in answer.text
        async with Client(f"{url}/mcp", read_timeout_seconds=20) as caller:
            assert not (await caller.call_tool("create_project", CREATE)).is_error


async def test_the_log_has_a_line_for_each_call_where_it_is_asked_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "dynamo_mcp")
    async with join("memory", "auto", tmp_path) as client:
        await client.call_tool("create_project", CREATE)
    lines = [record.getMessage() for record in caplog.records if record.name == "dynamo_mcp.observing"]
    assert len(lines) == 1
    assert lines[0].startswith("create_project of local: done in 0.0")
