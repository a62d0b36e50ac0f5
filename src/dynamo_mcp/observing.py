"""What do traces, metrics and the logs have of a call? How it ended, and each of its steps as a span of its own.

Spans are children of the request's, which the SDK makes; they cost next to nothing where nobody exports them.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from opentelemetry import trace

from dynamo_mcp import metrics
from dynamo_mcp.callers import current
from dynamo_mcp.logged import Logged
from dynamo_mcp.tools import GENERAL_TOOLS
from dynamo_mcp.views import TOOL_PREFIX

if TYPE_CHECKING:
    from mcp_types import CallToolResult

    from dynamo_mcp.dynamo import Dynamo
    from dynamo_mcp.progress import Sink, Step

OF_TEMPLATES = f"{TOOL_PREFIX}<template>"
"""What the tools of templates are together: there may be many, and strangers name them."""

_log = logging.getLogger(__name__)
_tracer = trace.get_tracer("dynamo-mcp")


class Observed:
    """One call.

    Attributes:
        outcome: How it ends, as of `audit.Entry`.
        result: What it returns, once it does.
    """

    def __init__(self, tool: str, counted: metrics.Metrics | None) -> None:
        """Begin, before its first step."""
        self._tool = tool
        self._counted = counted
        self._step: trace.Span | None = None
        self._named = ""
        self._since = 0.0
        self.outcome = "cancelled"
        self.result: CallToolResult | None = None

    def sink(self, sink: Sink) -> Sink:
        """Return a sink that hands on what it is told, and notes which step has begun."""

        async def told(step: Step) -> None:
            if step.name != self._named:
                self.end()
                self._named, self._since = step.name, time.monotonic()
                self._step = _tracer.start_span(step.name)
            await sink(step)

        return told

    def end(self) -> None:
        """End the step at hand."""
        if self._step is not None:
            self._step.end()
            self._step = None
            if self._counted is not None:
                self._counted.step(self._tool, self._named, time.monotonic() - self._since)


class Observing:
    """The calls of one server.

    Attributes:
        logged: The audit log of them.
        metrics: What is counted of them; None where the extra `metrics` is not installed.
    """

    def __init__(self, dynamo: Dynamo) -> None:
        """Count nothing yet."""
        self.logged = Logged(dynamo.settings)
        self.metrics = metrics.Metrics(dynamo.load) if metrics.installed() else None

    @contextmanager
    def call(self, tool: str, arguments: Mapping[str, Any]) -> Iterator[Observed]:
        """Observe a call while the caller stays in the context."""
        logged = self.logged.begin(tool, arguments)
        kind = _kind(tool)
        began = time.monotonic()
        observed = Observed(kind, self.metrics)
        span = _tracer.start_span(kind, attributes={"dynamo_mcp.tool": tool})
        # Where nobody records it, nothing hangs below it either, and to enter it takes longer than to list templates.
        with trace.use_span(span, end_on_exit=True) if span.is_recording() else nullcontext():
            try:
                yield observed
            finally:
                observed.end()
                logged.end(observed.outcome, observed.result.structured_content if observed.result else None)
                seconds = time.monotonic() - began
                span.set_attribute("dynamo_mcp.outcome", observed.outcome)
                if self.metrics is not None:
                    self.metrics.call(kind, observed.outcome, seconds)
                _log.info("%s of %s: %s in %.3f s", kind, current.get().name, observed.outcome, seconds)


def _kind(tool: str) -> str:
    if tool in GENERAL_TOOLS:
        return tool
    return OF_TEMPLATES if tool.startswith(TOOL_PREFIX) else "unknown"
