"""Several hospitals' ledgers: what a patient of two of them has spent."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from client.audit.ledger_report import audit
from client.guard.ledger import Ledger
from common.privacy.accountants import epsilon_pld
from common.privacy.events import GaussianEvent


def spend(folder: Path, site: str, steps: int) -> GaussianEvent:
    event = GaussianEvent("poisson", Fraction(1, 8), 2.0, 1.0, steps)
    ledger = Ledger(folder / f"{site}.ledger", site, site)
    terms = {
        "study": "lung",
        "fingerprint": "f" * 64,
        "round": 1,
        "delta": 1e-3,
        "randomness": "system",
    }
    made = ledger.reserve(site, group="train/1", event=event, **terms)
    ledger.settle(made, steps=steps, released="c" * 64)
    return event


def test_the_worst_two_of_three_are_composed(tmp_path: Path) -> None:
    events = [spend(tmp_path, f"hospital-{i}", steps) for i, steps in enumerate((20, 90, 50))]
    two, three = [note for note in audit([tmp_path]).notes if "known to" in note]
    assert f"known to 2 of these 3 hospitals: ε at most {epsilon_pld(events[1:], 1e-3):.3f}" in two
    assert f"ε at most {epsilon_pld(events, 1e-3):.3f}" in three


def test_one_hospital_shares_patients_with_none(tmp_path: Path) -> None:
    spend(tmp_path, "hospital-1", 10)
    assert not [note for note in audit([tmp_path]).notes if "known to" in note]
