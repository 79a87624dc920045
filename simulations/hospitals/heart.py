"""The heart archive: a table with the thirteen columns of UCI Heart Disease, drawn from a risk model.

The model is ours: symptoms follow from a hidden severity of coronary disease, which age, sex and
cholesterol raise; columns and codes are those of Janosi, Steinbrunn, Pfisterer, Detrano (1989).
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from simulations.hospitals.plan import Archive, HospitalPlan

NAME = "heart"
AGE_SHIFT = (0.0, -6.0, 3.0, 6.0)
RISK_SHIFT = (0.0, -0.5, 0.6, 0.4)
MISSING = (0.01, 0.10, 0.05, 0.03)  # share of chol, ca, thal, slope that a site has not recorded
OFTEN_MISSING = ["chol", "slope", "ca", "thal"]


def write(plan: HospitalPlan) -> Archive:
    """Write heart.csv: patient_id, the thirteen features, target (1: disease)."""
    path = f"{NAME}/heart.csv"
    (plan.folder / NAME).mkdir()
    table = draw_table(plan)
    table.to_csv(plan.folder / path, index=False, lineterminator="\n")
    return Archive(NAME, "table", path, plan.patients, extra=(("patient", "patient_id"),))


def draw_table(plan: HospitalPlan) -> pd.DataFrame:
    """Draw the site's patients."""
    rng, n = plan.random(NAME), plan.patients
    age = np.clip(rng.normal(54 + AGE_SHIFT[plan.index % 4], 9, n), 28, 79).round()
    sex = (rng.random(n) < 0.7).astype(int)
    chol = np.clip(rng.normal(245, 48, n) + 0.4 * (age - 54), 126, 520).round()
    trestbps = np.clip(rng.normal(131, 16, n) + 0.5 * (age - 54), 92, 200).round()
    severity = _severity(rng, age, sex, chol, trestbps) + RISK_SHIFT[plan.index % 4]
    symptoms = _symptoms(rng, severity, age)
    target = (severity + rng.logistic(0, 0.35, n) > 0).astype(int)
    named = {"age": age.astype(int), "sex": sex, "trestbps": trestbps, "chol": chol}
    table = pd.DataFrame({**named, **symptoms, "target": target})
    table = _with_gaps(table, rng, MISSING[plan.index % 4])
    table.insert(0, "patient_id", [plan.identifier(NAME, number) for number in range(n)])
    return table


def _severity(
    rng: np.random.Generator, age: np.ndarray, sex: np.ndarray, chol: np.ndarray, bp: np.ndarray
) -> np.ndarray:
    """Hidden severity: 0 is where disease becomes as likely as not."""
    known = 0.045 * (age - 54) + 0.9 * (sex - 0.65) + 0.004 * (chol - 245) + 0.008 * (bp - 131)
    severity: np.ndarray = known + rng.normal(0.0, 1.0, len(age))
    return severity


def _symptoms(
    rng: np.random.Generator, severity: np.ndarray, age: np.ndarray
) -> dict[str, np.ndarray]:
    """What examination finds, given the severity."""
    n = len(severity)

    def yes(offset: float, weight: float) -> np.ndarray:
        chance = 1 / (1 + np.exp(-(offset + weight * severity)))
        return (rng.random(n) < chance).astype(int)

    def grade(weight: float, cuts: list[float]) -> np.ndarray:
        return np.digitize(weight * severity + rng.normal(0, 1, n), cuts)

    oldpeak = np.clip(0.9 + 0.55 * severity + rng.normal(0, 0.8, n), 0, 6.2).round(1)
    thalach = np.clip(168 - 0.75 * (age - 54) - 9 * severity + rng.normal(-14, 17, n), 71, 202)
    return {
        "cp": grade(0.8, [-1.7, -0.8, 0.1]) + 1,
        "fbs": yes(-1.8, 0.15),
        "restecg": grade(0.3, [0.1, 1.9]),
        "thalach": thalach.round().astype(int),
        "exang": yes(-0.8, 1.0),
        "oldpeak": oldpeak,
        "slope": grade(0.6, [-0.1, 1.7]) + 1,
        "ca": grade(0.8, [0.4, 1.3, 2.0]),
        "thal": np.array([3, 6, 7])[grade(0.9, [0.2, 0.35])],
    }


def _with_gaps(table: pd.DataFrame, rng: np.random.Generator, share: float) -> pd.DataFrame:
    """Blank a share of what hospitals often do not record; columns in UCI's order."""
    order = "age sex cp trestbps chol fbs restecg thalach exang oldpeak slope ca thal target"
    table = table[order.split()].copy()
    for column in OFTEN_MISSING:
        lost = rng.random(len(table)) < share
        table[column] = table[column].astype("Int64").mask(lost)
    table["trestbps"] = table["trestbps"].astype(int)
    return table
