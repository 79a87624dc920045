"""Exports a trained network and runs what was written beside the network, on the same samples."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import torch

from common.errors import MachineError, RunError
from common.files import explain_os_error, write_atomically
from common.tasks.hooks import described, example
from common.trained import Trained

Format = Literal["onnx", "torch"]
Runs = Callable[[torch.Tensor], torch.Tensor]
TOLERANCE = 1e-4
"""Largest difference between the outputs of file and network, by the largest output: float32 sums in another order."""
TRIED = (1, 2, 5)
"""Sizes of the batches that are compared."""


@dataclass(frozen=True)
class Exported:
    """A file that says the same as the network.

    Attributes:
        model: the file.
        about: the JSON file beside it, which says what goes in and what comes out.
        difference: the largest difference that was seen, by the largest output.
    """

    model: Path
    about: Path
    difference: float


def export(trained: Trained, form: Format, folder: Path) -> Exported:
    """Write `model.onnx` or `model.pt2`, and `model.json` beside it.

    Samples `[batch, …]` of any batch size go in as the study's data preparation makes them.

    Raises:
        RunError: the network cannot be written in that format, or the file says something else than the network.
        MachineError: a package that the format needs is missing, or the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise explain_os_error(error, folder) from None
    model = folder / ("model.onnx" if form == "onnx" else "model.pt2")
    network = trained.network.cpu().eval()
    shape = _shape(trained)
    runs = _writer(form)(network, torch.zeros((2, *shape)), model)
    difference = _compared(network, runs, shape)
    if not difference <= TOLERANCE:
        model.unlink(missing_ok=True)
        how = ", or not for every size of batch"
        if difference < float("inf"):
            how = f": it differs by {difference:.2g} of its outputs"
        raise RunError(
            f"The exported file does not say what the network says{how}.",
            where=str(model),
            fix="Try the other format. A network's forward must read sizes from `shape`, not with len().",
        )
    about = folder / "model.json"
    described = _about(trained, form, model, difference)
    write_atomically(about, json.dumps(described, indent=2) + "\n", mode=0o644)
    return Exported(model, about, difference)


def _shape(trained: Trained) -> tuple[int, ...]:
    """Return the shape of one sample as the network sees it, which a task may have changed."""
    sample = torch.zeros((1, *trained.study.data.model_shape))
    return tuple(example(trained.task, sample, torch.zeros(1, dtype=torch.int64)).shape)


def _writer(form: Format) -> Callable[[torch.nn.Module, torch.Tensor, Path], Runs]:
    if form == "onnx":
        from common.export.onnx_file import write
    else:
        from common.export.torch_file import write
    return write


def _compared(network: torch.nn.Module, runs: Runs, shape: tuple[int, ...]) -> float:
    """Return the largest difference over some samples, by the largest output; infinity where the file does not run."""
    drawn = torch.Generator().manual_seed(1)
    worst = 0.0
    for size in TRIED:
        samples = torch.rand((size, *shape), generator=drawn) * 2 - 1
        with torch.inference_mode():
            expected = network(samples)
        try:
            found = runs(samples)
        except (
            Exception
        ):  # a graph that was traced for one size of batch only; runtimes raise many kinds
            return float("inf")
        if found.shape != expected.shape or not torch.isfinite(found).all():
            return float("inf")
        scale = max(float(expected.abs().max()), 1e-6)
        worst = max(worst, float((found - expected).abs().max()) / scale)
    return worst


def _about(trained: Trained, form: Format, model: Path, difference: float) -> dict[str, Any]:
    """Return what another program must know to use the file."""
    study, said = trained.study, described(trained.task)
    return {
        "study": study.name,
        "fingerprint": study.fingerprint,
        "weights_sha256": trained.digest,
        "file_sha256": hashlib.sha256(model.read_bytes()).hexdigest(),
        "format": form,
        "input": {
            "name": "samples",
            "type": "float32",
            "shape": ["batch", *_shape(trained)],
            "prepared": said.get("input", "as [data] of the study says: scaled to [-1, 1]"),
        },
        "output": {
            "name": "outputs",
            "meaning": said.get("output", _meaning(study.data.target_kind)),
        },
        "task": study.task.name,
        "classes": list(trained.task.classes or ()),
        "data": study.data.model_dump(mode="json"),
        "largest_relative_difference": difference,
        "made_with": {name: version(name) for name in ("consilium", "torch")},
    }


def _meaning(targets: str) -> str:
    return {
        "class": "logits [batch, classes]: softmax gives chances",
        "classes": "log odds [batch, findings]: the logistic function gives chances",
        "value": "the target [batch, 1]: its public range scaled to [-1, 1]",
        "values": "later values [batch, horizons], scaled like the inputs",
        "hazard": "log odds [batch, intervals] of the event in an interval for those spared until then",
        "mask": "logits [batch, background and structures, …]: the largest is the structure",
        "points": "maps [batch, heat, logarithm of the diameter (share of the width), place in the cell …, …]",
    }.get(targets, "as the task defines them")


def needs(package: str, extra: str) -> MachineError:
    """Return the error for a package that is not installed."""
    return MachineError(
        f"The package '{package}' is not installed.",
        fix=f"Install consilium with its extra: consilium[{extra}].",
    )
