"""One simulated run, from the study to the report."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from client.training.workspace import choose_device
from common.errors import ConsiliumError, Interrupted, MachineError, PolicyError, SitesError
from common.study import Study
from server.app import Job, build
from server.run_folder import RunFolder
from simulations.console import Console
from simulations.engines import Engine
from simulations.figures import read_final, write_metrics
from simulations.sites import SimulatedSites, forget_warm_agents
from simulations.start import Start

COMPARISON = "non-private"
LEAST_FREE_BYTES = 64 << 20
NAMED = 5
"""Sites that a message names besides the first, at most."""


@dataclass(frozen=True)
class Simulation:
    """What to simulate.

    Attributes:
        study: the study.
        hospitals: the sites' folders.
        run: the run's folder.
        engine: what carries the messages; `engine_name` is its name in the figures.
        seed: of the repeatable generator; None draws from the operating system.
        resume: go on with an unfinished run.
        report: write report.html at the end.
    """

    study: Study
    hospitals: tuple[Path, ...]
    run: Path
    engine: Engine
    engine_name: str
    seed: int | None
    resume: bool = False
    report: bool = True

    @property
    def sites(self) -> SimulatedSites:
        """The simulated sites."""
        return SimulatedSites(self.study, self.hospitals, self.run, self.seed)

    @property
    def comparison(self) -> Simulation:
        """The same study without privacy, in a folder of its own inside the run."""
        run = self.run / COMPARISON
        study = self.study.without_privacy()
        return replace(
            self, study=study, run=run, resume=(run / "study.toml").exists(), report=False
        )


def simulate(simulation: Simulation, console: Console) -> dict[str, Any]:
    """Run a simulation and return its figures, as in `metrics.json`.

    Raises:
        ConsiliumError: with the reason; what was done until then is kept and can be resumed.
    """
    _prepare_folder(simulation)
    with RunFolder(simulation.run).locked():
        return _run(simulation, console)


def _run(simulation: Simulation, console: Console) -> dict[str, Any]:
    _train(simulation, console)
    non_private = _compare(simulation, console) if _wants_comparison(simulation.study) else None
    metrics = write_metrics(
        RunFolder(simulation.run),
        simulation.sites,
        engine=simulation.engine_name,
        device=_device(simulation),
        non_private=non_private,
    )
    if simulation.report:
        from server.report import build as build_report

        build_report(simulation.run)
    return metrics


def _prepare_folder(simulation: Simulation) -> None:
    folder, sites = RunFolder(simulation.run), simulation.sites
    start = Start.of(sites)
    if simulation.resume:
        folder.reopen(simulation.study)
        start.check_same(sites)
        sites.forget_refusals()
    else:
        folder.create(simulation.study)
        start.write(sites)
    free = shutil.disk_usage(simulation.run).free
    if free < LEAST_FREE_BYTES:
        raise MachineError(
            f"Only {free >> 20} MB are free, which a run may need for its checkpoints and ledgers.",
            where=str(simulation.run),
            fix="Free some space, or choose another folder with --run.",
        )


def _train(simulation: Simulation, console: Console) -> None:
    """Run the server against the sites, unless an earlier attempt got that far."""
    folder, sites = RunFolder(simulation.run), simulation.sites
    if folder.outcome.exists():
        return
    server = build(Job(simulation.study, folder, console))

    def unbegun() -> bool:
        return not simulation.resume and not console.began

    try:
        with console.running(simulation.study), _told_in_full(sites, unbegun):
            simulation.engine.run(server, sites, console.watch, console.stopping.set)
    except ConsiliumError as error:
        if unbegun():
            shutil.rmtree(simulation.run, ignore_errors=True)  # nothing was spent: leave no trace
        raise error
    finally:
        forget_warm_agents()


@contextmanager
def _told_in_full(sites: SimulatedSites, unbegun: Callable[[], bool]) -> Iterator[None]:
    """Say what the sites themselves know: in a simulation nobody is on the other side.

    Args:
        sites: that are simulated.
        unbegun: whether no round has begun yet, so that the run may be started with other sites.
    """
    try:
        yield
    except SitesError as error:
        refusals = [(n, r) for n, r in sites.refusals() if not isinstance(r, Interrupted)]
        if not refusals:
            raise
        name, reason = refusals[0]
        others = ", ".join(f"'{other}'" for other, _ in refusals[1 : 1 + NAMED])
        also = f" ({len(refusals) - 1} more refused: {others})" if others else ""
        fix = f"{reason.fix} {_without(sites, len(refusals)) if unbegun() else ''}".strip()
        raise type(reason)(
            f"Site '{name}': {reason.what}{also}", where=reason.where, fix=fix
        ) from error


def _without(sites: SimulatedSites, refused: int) -> str:
    """Say how to go on with the willing, as a coordinator would, where they are enough for the study."""
    left = len(sites.folders) - refused
    if left < sites.study.federation.min_sites or sites.run.name == COMPARISON:
        return ""  # a comparison has the sites of its run
    whose = "site's folder" if refused == 1 else "sites' folders"
    return f"Or move the {whose} elsewhere, and simulate the others alone."


def _wants_comparison(study: Study) -> bool:
    return study.privacy.enabled and study.evaluation.compare_non_private


def _compare(simulation: Simulation, console: Console) -> dict[str, Any] | None:
    """Run the study without privacy beside it; a site whose policy forbids that is respected."""
    other = simulation.comparison
    console.note("The same study without privacy, for comparison:")
    try:
        _prepare_folder(other)
        _train(other, console)
    except PolicyError as error:
        console.note(f"Not compared: {error}")
        shutil.rmtree(other.run, ignore_errors=True)
        return None
    return read_final(other.run)


def _device(simulation: Simulation) -> str:
    return str(choose_device(simulation.sites.site(0).compute.device))
