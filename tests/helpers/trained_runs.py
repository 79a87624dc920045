"""Folders of runs with networks that are small, and not trained or set by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import nn

from common.models import build_model
from common.study import Study
from common.study_file import dump_study, parse_study
from common.tasks import build_task
from common.trained import Trained

STUDY: dict[str, Any] = {
    "study": {"name": "tiny", "seed": 5},
    "task": {"name": "classification", "classes": ["round", "square"]},
    "model": {"name": "mlp", "hidden": [4]},
    "data": {"kind": "arrays", "image_size": 6},
    "training": {"learning_rate": 0.2, "local_steps": 3},
    "privacy": {"noise_multiplier": 1.0, "delta": 1e-3, "sampling_rate": "1/4"},
    "federation": {"rounds": 3},
}


def study_with(**sections: Any) -> Study:
    """Return the study with some sections replaced as a whole."""
    return parse_study({**STUDY, **sections}, where="test")


def trained_with(network: nn.Module | None = None, **sections: Any) -> Trained:
    """Return a study's network, or another one in its place, as if a run had ended with it."""
    study = study_with(**sections)
    task = build_task(study)
    made = network or build_model(study, task.outputs)
    return Trained(study, task, made.eval(), "0" * 64)


def write_run(folder: Path, **sections: Any) -> Path:
    """Write what a run leaves: the study and the weights."""
    trained = trained_with(**sections)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "study.toml").write_text(dump_study(trained.study))
    save_file(trained.network.state_dict(), folder / "model.safetensors")
    return folder
