"""The whole deployment as real processes: proxy, SuperLink, SuperNodes, agents, over TLS with node keys."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from processes import run_fresh
from tiny_hospitals import NAMES, sha256, tiny_study, write_hospitals, write_study

from simulations.rehearsal.federation import Federation, rehearsed

SEED = 5

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def hospitals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three tiny hospitals."""
    return write_hospitals(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def federation(tmp_path_factory: pytest.TempPathFactory, hospitals: Path) -> Iterator[Federation]:
    """A coordinator and three hospitals, running."""
    originals = [hospitals / name for name in NAMES]
    with rehearsed(tmp_path_factory.mktemp("deployed"), originals, seed=SEED) as started:
        yield started


def test_real_hospitals_and_the_simulation_give_the_same_weights(
    federation: Federation, hospitals: Path, tmp_path: Path
) -> None:
    study = tiny_study(study={"name": "same"})
    path = write_study(tmp_path / "same.toml", study={"name": "same"})
    run = federation.coordinator.submit(federation.approve(study), "same")
    federation.follow(run, 120)

    simulated = run_fresh(
        *("simulate", path, "--hospitals", hospitals, "--run", tmp_path / "run", "--seed", SEED),
        cwd=tmp_path,
    )

    assert simulated.code == 0
    assert sha256(run.model) == sha256(tmp_path / "run" / "model.safetensors")
    assert [line["failures"] for line in run.read_rounds()] == [{}, {}, {}]
    assert (run.path / "report.html").exists()


def test_ledger_and_egress_log_of_a_real_site_verify(
    federation: Federation, tmp_path: Path
) -> None:
    site = federation.hospitals[NAMES[0]].folder
    ledger = run_fresh("audit", "ledger", site.ledger, cwd=tmp_path)
    egress = run_fresh("audit", "egress", site.path, "--json", cwd=tmp_path)
    assert (ledger.code, egress.code) == (0, 0)
    assert json.loads(egress.text)
