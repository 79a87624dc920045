"""A hospital of a rehearsal, driven by its own commands."""

from __future__ import annotations

import shutil
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
        service: `consilium site start`; of a split site the agent's half.
        supernode: the other half of a split site.
    """

    name: str
    folder: SiteFolder
    service: Service
    supernode: Service | None = None

    @classmethod
    def join(
        cls,
        original: Path,
        folder: Path,
        coordinator: Coordinator,
        *,
        seed: int,
        runtime: str | None = None,
    ) -> Hospital:
        """Make a site of the data of another folder, and enrol it.

        The other folder is not touched: its files are linked.

        Args:
            original: a folder with a site.toml and data.
            folder: the new site's, which must not exist.
            coordinator: whom it answers.
            seed: of sampling and noise; a rehearsal protects nobody, so that it may be repeated.
            runtime: host:port of the SuperNode's machine, for a split site; its folder lies beside the site's.
        """
        settings = tomllib.loads((original / "site.toml").read_text())
        name = settings["site"]["name"]
        dmz = folder.parent / f"{folder.name}-dmz"
        split = ("--dmz", dmz, "--runtime", runtime) if runtime else ()
        _init(folder, name, original, coordinator, *split)
        for path in original.iterdir():
            if path.name not in (".consilium", "site.toml"):
                (folder / path.name).symlink_to(path.resolve())
        _write(folder, settings, coordinator, runtime)
        site = SiteFolder(folder)
        coordinator.enrol(name, site.node_key_public)
        arguments = ["site", "start", folder, "--testing-seed", seed]
        if runtime is None:
            return cls(name, site, Service(arguments, folder / "service.log"))
        shutil.copy(folder / "site.toml", dmz)
        agent = Service([*arguments, "--only", "agent"], folder / "service.log")
        supernode = Service(["site", "start", dmz, "--only", "supernode"], dmz / "service.log")
        return cls(name, site, agent, supernode)

    def approve(self, study: Path) -> None:
        """Approve a study file."""
        call("site", "approve", self.folder.path, study, "--yes")

    def start(self) -> None:
        """Start the service."""
        for each in self.services:
            each.start()

    def stop(self) -> int:
        """Stop the service; return the exit code of its agent's half."""
        code = self.service.stop()
        if self.supernode is not None:
            self.supernode.stop()
        return code

    @property
    def services(self) -> list[Service]:
        """The service, or its two halves."""
        return [self.service] if self.supernode is None else [self.supernode, self.service]


def _init(folder: Path, name: str, original: Path, coordinator: Coordinator, *more: object) -> None:
    """Make keys and secrets; what site.toml says about data is replaced afterwards."""
    call(
        *("site", "init", folder, "--name", name, "--yes"),
        *("--server", coordinator.address, "--certificates", coordinator.certificates),
        *("--data-kind", "series", "--data-path", original.resolve(), "--declared-patients", 100),
        *more,
    )


def _write(
    folder: Path, settings: dict[str, object], coordinator: Coordinator, runtime: str | None
) -> None:
    """Write site.toml: the original's settings and the way to the coordinator."""
    connection = {
        "server": coordinator.address,
        "certificates": str(coordinator.certificates.resolve()),
        "runtime": runtime or f"127.0.0.1:{free_ports(1)[0]}",
    }
    if runtime:
        connection["runtime_certificates"] = ".consilium/tls/ca.crt"
    service = {"poll_seconds": 0.05}
    content = {**settings, "connection": connection, "service": service}
    (folder / "site.toml").write_text(tomli_w.dumps(content), encoding="utf-8")
