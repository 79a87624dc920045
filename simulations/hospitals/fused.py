"""The fused archive: a chest film, an ECG and a record of each patient, and an admission that all explain.

The model is ours. Three things make an admission within a year likelier, and each shows in one kind of data alone: a
large heart on the film, early beats from the ventricle in the ECG, and age, blood pressure and peptide in the record.
Whoever sees one of them knows a third. Many patients lack a film or an ECG, and one hospital has no ECGs at all.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from simulations.hospitals.ecg import RECORDERS, write_record
from simulations.hospitals.ecg_waves import draw_heart, draw_signal
from simulations.hospitals.plan import Archive, HospitalPlan

NAME = "fused"
SIDE = 32
SECONDS = 5.0
MOST_FILMS = 2
NO_FILM = (0.10, 0.20, 0.10, 0.40)
NO_ECG = (0.15, 0.30, 1.00, 0.20)
"""Share of the patients who have none; where it is 1 the hospital has no ECGs."""
RISK_SHIFT = (0.0, -0.4, 0.4, 0.2)


def write(plan: HospitalPlan) -> Archive:
    """Write films.npz, ecg/ with ecg.csv (record, patient_id) and records.csv (one row a patient)."""
    folder, site = plan.folder / NAME, plan.index % 4
    has_ecgs = NO_ECG[site] < 1
    (folder / "ecg").mkdir(parents=True)
    rows, films, owners, recorded = [], [], [], []
    for number in range(plan.patients):
        rng = plan.random(NAME, number)
        size, ectopy = float(rng.normal()), bool(rng.random() < 0.4)
        row = draw_record(rng, size, ectopy, RISK_SHIFT[site])
        identifier = plan.identifier(NAME, number)
        rows.append({"patient_id": identifier, **row})
        if rng.random() >= NO_FILM[site]:
            count = int(rng.integers(1, MOST_FILMS + 1))
            films += [draw_film(rng, size) for _ in range(count)]
            owners += [identifier] * count
        if rng.random() >= NO_ECG[site]:
            _write_ecg(rng, ectopy, folder / "ecg", f"{number:05d}", plan.index)
            recorded.append((f"{number:05d}", identifier))
    pd.DataFrame(rows).to_csv(folder / "records.csv", index=False, lineterminator="\n")
    images = np.array(films, np.uint8).reshape(-1, SIDE, SIDE)  # of none, too
    np.savez_compressed(folder / "films.npz", images=images, patients=np.array(owners, np.str_))
    if has_ecgs:
        _write_owners(folder / "ecg.csv", recorded)
    return Archive(NAME, "fused", "", plan.patients, extra=tuple(_keys(has_ecgs).items()))


def draw_record(
    rng: np.random.Generator, size: float, ectopy: bool, shift: float
) -> dict[str, Any]:
    """Return what the record says, and whether the patient was admitted within the year."""
    age, strain = float(np.clip(rng.normal(68, 10), 35, 95)), float(rng.normal())
    systolic = float(np.clip(130 - 6 * strain + rng.normal(0, 9), 80, 210))
    peptide = float(np.clip(2.8 + 0.35 * strain + rng.normal(0, 0.12), 1.3, 4.5))
    risk = 2.2 * size + 4.4 * (ectopy - 0.4) + 1.5 * strain + 0.03 * (age - 68) - 0.3 + shift
    return {
        "age": round(age),
        "female": int(rng.random() < 0.45),
        "systolic": round(systolic),
        "log_nt_probnp": round(peptide, 2),
        "admitted": int(risk + rng.logistic(0, 0.5) > 0),
    }


def draw_film(rng: np.random.Generator, size: float) -> NDArray[np.uint8]:
    """Return a chest film, [rows, columns]: two dark lungs, and between them a heart whose breadth tells its size."""
    y, x = np.mgrid[0:SIDE, 0:SIDE] / (SIDE - 1) - 0.5
    chest = rng.uniform(0.92, 1.06)
    film = np.full((SIDE, SIDE), 0.72)
    for side in (-1, 1):
        film -= 0.5 * _inside(x - side * 0.22 * chest, y, 0.17 * chest, 0.38)
    breadth = chest * (0.20 + 0.045 * float(np.clip(size, -2.5, 2.5)))
    middle = rng.uniform(0.0, 0.04)
    film += (0.78 - film) * _inside(x - middle, y - 0.14, breadth, 0.17)
    film = film * rng.uniform(0.95, 1.05) + rng.normal(0, 0.04, film.shape)
    return np.clip(np.rint(255 * film), 0, 255).astype(np.uint8)


def _inside(
    x: NDArray[np.float64], y: NDArray[np.float64], half_x: float, half_y: float
) -> NDArray[np.float64]:
    """Return 1 inside an ellipse and 0 outside, soft at its edge."""
    distance = (np.hypot(x / half_x, y / half_y) - 1) * min(half_x, half_y)
    inside: NDArray[np.float64] = 1 / (1 + np.exp(np.clip(distance / 0.015, -30, 30)))
    return inside


def _write_ecg(rng: np.random.Generator, ectopy: bool, folder: Path, name: str, site: int) -> None:
    recorder = RECORDERS[site % len(RECORDERS)]
    rhythm = "ventricular-ectopy" if ectopy else "sinus"
    signal = draw_signal(rhythm, draw_heart(rng), rng, SECONDS, recorder.rate_hz)
    write_record(folder, name, signal, recorder)


def _write_owners(path: Path, recorded: list[tuple[str, str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["record", "patient_id"])
        writer.writerows(recorded)


def _keys(has_ecgs: bool) -> dict[str, Any]:
    """Return the further keys of the site's table."""
    record = {"kind": "table", "path": f"{NAME}/records.csv", "patient": "patient_id"}
    parts = {"film": {"kind": "arrays", "path": f"{NAME}/films.npz"}, "record": record}
    if not has_ecgs:
        return {"absent": ["ecg"], "parts": parts}
    ecg = {"kind": "signals", "path": f"{NAME}/ecg", "labels": f"{NAME}/ecg.csv"}
    return {"parts": {**parts, "ecg": ecg}}
