"""Invented run folders for the report: any number of hospitals, either task, any damage."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from statistics import NormalDist
from typing import Any

import pytest

MakeRun = Callable[..., Path]
INTERVAL = {"auc_low": 0.852, "auc_high": 0.926}
STUDY = '[study]\nname = "{name}"\n\n[privacy]\nepsilon = 8.0\n'


def spent(done: int, rounds: int, site: int) -> float:
    """A plausible cumulative ε."""
    return (7.2 + 0.2 * (site % 4)) * math.sqrt(done / rounds)


def score(share: float, top: float) -> float:
    """A metric that rises from a half to `top`."""
    return 0.5 + (top - 0.5) * (1 - math.exp(-3.5 * share))


def roc(separation: float, points: int = 60) -> dict[str, Any]:
    """The ROC of two normal distributions, `separation` apart."""
    normal = NormalDist()
    fpr = [i / points for i in range(points + 1)]
    tpr = [0.0, *(normal.cdf(normal.inv_cdf(x) + separation) for x in fpr[1:-1]), 1.0]
    return {"fpr": fpr, "tpr": tpr, "auc": normal.cdf(separation / math.sqrt(2))}


def site_record(index: int, rounds: int, forecast: bool, private: bool) -> dict[str, Any]:
    """A hospital's closing figures."""
    patients = 400 + 17 * (index % 9)
    return {
        "patients": patients,
        "samples": patients * 3,
        "quarantined": 3 + index % 3,
        "quarantine_reasons": {"no pixel data": 2, "patient in two splits": 1 + index % 3},
        "train_patients": int(patients * 0.8),
        "test_patients": patients - int(patients * 0.8),
        "declared_patients": 400,
        "steps": rounds * 5,
        "sigma": 1.31 if private else None,
        "epsilon": spent(rounds, rounds, index) if private else "inf",
        "delta": 0.00125 if private else None,
        "bytes_sent": rounds * 18_432,
        ("rmse" if forecast else "auc"): 24.1 if forecast else 0.86 + 0.01 * (index % 5),
    }


def rounds_lines(
    names: list[str], rounds: int, *, top: float, forecast: bool, private: bool
) -> list[dict[str, Any]]:
    """One record a round, numbered from 1."""
    return [
        {
            "round": done + 1,
            "metrics": _metrics(score(done / rounds, top), forecast),
            "sites": {
                name: {
                    "epsilon": spent(done + 1, rounds, index) if private else "inf",
                    "steps": 5,
                    "bytes_sent": 18_432,
                    "seconds": 1.1,
                    "train_loss": 0.72 - 0.4 * done / rounds + 0.02 * (index % 7),
                }
                for index, name in enumerate(names)
            },
            "bytes_sent": 18_432 * len(names),
            "seconds": 4.8,
            "failures": {},
        }
        for done in range(rounds)
    ]


def _metrics(value: float, forecast: bool) -> dict[str, Any]:
    if forecast:
        return {"rmse": 60 - 40 * value, "mae": 44 - 30 * value, "loss": 1.4 - value}
    return {"auc": value, "accuracy": value - 0.06, "loss": 1.2 - value}


def _curves(classes: list[str], forecast: bool) -> dict[str, Any]:
    if forecast:
        minutes = [15, 30, 45, 60]
        return {
            "horizons": {
                "minutes": minutes,
                "rmse": [11.2, 18.9, 25.3, 30.8],
                "mae": [7.9, 13.6, 18.4, 22.9],
                "baseline_rmse": [13.0, 23.4, 32.1, 39.5],
                "unit": "mg/dL",
            }
        }
    side = range(len(classes))
    return {
        "roc": {name: roc(1.4 + 0.25 * i) for i, name in enumerate(classes)},
        "confusion": [[131 if i == j else 19 + 3 * j for j in side] for i in side],
    }


def write_run(folder: Path, **options: Any) -> Path:
    """Writes a run folder.

    Args:
        folder: where; made if missing.
        options: `sites` (count or names), `rounds`, `task`, `classes`, `private`, `compare` (with
            the run without privacy), and `change`, a function that edits the metrics in place.
    """
    sites, rounds = options.get("sites", 4), options.get("rounds", 12)
    names = [f"hospital-{i + 1}" for i in range(sites)] if isinstance(sites, int) else sites
    classes = options.get("classes", ["benign", "malignant"])
    forecast = options.get("task", "classification") == "forecasting"
    private, compare = options.get("private", True), options.get("compare", True)
    name = "glucose" if forecast else "lung-nodule"
    metrics: dict[str, Any] = {
        "study": name,
        "title": "Blood glucose, an hour ahead"
        if forecast
        else "Lung nodules on CT: benign or not",
        "fingerprint": "9f2c1ab477e05d83b6aa10c4f95e2d7718c3e6042bd9a57f01e84c36d2b79a50",
        "task": options.get("task", "classification"),
        "classes": [] if forecast else classes,
        "final": _metrics(0.891, forecast) | ({} if forecast else INTERVAL),
        "non_private": _metrics(0.934, forecast) if compare else None,
        "sites": {n: site_record(i, rounds, forecast, private) for i, n in enumerate(names)},
        "rounds": rounds,
        "seconds": 103.4,
        "device": "cpu",
        "engine": "in-process",
        "versions": {"consilium": "0.1.0", "torch": "2.9.0", "flwr": "1.41.0", "opacus": "1.6.0"},
        "seed": 7,
        "parameters": 4_642,
        "algorithm": "fedavg",
        "privacy": {
            "enabled": private,
            "unit": "patient",
            "epsilon_target": 8.0,
            "delta": 0.00125,
            "clip_norm": 1.0,
            "sampling_rate": "1/5",
            "randomness": "system",
            "statistics": "exact",
        },
        "curves": _curves(classes, forecast),
        "started": "2026-01-31T09:05:12+00:00",
        "finished": "2026-01-31T09:06:55+00:00",
    }
    options.get("change", lambda _: None)(metrics)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metrics.json").write_text(json.dumps(metrics))
    (folder / "study.toml").write_text(STUDY.format(name=name))
    kind = {"forecast": forecast}
    write_rounds(folder, rounds_lines(names, rounds, top=0.891, private=private, **kind))
    if compare:
        lines = rounds_lines(names, rounds, top=0.934, private=False, **kind)
        write_rounds(folder / "non-private", lines)
    return folder


def write_rounds(folder: Path, lines: list[dict[str, Any]]) -> None:
    """Writes `rounds.jsonl`."""
    folder.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "rounds.jsonl").write_text(text)


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """Writes a run folder below the test's own folder and returns it."""
    return lambda **options: write_run(tmp_path / "run", **options)
