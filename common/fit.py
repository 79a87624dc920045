"""Do model and task of a study fit each other? Seen before anything runs, by one sample of zeros."""

from __future__ import annotations

from typing import TYPE_CHECKING

from common.errors import StudyError
from common.models import build_model

if TYPE_CHECKING:
    from torch import nn

    from common.study import Study
    from common.tasks.base import Task

_MAPS = {"mask", "points"}
_VECTORS = {"class", "classes", "value", "values", "hazard"}
_fitting: set[str] = set()
"""Fingerprints of studies that were tried in this process: a simulation builds a network for every site."""


def network_for(study: Study, task: Task) -> nn.Module:
    """Return the study's network (see `build_model`), which answers as the task needs it.

    Raises:
        StudyError: model and task do not fit; or as `build_model`.
        MachineError, TamperedError: as `build_model`.
    """
    network = build_model(study, task.outputs)
    if study.fingerprint not in _fitting:
        check_fit(study, task, network)
        _fitting.add(study.fingerprint)
    return network


def check_fit(study: Study, task: Task, network: nn.Module) -> None:
    """Try one sample.

    Tasks that make their own inputs, or whose answers have a form of their own, are left to say so themselves.

    Args:
        study: names model and task.
        task: of the study.
        network: of the study, on the CPU.

    Raises:
        StudyError: the network cannot take a sample, or does not answer with what the task learns from.
    """
    if hasattr(task, "prepare") or not task.targets <= _MAPS | _VECTORS | {"decisions"}:
        return
    shape = tuple(study.data.model_shape)
    answer = _answer(study, network, shape)
    name, model = study.task.name, study.model.name
    if task.targets <= _VECTORS and answer != (task.outputs,):
        raise StudyError(
            f"Task '{name}' needs {task.outputs} numbers a sample, and model '{model}' answers with {_words(answer)}.",
            where="[model] name",
            fix="Choose a model that gives one answer for the whole sample: it draws no map.",
        )
    if task.targets <= _MAPS and (len(answer) != len(shape) or answer[0] != task.outputs):
        raise StudyError(
            f"Task '{name}' needs a map of every image, and model '{model}' answers with {_words(answer)}.",
            where="[model] name",
            fix="Choose a model that draws: unet, basic-unet, attention-unet, centre-net or bag-net.",
        )
    if task.targets <= {"mask"} and answer[1:] != shape[1:]:
        raise StudyError(
            f"Task '{name}' needs a map of the size of the image, and model '{model}' answers with {_words(answer)}.",
            where="[model] name",
            fix="Choose unet, basic-unet or attention-unet, or a stride of 1.",
        )
    if task.targets <= {"decisions"} and answer != (task.outputs, shape[0]):
        raise StudyError(
            f"Task '{name}' needs {task.outputs} numbers for each of {shape[0]} states, and model '{model}' answers "
            f"with {_words(answer)}.",
            where="[model] name",
            fix="Choose q-network.",
        )


def _answer(study: Study, network: nn.Module, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of what the network says of one sample."""
    import torch

    training = network.training
    network.eval()  # nothing that a network may remember of a batch is changed
    try:
        with torch.no_grad():
            return tuple(network(torch.zeros(1, *shape)).shape[1:])
    except (RuntimeError, ValueError, IndexError) as error:
        raise StudyError(
            f"Model '{study.model.name}' cannot take samples of shape {shape}.",
            where="[model] and [data]",
            fix="Choose larger samples, fewer layers, or another model.",
        ) from error
    finally:
        network.train(training)


def _words(shape: tuple[int, ...]) -> str:
    return f"{shape[0]}" if len(shape) == 1 else " × ".join(map(str, shape))
