"""Writes a network as ONNX and reads it back with ONNX Runtime."""

from __future__ import annotations

import logging
import warnings
from importlib.util import find_spec
from pathlib import Path

import torch

from common.errors import RunError
from common.export.job import Runs, needs

OPSET = 18


def write(network: torch.nn.Module, example: torch.Tensor, path: Path) -> Runs:
    """Write the file, weights inside, and return what it computes, read back from the disk.

    Raises:
        MachineError: the packages are not installed.
        RunError: the network has an operation that ONNX has not.
    """
    for package in ("onnx", "onnxscript", "onnxruntime"):
        if find_spec(package) is None:
            raise needs(package, "onnx")
    try:
        _write(network, example, path)
    except Exception as error:  # the exporter raises many kinds, with pages of text
        raise RunError(
            f"This network cannot be written as ONNX ({type(error).__name__}).",
            where=str(path),
            fix="Use --format torch.",
        ) from error
    return _read(path)


def _write(network: torch.nn.Module, example: torch.Tensor, path: Path) -> None:
    loud = logging.getLogger("torch.onnx").level
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                network,
                (example,),
                str(path),
                input_names=["samples"],
                output_names=["outputs"],
                dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
                opset_version=OPSET,
                dynamo=True,
                external_data=False,
                verbose=False,
            )
    finally:
        logging.getLogger("torch.onnx").setLevel(loud)


def _read(path: Path) -> Runs:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def runs(samples: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(session.run(None, {"samples": samples.numpy()})[0])

    return runs
