"""Writes a network with torch.export: a graph that runs in Python, C++ and on phones without our code."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch

from common.errors import RunError
from common.export.job import Runs


def write(network: torch.nn.Module, example: torch.Tensor, path: Path) -> Runs:
    """Write the file and return what it computes, read back from the disk.

    Raises:
        RunError: the network cannot be traced.
    """
    batch = torch.export.Dim("batch", min=1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.export.export(network, (example,), dynamic_shapes=({0: batch},))
            torch.export.save(program, path)
    except Exception as error:  # tracing raises many kinds, with pages of text
        raise RunError(
            f"torch.export cannot write this network ({type(error).__name__}).", where=str(path)
        ) from error
    read = torch.export.load(path).module()

    def runs(samples: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            found: torch.Tensor = read(samples)
        return found

    return runs
