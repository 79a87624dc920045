"""Federated runs of a study, each as a process of its own, as its user would start it."""

from __future__ import annotations

import json
import statistics
import subprocess
from pathlib import Path
from typing import Any

from benchmarks.measure import python
from benchmarks.tasks.case import Case

CHANCE = {"auc": 0.5, "concordance": 0.5, "dice": 0.0, "froc": 0.0, "explained": 0.0, "bleu": 0.0}
"""What guessing reaches, by headline; tasks with a baseline of their own tell it as `baseline_NAME`."""


def federated(case: Case, run: Path, epsilon: float, *, compare: bool) -> dict[str, Any]:
    """Run the study at an ε; return the content of its `metrics.json`, with the seconds of a round.

    Args:
        case: what to run.
        run: the run's folder.
        epsilon: for each patient.
        compare: run it without privacy as well.

    Raises:
        RuntimeError: it failed; its last lines are in the message.
    """
    changes = {"privacy.epsilon": epsilon, "evaluation.compare_non_private": str(compare).lower()}
    options = [part for key, value in changes.items() for part in ("--set", f"{key}={value}")]
    command = [python(), "-m", "common.cli", "simulate", str(case.study), "--quiet"]
    places = ["--hospitals", str(case.hospitals), "--run", str(run)]
    done = subprocess.run(
        [*command, *places, *options], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{case.name} failed:\n{(done.stdout + done.stderr)[-2000:]}")
    content: dict[str, Any] = json.loads((run / "metrics.json").read_text())
    return content | {"seconds_a_round": _seconds(run)}


def _seconds(run: Path) -> float:
    """Return the median time of a round; the first also reads the data."""
    lines = (run / "rounds.jsonl").read_text().splitlines()
    times = [float(json.loads(line)["seconds"]) for line in lines]
    return statistics.median(times[1:] or times)


def trivial(final: dict[str, Any], headline: str) -> float | None:
    """Return what needs no model."""
    found = final.get(f"baseline_{headline}", CHANCE.get(headline))
    return None if found is None else float(found)
