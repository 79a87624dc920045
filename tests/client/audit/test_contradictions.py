"""Ledgers that are sound one by one, and give the same patients two budgets together."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from client.audit.cli import app
from client.guard.ledger import Ledger
from client.guard.sources import DataSource, location
from common.privacy.events import GaussianEvent

EVENT = GaussianEvent("poisson", Fraction(1, 8), 1.2, 1.0, 10)
SOURCE = DataSource("ct", "dicom", "", location(Path("/data/ct")), "c" * 32, "claimed")


def spent(path: Path, site: str, source: DataSource | None, randomness: Any = "system") -> Path:
    ledger = Ledger(path, site, site)
    if source is not None:
        ledger.record_source(source)
    made = ledger.reserve(
        "1",
        study="lung",
        fingerprint="f",
        round=1,
        group="train/1",
        event=EVENT,
        delta=1e-3,
        randomness=randomness,
    )
    ledger.settle(made, steps=10, released="a" * 64)
    return path


def run(*arguments: object) -> tuple[int, dict[str, Any]]:
    result = CliRunner().invoke(app, ["ledger", *map(str, arguments), "--json"])
    return result.exit_code, json.loads(result.stdout)


@pytest.mark.parametrize("source", [SOURCE, None])
def test_two_ledgers_of_one_population(tmp_path: Path, source: DataSource | None) -> None:
    other = source and replace(source, location=location(Path("/else")), claim=None)
    first = spent(tmp_path / "a.ledger", "north", source)
    spent(tmp_path / "b.ledger", "north", other)
    code, said = run(tmp_path)
    assert (code, said["verdict"]) == (4, "tampered")
    assert "Two ledgers for one population: 'north'" in said["notes"][0]
    assert run(first)[0] == 0


def test_a_copy_of_a_ledger_is_a_second_ledger(tmp_path: Path) -> None:
    first = spent(tmp_path / "a.ledger", "north", SOURCE)
    shutil.copy(first, tmp_path / "b.ledger")
    assert run(tmp_path)[0] == 4


def test_two_ledgers_for_one_data_source(tmp_path: Path) -> None:
    spent(tmp_path / "a.ledger", "north", SOURCE)
    spent(tmp_path / "b.ledger", "south", replace(SOURCE, claim=None, standing="not writable"))
    code, said = run(tmp_path)
    assert code == 4
    assert "Two ledgers for one data source: 'ct'" in said["notes"][0]
    assert "a.ledger" in said["notes"][0]
    assert "b.ledger" in said["notes"][0]


def test_sites_and_simulations_contradict_nothing(tmp_path: Path) -> None:
    spent(tmp_path / "a.ledger", "north", SOURCE)
    spent(tmp_path / "b.ledger", "south", replace(SOURCE, location="0", claim="d" * 32))
    simulated = replace(SOURCE, claim=None, standing="simulated")
    spent(tmp_path / "c.ledger", "north", simulated)
    spent(tmp_path / "d.ledger", "north", simulated)
    spent(tmp_path / "e.ledger", "north", None, "fixed")
    assert run(tmp_path)[0] == 0


def test_one_file_under_two_names_is_one_ledger(tmp_path: Path) -> None:
    first = spent(tmp_path / "a.ledger", "north", SOURCE)
    (tmp_path / "link.ledger").symlink_to(first)
    code, said = run(first, tmp_path, tmp_path / ".." / tmp_path.name / "a.ledger")
    assert (code, len(said["ledgers"])) == (0, 1)
