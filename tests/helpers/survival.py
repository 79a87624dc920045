"""A federation that survives: a run under many kills, and what must be true afterwards."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from chaos import PAUSE, Chaos, charged, health, releases
from processes import Ended, run_fresh
from tiny_hospitals import NAMES, sha256, tiny_study, write_hospitals

from common.study_file import dump_study
from common.supervise import LONGEST_PAUSE
from simulations.rehearsal.federation import Federation, rehearsed

SEED = 5
"""Of sampling and noise; that of the kills is another."""


@dataclass(frozen=True)
class Outcome:
    """What is left when it is over.

    Attributes:
        chaos: what was done.
        deployed, simulated: sha256 of the model after the kills, and of the undisturbed simulation.
        faults: sentences about what is wrong with ledgers, egress logs and witness; none: all is well.
        seconds: that the run took.
    """

    chaos: Chaos
    deployed: str
    simulated: str
    faults: list[str]
    seconds: float


def survive(folder: Path, *, kills: int, rounds: int, seed: int, seconds: float) -> Outcome:
    """Run a study of so many rounds under so many kills.

    Args:
        folder: an empty folder.
        kills, rounds: how many.
        seed: of the kills.
        seconds: until it is given up.
    """
    hospitals = write_hospitals(folder / "hospitals")
    study = tiny_study(
        study={"name": "soak"},
        federation={"rounds": rounds, "min_sites": len(NAMES)},
        privacy={"noise_multiplier": 8.0},
    )
    file = folder / "soak.toml"
    file.write_text(dump_study(study))
    with _short_pauses(), rehearsed(folder / "f", _below(hospitals), seed=SEED) as federation:
        began = time.monotonic()
        run = federation.coordinator.submit(federation.approve(study), "soak")
        chaos = Chaos(federation, run, seed)
        chaos.play(kills, rounds, seconds)
        took = time.monotonic() - began
        faults = [*_unwell(federation), *_uncharged(federation, rounds)]
        faults += _audited(federation, run.path, folder)
        simulated = folder / "simulated"
        _call(
            "simulate",
            file,
            "--hospitals",
            hospitals,
            "--run",
            simulated,
            "--seed",
            SEED,
            cwd=folder,
        )
        return Outcome(
            chaos, sha256(run.model), sha256(simulated / "model.safetensors"), faults, took
        )


def _below(hospitals: Path) -> list[Path]:
    return [hospitals / name for name in NAMES]


@contextmanager
def _short_pauses() -> Iterator[None]:
    os.environ[LONGEST_PAUSE] = str(PAUSE)
    try:
        yield
    finally:
        del os.environ[LONGEST_PAUSE]


def _unwell(federation: Federation) -> Iterator[str]:
    """Once it is over, everybody is healthy again, within a minute."""
    end = time.monotonic() + 60
    for name, hospital in federation.hospitals.items():
        while not ((found := health(hospital.folder)) and found.progress):
            if time.monotonic() > end:
                yield f"{name} is not healthy again: {found}"
                break
            time.sleep(0.2)


def _uncharged(federation: Federation, rounds: int) -> Iterator[str]:
    """Whatever left was charged, in full, and nothing left twice in two forms."""
    for name, hospital in federation.hospitals.items():
        left, paid = releases(hospital.folder), charged(hospital.folder)
        trained = {(round_, digest) for round_, digest in left if round_ <= rounds}
        if len({round_ for round_, _ in trained}) != len(trained) or len(trained) != rounds:
            yield f"{name}: {len(trained)} different answers left in {rounds} rounds"
        for round_, digest in trained:
            if paid.get(digest, 0) < 1:
                yield f"{name}: what left in round {round_} was not charged"


def _audited(federation: Federation, run: Path, cwd: Path) -> Iterator[str]:
    ledgers = [hospital.folder.ledger for hospital in federation.hospitals.values()]
    ended = [_call("audit", "ledger", *ledgers, cwd=cwd)]
    ended += [_call("audit", "witness", *ledgers, "--run", run, cwd=cwd)]
    for hospital in federation.hospitals.values():
        ended += [_call("audit", "egress", hospital.folder.path, cwd=cwd)]
    yield from (each.text for each in ended if each.code)


def _call(*arguments: object, cwd: Path) -> Ended:
    return run_fresh(*arguments, cwd=cwd, timeout=900)
