"""The visits archive: two years of a heart-failure clinic for each patient, and what came after.

The model is ours. A hidden severity drifts over two years; visits grow more frequent with it; findings follow it with
noise, and not all are taken at every visit. Afterwards the hazard of an admission depends on where the severity ends,
on how fast it rose, on age, and on kidneys and blood pressure together. Patients leave the clinic without an admission
at a rate of their own: of those who left within the year nobody knows how the year ended.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from simulations.hospitals.plan import Archive, HospitalPlan

NAME = "visits"
DAYS = 730
YEAR = 365
RISK_SHIFT = (0.0, -0.4, 0.5, 0.2)
NOT_TAKEN = (0.15, 0.35, 0.25, 0.30)  # share of findings that a clinic does not take at a visit


@dataclass(frozen=True)
class Patient:
    """One patient's course.

    Attributes:
        age: in years.
        female: sex.
        kidneys: how far the kidneys have failed, in standard deviations.
        severity: of heart failure at the window's start.
        rise: of the severity over the two years.
    """

    age: float
    female: bool
    kidneys: float
    severity: float
    rise: float


def write(plan: HospitalPlan) -> Archive:
    """Write readings.csv (one row a visit, times in days) and outcomes.csv (one row a patient)."""
    folder = plan.folder / NAME
    folder.mkdir()
    drawn = [draw_patient(plan, number) for number in range(plan.patients)]
    readings = pd.concat([visits for visits, _ in drawn], ignore_index=True)
    readings.to_csv(folder / "readings.csv", index=False, lineterminator="\n")
    outcomes = pd.DataFrame([outcome for _, outcome in drawn])
    outcomes.to_csv(folder / "outcomes.csv", index=False, lineterminator="\n")
    keys = {"record": "patient_id", "patient": "patient_id", "time": "day", "time_unit": "days"}
    return Archive(
        NAME,
        "records",
        f"{NAME}/readings.csv",
        plan.patients,
        extra=(("outcomes", f"{NAME}/outcomes.csv"), *keys.items(), ("outcome_time", "last_day")),
    )


def draw_patient(plan: HospitalPlan, number: int) -> tuple[pd.DataFrame, dict[str, object]]:
    """Return one patient's visits and the row of outcomes."""
    rng, site = plan.random(NAME, number), plan.index % 4
    patient = _patient(rng)
    identifier = plan.identifier(NAME, number)
    visits = _visits(rng, patient, NOT_TAKEN[site])
    visits.insert(0, "patient_id", identifier)
    last_day, admitted = _follow_up(rng, patient, RISK_SHIFT[site])
    within_year = admitted and last_day <= DAYS + YEAR
    known = within_year or last_day >= DAYS + YEAR
    row = {
        "patient_id": identifier,
        "age": round(patient.age),
        "female": int(patient.female),
        "last_day": last_day,
        "admitted": int(admitted),
        "within_year": int(within_year) if known else "",
    }
    return visits, row


def _patient(rng: np.random.Generator) -> Patient:
    return Patient(
        age=float(np.clip(rng.normal(70, 10), 35, 95)),
        female=bool(rng.random() < 0.42),
        kidneys=float(rng.normal()),
        severity=float(rng.normal()),
        rise=float(rng.normal(0.3, 1.0)),
    )


def _visits(rng: np.random.Generator, patient: Patient, not_taken: float) -> pd.DataFrame:
    """Draw the days of the visits and what was found; the first visit opens the record."""
    rate = 7.0 * np.exp(0.3 * (patient.severity + 0.5 * patient.rise))
    more = rng.choice(np.arange(1, DAYS), size=min(rng.poisson(rate), 40), replace=False)
    day = np.sort(np.concatenate([[0], more]))
    severity = patient.severity + patient.rise * day / DAYS
    found = _findings(rng, severity, patient)
    lost = rng.random((len(day), len(found))) < not_taken
    lost[:, 0] &= ~lost.all(axis=1)  # nobody leaves without a blood pressure
    columns = {
        name: np.where(lost[:, i], "", [f"{value:g}" for value in values])
        for i, (name, values) in enumerate(found.items())
    }
    return pd.DataFrame({"day": day, **columns})


def _findings(
    rng: np.random.Generator, severity: np.ndarray, patient: Patient
) -> dict[str, np.ndarray]:
    """Return what examinations give, day by day."""

    def noise(size: float) -> np.ndarray:
        return rng.normal(0.0, size, len(severity))

    peptide = np.exp(6.6 + 0.6 * severity + 0.012 * (patient.age - 70) + noise(0.35))
    return {
        "systolic": np.clip(128 - 5 * severity + noise(11), 75, 220).round(),
        "heart_rate": np.clip(74 + 4 * severity + noise(8), 40, 160).round(),
        "log_nt_probnp": np.log10(np.clip(peptide, 20, 35_000)).round(2),
        "creatinine": np.clip(np.exp(0.1 + 0.3 * patient.kidneys + noise(0.1)), 0.4, 8).round(2),
        "sodium": np.clip(139.5 - 1.2 * severity + noise(2), 118, 150).round(),
    }


def _follow_up(rng: np.random.Generator, patient: Patient, shift: float) -> tuple[int, bool]:
    """Return the day of the admission or of the last sight, and whether it was an admission."""
    end = patient.severity + patient.rise
    stiff = max(0.0, patient.kidneys) * max(
        0.0, -end
    )  # bad kidneys hurt most where the heart seems well
    risk = -0.4 + shift + 0.9 * end + 0.5 * patient.rise + 0.035 * (patient.age - 70) + 1.2 * stiff
    risk += 0.4 * patient.kidneys
    admission = rng.exponential() ** (1 / 1.1) * YEAR * 3.5 * np.exp(-risk / 1.1)
    leaves = rng.exponential() * YEAR * 5
    stops = 3 * YEAR
    first = min(admission, leaves, stops)
    return DAYS + int(np.ceil(first)), bool(first == admission)
