"""The agent of a hospital as a process: `python -m client.service.agent_process SITE`.

It takes tasks from all its SuperNodes, answers those of approved studies in its own warm memory, and serves the
control plane. SIGTERM ends it cleanly: no new task, the training in hand stops at its next step, its charge is settled
and the coordinator is told.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from client.service.agents import WarmAgents
from client.service.desk import Desk, watch
from client.service.executor import Runtime
from client.service.running import Running
from client.service.state import Link, ServiceState
from client.service.studies import Studies
from client.service.worker import Worker
from client.site import Connection, Site, load_site
from client.site_folder import SiteFolder
from common.errors import ConsiliumError, MachineError, StudyError

log = logging.getLogger(__name__)

_SETTLE_SECONDS = 60.0
"""How long a training in hand may take to reach its next step and to tell the coordinator."""


class AgentService:
    """Everything that runs in the agent's process but the control plane.

    Args:
        site: the hospital.
        testing_seed: makes everything repeatable, as in a simulation, and protects nobody.

    Attributes:
        running: what the control plane sees.
    """

    def __init__(self, site: Site, testing_seed: int | None = None) -> None:
        folder = SiteFolder(site.folder)
        if not site.connections:
            raise StudyError(
                "The site knows no coordinator.",
                where=str(site.file),
                fix="Add [connection] with server = 'host:port', or run 'consilium site init'.",
            )
        links = {name: Link(name, each.server) for name, each in site.connections.items()}
        self._state = ServiceState(site.name, links)
        studies = Studies(site, folder)
        self.running = Running(site, folder, self._state, studies)
        self._agents = WarmAgents(
            site,
            folder,
            watch=watch(self._state),
            approved=studies.require_study,
            testing_seed=testing_seed,
        )
        self._stop = threading.Event()
        desk = Desk(studies, self._agents, self._state, self._stop.is_set)
        secret = _superexec_secret(folder)
        self._workers = [
            self._worker(name, each, Runtime(each, secret), desk)
            for name, each in site.connections.items()
        ]

    def start(self) -> None:
        """Begin to take tasks."""
        for worker in self._workers:
            worker.start()
        self._state.tell("started", "The site's agent has started.")

    def stop(self) -> None:
        """Take no new task, end what trains, and wait until the coordinators were told."""
        self._state.tell("stopping", "The site's agent is stopping.")
        self._state.update(lambda now: replace(now, stopping=True))
        self._stop.set()
        self._agents.stop()
        for worker in self._workers:
            worker.join(_SETTLE_SECONDS)

    def _worker(self, name: str, connection: Connection, runtime: Runtime, desk: Desk) -> Worker:
        return Worker(
            name,
            connection.server,
            runtime,
            desk.answer,
            self._state,
            poll_seconds=self.running.site.service.poll_seconds,
            idle=lambda: self._state.snapshot().paused,
            stop=self._stop,
        )


def main(folder: Path, *, testing_seed: int | None = None) -> int:
    """Run the agent of a site until SIGTERM or SIGINT.

    Raises:
        ConsiliumError: it cannot start.
    """
    from client.control.server import serve

    site = load_site(folder)
    if testing_seed is not None:
        _compute_as_a_simulation()
        log.warning(
            "TESTING: all randomness comes from seed %d. Nothing that leaves is protected; the ledger says 'fixed'.",
            testing_seed,
        )
    with _signals() as ended:
        service = AgentService(site, testing_seed)
        control = serve(service.running, site=site, folder=SiteFolder(site.folder))
        try:
            service.start()
            ended.wait()
            log.info("stopping")
            service.stop()
        finally:
            control.stop()
    return 0


@contextmanager
def _signals() -> Iterator[threading.Event]:
    """Set the event at SIGTERM or SIGINT; at the second one, end at once."""
    ended = threading.Event()

    def hear(number: int, _: object) -> None:
        if ended.is_set():
            os._exit(128 + number)
        ended.set()

    before = {each: signal.signal(each, hear) for each in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield ended
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _superexec_secret(folder: SiteFolder) -> bytes:
    try:
        secret = folder.superexec_secret.read_bytes()
    except OSError as error:
        raise MachineError(
            "The secret that agent and SuperNode share cannot be read.",
            where=str(folder.superexec_secret),
            fix="Run 'consilium site init', or copy the file from the SuperNode's host (mode 600).",
        ) from error
    if not secret:
        raise MachineError(
            "The secret that agent and SuperNode share is empty.",
            where=str(folder.superexec_secret),
        )
    return secret


def _compute_as_a_simulation() -> None:
    """One thread, as a simulation has it: the order of sums changes their last bits."""
    import torch

    torch.set_num_threads(1)


def _command() -> int:
    parser = argparse.ArgumentParser(prog="python -m client.service.agent_process")
    parser.add_argument("site", type=Path)
    parser.add_argument("--testing-seed", type=int, default=None)
    given = parser.parse_args()
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr
    )
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        return main(given.site, testing_seed=given.testing_seed)
    except ConsiliumError as error:
        log.error("%s", error)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(_command())
