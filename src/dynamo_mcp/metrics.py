"""What does a Prometheus server read of us? How often, how long, how it ended, and how much is being done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING

from dynamo_mcp.views import Load

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


class Metrics:
    """The metrics of one server; their names begin with `dynamo_mcp_`."""

    def __init__(self, load: Callable[[], Load]) -> None:
        """Count nothing yet; `installed()` has to hold.

        Args:
            load: Tells how much is being done.
        """
        from prometheus_client import CollectorRegistry, Counter, Histogram  # noqa: PLC0415 - an extra

        self._registry = CollectorRegistry()
        self._calls = Counter(
            "dynamo_mcp_calls", "Calls of tools, by how they ended.", ("tool", "outcome"), registry=self._registry
        )
        self._seconds = Histogram(
            "dynamo_mcp_call_seconds", "Seconds of a call.", ("tool",), buckets=_SECONDS, registry=self._registry
        )
        self._steps = Histogram(
            "dynamo_mcp_step_seconds", "Seconds of a step.", ("tool", "step"), buckets=_SECONDS, registry=self._registry
        )
        self._registry.register(_Gauges(load))
        # Each has a handful of them, of which finding one takes longer than counting.
        self._of_call, self._of_seconds = cache(self._calls.labels), cache(self._seconds.labels)

    def call(self, tool: str, outcome: str, seconds: float) -> None:
        """Count a call that has ended."""
        self._of_call(tool, outcome).inc()
        self._of_seconds(tool).observe(seconds)

    def step(self, tool: str, step: str, seconds: float) -> None:
        """Count a step that has ended."""
        self._steps.labels(tool, step).observe(seconds)

    def text(self) -> tuple[bytes, str]:
        """Return all of it, and its media type."""
        from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest  # noqa: PLC0415 - an extra

        return generate_latest(self._registry), CONTENT_TYPE_LATEST


def installed() -> bool:
    """Tell whether the extra is there."""
    return find_spec("prometheus_client") is not None


class _Gauges:
    """What is true at the moment it is asked."""

    def __init__(self, load: Callable[[], Load]) -> None:
        self._load = load

    def collect(self) -> Iterator[Metric]:
        """Tell it (`prometheus_client.registry.Collector`)."""
        from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily  # noqa: PLC0415 - an extra

        load = self._load()
        yield GaugeMetricFamily("dynamo_mcp_jobs_working", "Jobs of templates under way.", load.working)
        yield GaugeMetricFamily("dynamo_mcp_jobs_waiting", "Jobs of templates that wait.", load.waiting)
        renderers = GaugeMetricFamily("dynamo_mcp_renderers", "Renderers, by what they do.", labels=("state",))
        for state, number in load.renderers.items():
            renderers.add_metric((state,), number)
        yield renderers
        cache = CounterMetricFamily("dynamo_mcp_cache", "What was asked for was there, or not.", labels=("of", "found"))
        for of, found in (("environments", load.environments), ("schemas", load.schemas)):
            for kind, number in found.items():
                cache.add_metric((of, kind), number)
        yield cache
