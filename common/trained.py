"""The network of a finished run, ready to be used: its study, its weights, its task."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from common.errors import RunError
from common.study_file import load_study

if TYPE_CHECKING:
    from torch import nn

    from common.study import Study
    from common.tasks.base import Task

WEIGHTS = "model.safetensors"


@dataclass(frozen=True)
class Trained:
    """What a run has learned.

    Attributes:
        study: the run's study.
        task: its task.
        network: with the final weights, in evaluation mode, on the CPU.
        digest: sha256 of the file of weights, in hex.
    """

    study: Study
    task: Task
    network: nn.Module
    digest: str

    @property
    def version(self) -> str:
        """Short name of exactly these weights, for documents."""
        return self.digest[:12]


def load_trained(run: Path) -> Trained:
    """Read a run's folder, finished here or fetched from a coordinator: `study.toml` and `model.safetensors`.

    Raises:
        RunError: the folder lacks one of them, or the weights are not the study's.
        StudyError: the study file cannot be used.
    """
    from common.models import build_model
    from common.tasks import build_task

    content = _weights(run)
    study = load_study(run / "study.toml")
    task = build_task(study)
    network = build_model(_without_checkpoint(study), task.outputs)
    _fill(network, content, run)
    network.eval()
    return Trained(study, task, network, hashlib.sha256(content).hexdigest())


def _weights(run: Path) -> bytes:
    """Read the file of weights."""
    fix = "Name the folder of a finished run, or fetch it with `consilium server fetch`."
    if not (run / "study.toml").is_file():
        raise RunError("There is no run in this folder.", where=str(run), fix=fix)
    try:
        return (run / WEIGHTS).read_bytes()
    except OSError:
        raise RunError("The run has no final model.", where=str(run / WEIGHTS), fix=fix) from None


def _without_checkpoint(study: Study) -> Study:
    """Return the study without the file that its training started from: the run's weights replace all of it."""
    transfer = study.transfer
    if transfer is None or transfer.checkpoint is None:
        return study
    bare = transfer.model_copy(
        update={"checkpoint": None, "sha256": None, "rename": {}, "skip": ()}
    )
    return study.model_copy(update={"transfer": bare})


def _fill(network: nn.Module, content: bytes, run: Path) -> None:
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        network.load_state_dict(load(content))
    except (SafetensorError, RuntimeError):
        raise RunError(
            "The weights do not belong to the run's study.",
            where=str(run / WEIGHTS),
            fix="Both files of the folder must be of one run: fetch it again.",
        ) from None
