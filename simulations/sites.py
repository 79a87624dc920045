"""The simulated hospitals of a run: one agent a site, kept warm within a bounded memory."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from client.agent import Agent, Folders
from client.randomness import Randomness
from client.refusals import Refusals
from client.site import Site, load_site
from client.status import SiteStatus
from client.training.workspace import Progress
from common.errors import ConsiliumError, DataError, StudyError
from common.memory import keep_freed_memory
from common.study import Study

Watch = Callable[[str, int], Progress]
"""Makes the progress of a site in a round."""

WARM_AGENTS = 64
WARM_BYTES = 1 << 30

LOGGED_SITES = 100
"""With more sites than this the logs of what left are not kept: they would take a twentieth of the time."""


@dataclass(frozen=True)
class SimulatedSites:
    """Everything that a worker, in this process or another, needs to act as any of the sites.

    Attributes:
        study: the study, approved by every simulated site.
        folders: each site's folder with its site.toml.
        run: the run's folder; ledgers and states go there.
        seed: of the simulation's repeatable generator; None draws from the operating system.
    """

    study: Study
    folders: tuple[Path, ...]
    run: Path
    seed: int | None

    def agent(self, number: int, watch: Watch | None = None) -> Agent:
        """Return the agent of a site, warm if it was used lately."""
        return _WARM.get(
            (self.run, self.study.fingerprint, number), lambda: self._make(number, watch)
        )

    def site(self, number: int) -> Site:
        """Return a site's own settings."""
        return load_site(self.folders[number])

    def state(self, name: str) -> Path:
        """Return the folder of a site's spool and status."""
        return self.run / "sites" / name

    def statuses(self, names: list[str]) -> dict[str, SiteStatus]:
        """Return what the sites know of themselves, by name; readable here because they are simulated."""
        found = {name: SiteStatus.read(self.state(name)) for name in names}
        return {name: status for name, status in found.items() if status is not None}

    def refusals(self) -> list[tuple[str, ConsiliumError]]:
        """Return the sites that refused, with their reasons in full."""
        kept = []
        for folder in sorted((self.run / "sites").glob("*")):
            error = Refusals(folder).read()
            kept += [(folder.name, error)] if error else []
        return kept

    def forget_refusals(self) -> None:
        """Drop the reasons of an earlier attempt."""
        for folder in (self.run / "sites").glob("*"):
            Refusals(folder).clear()

    def _make(self, number: int, watch: Watch | None) -> Agent:
        torch.set_num_threads(1)
        keep_freed_memory()
        site = self.site(number)
        try:
            return self._open(site, watch)
        except ConsiliumError as error:  # there is no agent yet that could keep its reason
            Refusals(self.state(site.name)).write(error)
            raise

    def _open(self, site: Site, watch: Watch | None) -> Agent:
        folders = Folders(
            ledger=self.run / "ledgers" / f"{site.name}.ledger",
            state=self.state(site.name),
            cache=site.folder / ".consilium" / "cohorts",
            egress=self._egress(site.name),
        )
        return Agent(
            site,
            self.study,
            folders,
            secret=self._secret(site.name),
            randomness=Randomness(self.seed),
            watch=None if watch is None else lambda round_: watch(site.name, round_),
            simulated=True,
        )

    def _egress(self, name: str) -> Path | None:
        """Return the file of a site's egress log."""
        few = len(self.folders) <= LOGGED_SITES
        return self.run / "egress" / f"{name}.egress" if few else None

    def _secret(self, name: str) -> bytes:
        """A simulated site's secret: the same in every run with one seed, so that runs can be compared."""
        return hashlib.sha256(f"simulated site|{self.seed}|{name}".encode()).digest()


class WarmAgents:
    """The agents used last, within a number and an amount of memory."""

    def __init__(self) -> None:
        self._agents: OrderedDict[tuple[Path, str, int], Agent] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: tuple[Path, str, int], make: Callable[[], Agent]) -> Agent:
        """Return the agent of a key, made if it is not there."""
        with self._lock:
            if key not in self._agents:
                self._agents[key] = make()
            self._agents.move_to_end(key)
            while len(self._agents) > 1 and self._too_much():
                self._agents.popitem(last=False)
            return self._agents[key]

    def clear(self) -> None:
        """Forget all agents."""
        with self._lock:
            self._agents.clear()

    def _too_much(self) -> bool:
        held = sum(agent.held_bytes for agent in self._agents.values())
        return len(self._agents) > WARM_AGENTS or held > WARM_BYTES


_WARM = WarmAgents()
forget_warm_agents = _WARM.clear


def find_sites(folder: Path) -> tuple[Path, ...]:
    """Return the site folders below a folder of hospitals, in the order of their names.

    Raises:
        StudyError: the folder is missing.
        DataError: no site.toml is there, or a folder lacks one.
    """
    if not folder.exists():
        raise StudyError(
            "There is no folder of hospitals.", where=str(folder), fix="Check --hospitals."
        )
    if (folder / "site.toml").exists():
        return (folder,)
    inside = [path for path in folder.glob("[!.]*") if path.is_dir()]
    found = sorted((path for path in inside if (path / "site.toml").exists()), key=_natural)
    if not found:
        raise DataError(
            "No site.toml was found.",
            where=f"{folder}/*/site.toml",
            fix="Give a folder with one folder a hospital, or make one: consilium hospitals create DIR.",
        )
    left_out = sorted(set(inside) - set(found))
    if left_out:
        raise DataError(
            f"{len(left_out)} of {len(inside)} folders have no site.toml.",
            where=str(left_out[0] / "site.toml"),
            fix="Write one, or move the folder away: a site that is left out silently is missed by nobody.",
        )
    return tuple(found)


def _natural(path: Path) -> tuple[str | int, ...]:
    """Order hospital-2 before hospital-10."""
    parts = "".join(c if c.isdigit() else f" {c} " for c in path.name).split()
    return tuple(part.zfill(12) if part.isdigit() else part for part in parts)
