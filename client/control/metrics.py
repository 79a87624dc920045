"""The Prometheus page: how the site does, in numbers; nothing beyond what `consilium site status` and `budget` show."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, MetricsHandler
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from client.control.health import Health, Probe
from client.control.monitor import Monitor
from client.control.running import BudgetLine
from client.service.state import Doing, ServiceState, Snapshot
from common.errors import ConsiliumError, MachineError
from common.page_server import PageServer

_PREFIX = "consilium_site_"


class SiteCollector(Collector):
    """Collects the figures when they are asked for.

    Args:
        state: what the service is doing.
        monitor: knows its health.
        budget: what was spent.
    """

    def __init__(
        self,
        state: ServiceState,
        monitor: Monitor,
        budget: Callable[[], Sequence[BudgetLine]],
    ) -> None:
        self._state = state
        self._monitor = monitor
        self._budget = budget

    def collect(self) -> Iterator[Metric]:
        """Yield every metric."""
        now = self._state.snapshot()
        yield from _work(now)
        yield from _links(now)
        yield from _health(self._monitor.health())
        yield from self._spent()

    def describe(self) -> list[Metric]:
        """Nothing is collected before it is asked for."""
        return []

    def _spent(self) -> Iterator[Metric]:
        """Without a sound ledger there are no figures, rather than wrong ones."""
        labels = ["population", "delta"]
        spent = _gauge("epsilon_spent", "Privacy spent: epsilon at delta, add/remove.", labels)
        limit = _gauge("epsilon_limit", "The policy's limit on epsilon.", labels)
        try:
            lines = self._budget()
        except ConsiliumError:
            return
        for line in lines:
            values = [line.population or "whole site", f"{line.delta:g}"]
            spent.add_metric(values, line.spent)
            limit.add_metric(values, line.limit)
        yield from (spent, limit)


class MetricsPage:
    """The page, served in threads of its own.

    Attributes:
        address: host:port where it is.
    """

    def __init__(self, registry: CollectorRegistry, host: str, port: int) -> None:
        self._server = PageServer((host, port), MetricsHandler.factory(registry))
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name="metrics", daemon=True
        )
        self._thread.start()
        self.address = f"{host}:{self._server.server_port}"

    def close(self) -> None:
        """Serve it no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def serve_metrics(
    state: ServiceState,
    monitor: Monitor,
    budget: Callable[[], Sequence[BudgetLine]],
    address: str,
) -> MetricsPage:
    """Serve the page at host:port.

    Raises:
        MachineError: nothing can be served there.
    """
    host, _, port = address.rpartition(":")
    registry = CollectorRegistry(auto_describe=False)
    registry.register(SiteCollector(state, monitor, budget))
    try:
        return MetricsPage(registry, host.strip("[]"), int(port))
    except (OSError, OverflowError) as error:
        raise MachineError(
            f"The metrics page cannot be served on {address} ({error}).",
            where="[service] metrics",
            fix="See that no other program uses the port and that the host is one of this machine's addresses.",
        ) from None


def _work(now: Snapshot) -> Iterator[Metric]:
    yield _counter("tasks_answered", "Tasks answered since the start.", now.answered)
    yield _counter("tasks_refused", "Tasks refused since the start.", now.refused)
    yield _counter(
        "bytes_sent", "Bytes of what depends on patients since the start.", now.bytes_sent
    )
    yield _single("start_time_seconds", "When the service started.", now.started)
    yield _single("paused", "1 while the site takes no new task.", now.paused)
    waiting = sum(work.doing == Doing.QUEUED for work in now.work.values())
    yield _single("queue", "Tasks that wait for the device.", waiting)
    figures: dict[str, tuple[str, Callable[[Any], float]]] = {
        "round": ("Round in hand.", lambda work: work.round),
        "step": ("Optimiser steps done in the round in hand.", lambda work: work.step),
        "steps": ("Optimiser steps of the round in hand.", lambda work: work.steps),
    }
    for name, (what, value) in figures.items():
        gauge = _gauge(name, what, ["connection", "study"])
        for work in now.work.values():
            gauge.add_metric([work.connection, work.study], value(work))
        yield gauge


def _links(now: Snapshot) -> Iterator[Metric]:
    contact = _gauge(
        "contact_time_seconds", "When the coordinator was last reached; 0: unknown.", ["connection"]
    )
    polled = _gauge("poll_time_seconds", "When the SuperNode was last reached.", ["connection"])
    for link in now.links.values():
        contact.add_metric([link.connection], link.contact)
        polled.add_metric([link.connection], link.polled)
    yield from (contact, polled)


def _health(health: Health) -> Iterator[Metric]:
    yield _single("healthy", "1 while the site makes progress.", health.passes(Probe.PROGRESS))
    yield _single("ready", "1 while a task could be taken.", health.passes(Probe.READY))
    yield _single("live", "1 while a restart would not help.", health.passes(Probe.LIVE))
    reasons = _gauge("problems", "What keeps the site from progress, by check.", ["check"])
    counts: dict[str, int] = {}
    for reason in health.reasons:
        counts[reason.check] = counts.get(reason.check, 0) + 1
    for check, count in sorted(counts.items()):
        reasons.add_metric([check], count)
    yield reasons


def _counter(name: str, what: str, value: float) -> Metric:
    return CounterMetricFamily(_PREFIX + name, what, value=value)


def _single(name: str, what: str, value: float) -> Metric:
    return GaugeMetricFamily(_PREFIX + name, what, value=float(value))


def _gauge(name: str, what: str, labels: list[str]) -> GaugeMetricFamily:
    return GaugeMetricFamily(_PREFIX + name, what, labels=labels)
