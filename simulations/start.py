"""What is checked before a simulation's first message: its sites, and that a resumed run is the same run."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from common.errors import RunError, SitesError
from common.files import write_atomically
from server.members import require_own_names
from simulations.sites import SimulatedSites

FILE = "simulation.json"


@dataclass(frozen=True)
class Start:
    """What a run depends on besides its study.

    Attributes:
        seed: of the repeatable generator, or None for the operating system's.
        sites: names in the order of the folders.
    """

    seed: int | None
    sites: list[str]

    @classmethod
    def of(cls, sites: SimulatedSites) -> Start:
        """Read every site's settings.

        Raises:
            StudyError: a site.toml is missing or malformed.
            SitesError: two sites share a name, or there are fewer than the study needs.
        """
        names = [sites.site(number).name for number in range(len(sites.folders))]
        require_own_names(names)
        least = sites.study.federation.min_sites
        if len(names) < least:
            raise SitesError(
                f"The study needs at least {least} sites, and there are {len(names)}.",
                where="[federation] min_sites",
                fix="Add sites, or lower min_sites.",
            )
        return cls(sites.seed, names)

    def write(self, sites: SimulatedSites) -> None:
        """Keep it in the run's folder."""
        content = json.dumps({"seed": self.seed, "sites": self.sites}) + "\n"
        write_atomically(sites.run / FILE, content, mode=0o644)

    def check_same(self, sites: SimulatedSites) -> None:
        """Compare with what the run was started with.

        Raises:
            RunError: it was started with another seed or with other sites.
        """
        try:
            kept: Any = json.loads((sites.run / FILE).read_text(encoding="utf-8"))
            seed, names = kept["seed"], kept["sites"]
        except FileNotFoundError:
            return self.write(sites)
        except (OSError, ValueError, KeyError, TypeError):
            raise RunError("The file cannot be read.", where=str(sites.run / FILE)) from None
        if names != self.sites:
            raise RunError(
                "The run was started with other sites.",
                where=str(sites.run),
                fix="Resume with the --hospitals that it was started with.",
            )
        if seed != self.seed:
            word = "--system-randomness" if seed is None else f"--seed {seed}"
            raise RunError(
                "The run was started with another generator.",
                where=str(sites.run),
                fix=f"Resume with {word}, or the same weights do not come out.",
            )
        return None
