"""Runs a ServerApp against simulated sites: in this process, or with Flower's Ray engine."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from flwr.app import Context, RecordDict
from flwr.serverapp import ServerApp

from client.app import build as build_client
from common.errors import MachineError
from common.memory import keep_freed_memory
from simulations.grid import RUN_ID, SERVER_NODE, InProcessGrid
from simulations.sites import SimulatedSites, Watch


def _nobody() -> None:
    """Stop nobody."""


class Engine(Protocol):
    """Carries a run."""

    def run(
        self,
        server: ServerApp,
        sites: SimulatedSites,
        watch: Watch | None,
        stop: Callable[[], None] = _nobody,
    ) -> None:
        """Run a ServerApp to its end; its errors come through.

        Args:
            server: the coordinator.
            sites: who answers it.
            watch: hears about the steps of every site.
            stop: called once no answer is wanted any more; ends the rounds that are still in work.
        """
        ...


@dataclass(frozen=True)
class InProcess:
    """The default engine.

    Attributes:
        workers: sites that train at the same time, one thread each.
    """

    workers: int

    def run(
        self,
        server: ServerApp,
        sites: SimulatedSites,
        watch: Watch | None,
        stop: Callable[[], None] = _nobody,
    ) -> None:
        """Run in the threads of this process."""
        keep_freed_memory()
        client = build_client(
            lambda context: sites.agent(int(context.node_config["partition-id"]), watch)
        )
        with quiet():
            grid = InProcessGrid(client, len(sites.folders), self.workers)
            try:
                server(grid, Context(RUN_ID, SERVER_NODE, {}, RecordDict(), {}))
            finally:
                stop()
                grid.close()


@dataclass(frozen=True)
class Ray:
    """Flower's own simulation, for many machines.

    Attributes:
        workers: CPUs that Ray may take.
        gpus_per_site: share of a GPU that a site gets.
    """

    workers: int
    gpus_per_site: float = 0.0

    def run(
        self,
        server: ServerApp,
        sites: SimulatedSites,
        watch: Watch | None,
        stop: Callable[[], None] = _nobody,
    ) -> None:
        """Run in Ray's actors; steps inside a round are not watched."""
        del watch, stop
        _no_telemetry()
        try:
            import ray  # noqa: F401
            from flwr.simulation import run_simulation
        except ImportError:
            raise MachineError(
                "Flower's Ray engine is not installed.",
                fix="Install it: pip install 'consilium[ray]'.",
            ) from None
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        with quiet(), _pythonpath_restored():
            run_simulation(
                server_app=server,
                client_app=build_client(
                    lambda context: sites.agent(int(context.node_config["partition-id"]))
                ),
                num_supernodes=len(sites.folders),
                backend_config={
                    "init_args": {
                        "num_cpus": self.workers,
                        "log_to_driver": False,
                        "logging_level": logging.ERROR,
                    },
                    "client_resources": {"num_cpus": 1, "num_gpus": self.gpus_per_site},
                },
            )


@contextmanager
def _pythonpath_restored() -> Iterator[None]:
    """Flower's engine puts all of sys.path into PYTHONPATH, and so into every process started later; undo that."""
    before = os.environ.get("PYTHONPATH")
    try:
        yield
    finally:
        os.environ.pop("PYTHONPATH", None)
        if before is not None:
            os.environ["PYTHONPATH"] = before


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Flower from phoning home and, for this while, logs from writing over the progress."""
    _no_telemetry()
    # A site's refusals are kept in its state folder, from where the simulation tells them once.
    loggers = [logging.getLogger(name) for name in ("flwr", "client")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _no_telemetry() -> None:
    """Flower reads these when it is imported."""
    os.environ["FLWR_TELEMETRY_ENABLED"] = "0"
    os.environ["FLWR_DISABLE_UPDATE_CHECK"] = "1"
