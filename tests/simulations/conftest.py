"""Runs of the tiny study in this process."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tiny_hospitals import folder_in_memory, tiny_study, write_hospitals

from common.study import Study
from simulations.console import Console
from simulations.engines import Engine, InProcess
from simulations.simulate import Simulation, simulate
from simulations.sites import find_sites


@pytest.fixture(scope="session")
def memory() -> Iterator[Path]:
    """A fast folder for the session."""
    with folder_in_memory() as folder:
        yield folder


@pytest.fixture
def tmp_path(memory: Path) -> Path:
    """A fast folder for one test."""
    return Path(tempfile.mkdtemp(dir=memory))


@pytest.fixture(scope="session")
def hospitals(memory: Path) -> Path:
    """Three tiny hospitals."""
    return write_hospitals(memory / "hospitals")


class Runner:
    """Runs simulations, each in a folder of its own."""

    def __init__(self, folder: Path, hospitals: Path) -> None:
        self.folder = folder
        self.hospitals = hospitals
        self.count = 0

    def __call__(
        self,
        study: Study | None = None,
        *,
        run: Path | None = None,
        hospitals: Path | None = None,
        engine: Engine | None = None,
        seed: int | None = 7,
        resume: bool = False,
    ) -> Path:
        """Run and return the run's folder."""
        self.count += 1
        job = Simulation(
            study=study or tiny_study(),
            hospitals=find_sites(hospitals or self.hospitals),
            run=run or self.folder / f"run-{self.count}",
            engine=engine or InProcess(1),
            engine_name="in-process",
            seed=seed,
            resume=resume,
            report=False,
        )
        self.metrics: dict[str, Any] = simulate(job, Console(quiet=True))
        return job.run


@pytest.fixture
def run(tmp_path: Path, hospitals: Path) -> Callable[..., Path]:
    """The runner: `run(study, seed=…)` returns the folder of a finished run."""
    return Runner(tmp_path, hospitals)


@pytest.fixture(scope="session")
def finished(memory: Path, hospitals: Path) -> Path:
    """The folder of one finished private run with seed 7; not to be changed."""
    return Runner(memory, hospitals)(run=memory / "finished")
