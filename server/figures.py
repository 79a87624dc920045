"""The figures of a finished run in a deployment: what the coordinator knows, without the sites' own counts."""

from __future__ import annotations

import platform
from importlib.metadata import version
from typing import Any

from common.privacy.facts import privacy_facts
from common.study import Study
from common.tasks import build_task
from common.tasks.base import site_figures
from server.run_folder import RunFolder

PACKAGES = ("consilium", "flwr", "torch", "numpy")


def write_metrics(folder: RunFolder, study: Study) -> dict[str, Any]:
    """Write and return `metrics.json` of a run whose server has finished."""
    outcome, task = folder.read_outcome(), build_task(study)
    content = {
        "simulation": False,
        "study": study.name,
        "title": study.study.title or study.name,
        "fingerprint": study.fingerprint,
        "task": study.task.name,
        "headline": task.headline,
        "unit": getattr(task, "unit", ""),
        "classes": list(task.classes or ()),
        "model": study.model.name,
        "final": outcome["final"],
        "non_private": None,
        "sites": _sites(folder, outcome, task.headline),
        "rounds": len(folder.read_rounds()),
        "seconds": outcome["seconds"],
        "versions": {"python": platform.python_version()} | {p: version(p) for p in PACKAGES},
        "engine": "deployment",
        "parameters": outcome["parameters"],
        "frozen": outcome.get("frozen", 0),
        "algorithm": study.federation.algorithm.name,
        "privacy": privacy_facts(study, "sites"),
        "curves": outcome["curves"],
        "started": outcome["started"],
        "finished": outcome["finished"],
    }
    folder.write_json(folder.metrics, content)
    return content


def _sites(folder: RunFolder, outcome: dict[str, Any], headline: str) -> dict[str, Any]:
    """Each site's declared patients, what it sent in all, its spending so far, and its scores."""
    figures = {name: dict(about) for name, about in outcome["sites"].items()}
    for record in folder.read_rounds():
        for name, said in record["sites"].items():
            site = figures.setdefault(name, {})
            site["bytes_sent"] = site.get("bytes_sent", 0) + said["bytes_sent"]
            site |= {key: said[key] for key in ("steps", "epsilon") if key in said}
    for name, scores in outcome["site_metrics"].items():
        figures[name] |= site_figures(scores, headline)
    return figures
