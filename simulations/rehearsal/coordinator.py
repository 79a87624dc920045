"""The coordinator of a rehearsal, driven by its own commands."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from server.run_folder import RunFolder
from simulations.rehearsal.processes import Service, call, free_ports, wait_until

START_SECONDS = 90.0


@dataclass
class Coordinator:
    """A coordinator's folder and its service.

    Attributes:
        folder: as `consilium server init` made it.
        port: where hospitals reach it.
        service: `consilium server start`.
        host: of this machine, as hospitals call it.
    """

    folder: Path
    port: int
    service: Service
    host: str = "127.0.0.1"

    @classmethod
    def make(cls, folder: Path, name: str = "rehearsal", *, host: str = "127.0.0.1") -> Coordinator:
        """Make a coordinator in a new folder."""
        port, internal = free_ports(2)
        call(
            *("server", "init", folder, "--name", name, "--address", f"{host}:{port}", "--yes"),
            *("--internal-port", internal),
        )
        service = Service(["server", "start", folder], folder / "service.log")
        return cls(folder, port, service, host)

    @property
    def address(self) -> str:
        """What hospitals call."""
        return f"{self.host}:{self.port}"

    @property
    def certificates(self) -> Path:
        """What hospitals check the server's certificate with."""
        return self.folder / "tls" / "ca.crt"

    def start(self) -> None:
        """Start the service and wait until it answers."""
        self.service.start()
        wait_until(
            self.answers,
            "The coordinator's start",
            START_SECONDS,
            log=self.service.log,
            service=self.service,
        )

    def answers(self) -> bool:
        """Whether the SuperLink answers the coordinator's own commands."""
        from server.deployment.control import nodes_if_running
        from server.deployment.folder import open_folder

        return nodes_if_running(open_folder(self.folder)) is not None

    def sites(self) -> list[dict[str, Any]]:
        """Return the enrolled sites as `consilium server sites` lists them."""
        found: list[dict[str, Any]] = json.loads(call("server", "sites", self.folder, "--json"))
        return found

    def online(self) -> set[str]:
        """Return the names of the sites that are connected."""
        return {site["name"] for site in self.sites() if site["standing"] == "online"}

    def enrol(self, name: str, public_key: Path) -> None:
        """Enrol a hospital's key."""
        call("server", "enrol", self.folder, public_key, "--name", name, "--yes")

    def submit(self, study: Path, run: str) -> RunFolder:
        """Submit a study."""
        call("server", "submit", study, self.folder, "--run", run)
        return RunFolder(self.folder / "runs" / run)

    def resume(self, run: str) -> None:
        """Go on with a run."""
        call("server", "resume", self.folder, run)

    def stop(self) -> int:
        """Stop the service."""
        return self.service.stop()
