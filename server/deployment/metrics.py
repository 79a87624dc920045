"""What Prometheus may read of the running server: counts and names of runs and sites, nothing of patients."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from common.certificates import describe
from common.errors import MachineError
from common.page_server import PageServer
from common.supervise import Supervisor
from server.deployment.flower_records import ONLINE
from server.deployment.folder import CoordinatorFolder
from server.deployment.pulse import Pulse
from server.deployment.runs import Standing, all_runs

TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics(Collector):
    """Collects the figures at the moment they are asked for.

    Args:
        folder: the coordinator's.
        pulse: what the SuperLink said last.
        supervisor: of the programs.
    """

    def __init__(self, folder: CoordinatorFolder, pulse: Pulse, supervisor: Supervisor) -> None:
        self._folder = folder
        self._pulse = pulse
        self._supervisor = supervisor

    def collect(self) -> Iterator[Metric]:
        """Give every figure."""
        yield from self._programs()
        online = sum(node.standing == ONLINE for node in self._pulse.seen.nodes)
        yield GaugeMetricFamily("consilium_sites_online", "Sites that are connected.", online)
        expires = describe(self._folder.certificate).expires.timestamp()
        yield GaugeMetricFamily(
            "consilium_certificate_expires_timestamp_seconds",
            "When the server's certificate expires.",
            expires,
        )
        yield from self._runs()

    def healthy(self) -> bool:
        """Return whether hospitals can work: every program serves and the certificate is valid."""
        states = self._supervisor.states().values()
        valid = describe(self._folder.certificate).expires.timestamp() > time.time()
        return valid and all(each.ready and not each.problem for each in states)

    def _programs(self) -> Iterator[Metric]:
        up = GaugeMetricFamily(
            "consilium_program_up", "1 when the program makes progress.", labels=["program"]
        )
        restarts = GaugeMetricFamily(
            "consilium_program_restarts", "How often it was started again.", labels=["program"]
        )
        for name, state in self._supervisor.states().items():
            up.add_metric([name], float(state.ready and not state.problem))
            restarts.add_metric([name], state.restarts)
        yield from (up, restarts)

    def _runs(self) -> Iterator[Metric]:
        runs = all_runs(self._folder, self._pulse.seen.runs)
        states = GaugeMetricFamily("consilium_runs", "Runs by standing.", labels=["standing"])
        counts = Counter(run.standing for run in runs)
        for standing in Standing:
            states.add_metric([standing.value], counts[standing])
        rounds = GaugeMetricFamily("consilium_run_round", "Round of each run.", labels=["run"])
        for run in runs:
            rounds.add_metric([run.name], run.round)
        yield from (states, rounds)


@contextmanager
def serve(address: tuple[str, int], metrics: Metrics) -> Iterator[None]:
    """Serve /metrics, and /health, whose code is 200 or 503.

    Raises:
        MachineError: the address cannot be bound.
    """
    registry = CollectorRegistry()
    registry.register(metrics)

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/metrics":
                self._answer(200, generate_latest(registry))
            elif self.path == "/health":
                well = metrics.healthy()
                self._answer(200 if well else 503, b"well\n" if well else b"not well\n")
            else:
                self._answer(404, b"")

        def log_message(self, format: str, *arguments: object) -> None:
            pass

        def _answer(self, code: int, body: bytes) -> None:
            self.send_response(code)
            self.send_header("Content-Type", TYPE)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    try:
        server = PageServer(address, Page)
    except OSError as error:
        raise MachineError(
            f"The metrics page cannot be served: {error.strerror}.",
            where=":".join(map(str, address)),
            fix="Choose another --metrics address.",
        ) from None
    threading.Thread(target=server.serve_forever, args=(0.1,), name="metrics", daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
