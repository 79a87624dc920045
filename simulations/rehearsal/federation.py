"""A coordinator and its hospitals, set up, started, run and stopped together."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.errors import RunError
from common.study import Study
from common.study_file import dump_study
from server.run_folder import RunFolder
from simulations.rehearsal.coordinator import Coordinator
from simulations.rehearsal.hospital import Hospital
from simulations.rehearsal.processes import wait_until

ONLINE_SECONDS = 120.0
NOBODYS: Mapping[str, Mapping[str, str]] = {}


@dataclass
class Federation:
    """Everybody in a rehearsal.

    Attributes:
        folder: of the rehearsal.
        coordinator: the coordinator.
        hospitals: by name.
    """

    folder: Path
    coordinator: Coordinator
    hospitals: dict[str, Hospital]

    @classmethod
    def make(
        cls,
        folder: Path,
        originals: Sequence[Path],
        *,
        seed: int,
        environments: Mapping[str, Mapping[str, str]] = NOBODYS,
    ) -> Federation:
        """Make a coordinator and a site of each folder of data.

        Args:
            folder: where all of it goes; must not exist, or be empty.
            originals: folders with a site.toml.
            seed: of sampling and noise.
            environments: further variables of "coordinator", or of a hospital by the name of its folder.
        """
        coordinator = Coordinator.make(folder / "coordinator")
        coordinator.service.environment = environments.get("coordinator", {})
        try:
            coordinator.start()
            joined = [
                Hospital.join(path, folder / "hospitals" / path.name, coordinator, seed=seed)
                for path in originals
            ]
        except BaseException:
            coordinator.stop()
            raise
        for hospital in joined:
            hospital.service.environment = environments.get(hospital.folder.path.name, {})
        return cls(folder, coordinator, {each.name: each for each in joined})

    def start(self) -> None:
        """Start the hospitals and wait until the coordinator sees them all."""
        for hospital in self.hospitals.values():
            hospital.start()
        self.wait_online(set(self.hospitals))

    def wait_online(self, names: set[str]) -> None:
        """Wait until the coordinator sees some sites."""
        wait_until(
            lambda: names <= self.coordinator.online(), "The hospitals' start", ONLINE_SECONDS
        )

    def approve(self, study: Study) -> Path:
        """Have every hospital approve a study; return its file."""
        path = self.folder / f"{study.name}.toml"
        path.write_text(dump_study(study), encoding="utf-8")
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda hospital: hospital.approve(path), self.hospitals.values()))
        return path

    def follow(
        self,
        run: RunFolder,
        seconds: float,
        each: Callable[[dict[str, Any]], None] = lambda _: None,
    ) -> None:
        """Wait for a run to end, showing its state to `each` as it changes.

        Raises:
            RunError: it failed, or did not end in time.
        """
        end, before = time.monotonic() + seconds, None
        while time.monotonic() < end:
            now = state_of(run)
            if now != before:
                each(now)
                before = now
            if now.get("phase") == "finished":
                return
            if now.get("phase") == "failed":
                raise RunError(f"The run failed: {now.get('problem')}", where=str(run.path))
            time.sleep(0.1)
        raise RunError(f"The run did not end within {seconds:.0f} seconds.", where=str(before))

    def stop(self) -> None:
        """Stop everybody, the hospitals first."""
        for hospital in self.hospitals.values():
            if hospital.service.process is not None:
                hospital.service.process.terminate()
        for hospital in self.hospitals.values():
            hospital.stop()
        self.coordinator.stop()

    def kill(self) -> None:
        """Leave nothing behind, however the others feel about it."""
        for service in [
            *(each.service for each in self.hospitals.values()),
            self.coordinator.service,
        ]:
            service.kill()


def state_of(run: RunFolder) -> dict[str, Any]:
    """Return what a run says of itself; empty before it says anything."""
    try:
        content: dict[str, Any] = json.loads((run.path / "state.json").read_text())
        return content
    except (OSError, ValueError):
        return {}


@contextmanager
def rehearsed(
    folder: Path,
    originals: Sequence[Path],
    *,
    seed: int,
    environments: Mapping[str, Mapping[str, str]] = NOBODYS,
) -> Iterator[Federation]:
    """Set up and start a federation; stop it at the end, whatever happens."""
    if folder.exists() and any(folder.iterdir()):
        raise RunError(
            "The rehearsal's folder exists already.",
            where=str(folder),
            fix="Choose another with --run, or remove it.",
        )
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    federation = Federation.make(folder, originals, seed=seed, environments=environments)
    try:
        federation.start()
        yield federation
    finally:
        try:
            federation.stop()
        finally:
            federation.kill()


def keep_run(run: RunFolder, target: Path) -> None:
    """Copy a finished run out of the coordinator's folder."""
    shutil.copytree(run.path, target, dirs_exist_ok=True)
