"""A hospital of a rehearsal, driven by its own commands."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

import tomli_w

from client.site_folder import SiteFolder
from simulations.rehearsal.coordinator import Coordinator
from simulations.rehearsal.processes import Service, call, free_ports


@dataclass
class Hospital:
    """A hospital's folder and its service.

    Attributes:
        name: the site's name.
        folder: with site.toml and the private folder.
        service: `consilium site start`.
    """

    name: str
    folder: SiteFolder
    service: Service

    @classmethod
    def join(cls, original: Path, folder: Path, coordinator: Coordinator, *, seed: int) -> Hospital:
        """Make a site of the data of another folder, and enrol it.

        The other folder is not touched: its files are linked.

        Args:
            original: a folder with a site.toml and data.
            folder: the new site's, which must not exist.
            coordinator: whom it answers.
            seed: of sampling and noise; a rehearsal protects nobody, so that it may be repeated.
        """
        settings = tomllib.loads((original / "site.toml").read_text())
        name = settings["site"]["name"]
        _init(folder, name, original, coordinator)
        for path in original.iterdir():
            if path.name not in (".consilium", "site.toml"):
                (folder / path.name).symlink_to(path.resolve())
        _write(folder, settings, coordinator)
        site = SiteFolder(folder)
        coordinator.enrol(name, site.node_key_public)
        arguments = ["site", "start", folder, "--testing-seed", seed]
        return cls(name, site, Service(arguments, folder / "service.log"))

    def approve(self, study: Path) -> None:
        """Approve a study file."""
        call("site", "approve", self.folder.path, study, "--yes")

    def start(self) -> None:
        """Start the service."""
        self.service.start()

    def stop(self) -> int:
        """Stop the service."""
        return self.service.stop()


def _init(folder: Path, name: str, original: Path, coordinator: Coordinator) -> None:
    """Make keys and secrets; what site.toml says about data is replaced afterwards."""
    call(
        *("site", "init", folder, "--name", name, "--yes"),
        *("--server", f"127.0.0.1:{coordinator.port}", "--certificates", coordinator.certificates),
        *("--data-kind", "series", "--data-path", original.resolve(), "--declared-patients", 100),
    )


def _write(folder: Path, settings: dict[str, object], coordinator: Coordinator) -> None:
    """Write site.toml: the original's settings and the way to the coordinator."""
    runtime = f"127.0.0.1:{free_ports(1)[0]}"
    connection = {
        "server": f"127.0.0.1:{coordinator.port}",
        "certificates": str(coordinator.certificates.resolve()),
        "runtime": runtime,
    }
    service = {"poll_seconds": 0.05}
    content = {**settings, "connection": connection, "service": service}
    (folder / "site.toml").write_text(tomli_w.dumps(content), encoding="utf-8")
