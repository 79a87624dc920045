"""The figures of a finished simulation: the server's outcome and the sites' own knowledge, in one file."""

from __future__ import annotations

import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

from common.privacy.facts import privacy_facts
from common.study import Study
from common.tasks import build_task
from common.tasks.base import site_figures
from server.run_folder import RunFolder
from simulations.hospitals.recipe import is_generated
from simulations.sites import SimulatedSites

PACKAGES = ("consilium", "flwr", "torch", "opacus", "dp-accounting", "numpy", "pydicom")


def write_metrics(
    folder: RunFolder,
    sites: SimulatedSites,
    *,
    engine: str,
    device: str,
    non_private: dict[str, Any] | None,
) -> dict[str, Any]:
    """Write and return `metrics.json`.

    Args:
        folder: a run whose server has finished.
        sites: the simulated sites, which alone know exact counts.
        engine: name of the engine.
        device: where the sites trained.
        non_private: final metrics of the same study without privacy, where it was run.
    """
    outcome = folder.read_outcome()
    study = sites.study
    task = build_task(study)
    content = {
        "simulation": True,
        "generated": all(is_generated(folder) for folder in sites.folders),
        "study": study.name,
        "title": study.study.title or study.name,
        "fingerprint": study.fingerprint,
        "task": study.task.name,
        "headline": task.headline,
        "unit": getattr(task, "unit", ""),
        "classes": list(task.classes or ()),
        "model": study.model.name,
        "final": outcome["final"],
        "non_private": non_private,
        "sites": _site_figures(sites, outcome, task.headline),
        "rounds": len(folder.read_rounds()),
        "seconds": outcome["seconds"],
        "device": device,
        "versions": versions(),
        "seed": sites.seed,
        "engine": engine,
        "parameters": outcome["parameters"],
        "frozen": outcome.get("frozen", 0),
        "algorithm": study.federation.algorithm.name,
        "privacy": _privacy(study, sites),
        "curves": outcome["curves"],
        "started": outcome["started"],
        "finished": outcome["finished"],
    }
    folder.write_json(folder.metrics, content)
    return content


def _site_figures(sites: SimulatedSites, outcome: dict[str, Any], headline: str) -> dict[str, Any]:
    names = list(outcome["sites"])
    statuses = sites.statuses(names)
    figures: dict[str, Any] = {}
    for name in names:
        known = statuses[name].to_json() if name in statuses else {}
        scores = outcome["site_metrics"].get(name, {})
        chosen = site_figures(scores, headline)
        figures[name] = outcome["sites"][name] | known | chosen
    return figures


def _privacy(study: Study, sites: SimulatedSites) -> dict[str, Any]:
    found = privacy_facts(study, "system" if sites.seed is None else "fixed")
    if study.privacy.enabled:
        policies = [sites.site(number).policy for number in range(min(len(sites.folders), 50))]
        found["statistics"] = ", ".join(sorted({policy.statistics for policy in policies}))
    return found


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that shape a result."""
    return {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}


def read_final(run: Path) -> dict[str, Any]:
    """Return the final metrics of a run whose server has finished."""
    content: dict[str, Any] = RunFolder(run).read_outcome()["final"]
    return content
