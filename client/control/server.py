"""Serves the control plane, the standard gRPC health service and the metrics page of a running site."""

# ruff: noqa: N802 -- gRPC names its methods so

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import grpc
from grpc_health.v1 import health_pb2
from grpc_health.v1.health import HealthServicer
from grpc_health.v1.health_pb2_grpc import add_HealthServicer_to_server

from client.control.budget import RememberedBudget
from client.control.health import Health, Probe
from client.control.metrics import serve_metrics
from client.control.monitor import MachineChecks, Monitor
from client.control.relay import Relay
from client.control.running import Running
from client.control.service import WATCHERS, SiteControl
from client.control.sockets import OwnSocket
from client.control.tls import ClientsOnly, server_credentials
from client.site import Site
from client.site_folder import SiteFolder
from common.errors import MachineError
from common.proto.site_control_pb2_grpc import add_SiteControlServicer_to_server

_THREADS = WATCHERS + 8
_LIMITS = (
    ("grpc.max_receive_message_length", 1 << 16),
    ("grpc.max_concurrent_streams", 64),
    ("grpc.max_metadata_size", 1 << 14),
    ("grpc.keepalive_time_ms", 30_000),  # a caller that vanished gives its place back
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.so_reuseport", 0),
)


class ProbeServicer(HealthServicer):  # type: ignore[misc]
    """The standard health service; `Check` looks anew, so that a stuck monitor never leaves an old "healthy".

    Args:
        monitor: knows.
    """

    def __init__(self) -> None:
        super().__init__()
        self.monitor: Monitor | None = None

    def Check(
        self, request: health_pb2.HealthCheckRequest, context: grpc.ServicerContext
    ) -> health_pb2.HealthCheckResponse:
        """Answer for one service name."""
        if self.monitor is not None:
            self.tell(self.monitor.health())
        return super().Check(request, context)

    def tell(self, health: Health) -> None:
        """Note the health under each service name; none: whether there is progress."""
        for name, probe in {"": Probe.PROGRESS, **{str(each): each for each in Probe}}.items():
            response = health_pb2.HealthCheckResponse
            serving = health.passes(probe)
            self.set(name, response.SERVING if serving else response.NOT_SERVING)


class ControlServer:
    """The running control plane.

    Attributes:
        address: where it listens, as `consilium site status` takes it: a socket's path, or host:port.
        metrics: host:port of the Prometheus page; empty without one.
        monitor: knows the site's health.
        budget: knows what was spent.
    """

    def __init__(self, running: Running, *, site: Site, folder: SiteFolder) -> None:
        self._parts = ExitStack()
        try:
            self._start(running, site, folder)
        except BaseException:
            self._parts.close()
            raise

    def stop(self, grace: float = 2.0) -> None:
        """Answer what was asked, let go of watchers, and remove the socket."""
        self._service.end()
        self._server.stop(grace).wait()
        self._parts.close()

    def _start(self, running: Running, site: Site, folder: SiteFolder) -> None:
        folder.private.mkdir(parents=True, exist_ok=True, mode=0o700)
        probes = ProbeServicer()
        stall = 60.0 * site.service.stall_minutes
        self.monitor = Monitor(running.state, stall, MachineChecks(site, folder), probes.tell)
        probes.monitor = self.monitor
        self.budget = RememberedBudget(running.budget, folder.ledger)
        self._service = SiteControl(running, folder, self.monitor, self.budget)
        self._server = grpc.server(
            ThreadPoolExecutor(_THREADS, "control"),
            interceptors=() if site.service.control == "unix" else (ClientsOnly(),),
            options=_LIMITS,
            maximum_concurrent_rpcs=64,
        )
        add_SiteControlServicer_to_server(self._service, self._server)
        add_HealthServicer_to_server(probes, self._server)
        self.address = self._listen(site.service.control, folder)
        self._server.start()
        self.metrics = ""
        if site.service.metrics is not None:
            page = serve_metrics(running.state, self.monitor, self.budget, site.service.metrics)
            self._parts.callback(page.close)
            self.metrics = page.address
        self.monitor.start()
        self._parts.callback(self.monitor.stop)

    def _listen(self, control: str, folder: SiteFolder) -> str:
        if control != "unix":
            return self._listen_tls(control, folder)
        own = OwnSocket(folder.control_socket)
        self._parts.callback(own.close)
        self._parts.callback(self._server.stop, 0)
        self._server.add_insecure_port(f"unix:{own.inner}")
        self._parts.callback(Relay(own.door, own.inner).close)
        return str(folder.control_socket)

    def _listen_tls(self, address: str, folder: SiteFolder) -> str:
        credentials = server_credentials(folder.tls)
        self._parts.callback(self._server.stop, 0)
        try:
            port = self._server.add_secure_port(address, credentials)
        except RuntimeError:
            raise MachineError(
                f"The control plane cannot listen on {address}.",
                where="[service] control",
                fix="See that no other program uses the port and that the host is one of this machine's addresses.",
            ) from None
        host, _, _ = address.rpartition(":")
        return f"{host}:{port}"


def serve(running: Running, *, site: Site, folder: SiteFolder) -> ControlServer:
    """Start the control plane of a site, where `[service] control` says, and its metrics page, if it has one.

    Args:
        running: the service.
        site: its site.toml.
        folder: its private files.

    Raises:
        RunError: another service of the site listens already.
        MachineError: a port, a folder or a certificate cannot be used.
    """
    return ControlServer(running, site=site, folder=folder)
