"""A device that fails in the middle of a round is the machine's fault, and told as that, without the error's text."""

from __future__ import annotations

import pytest
import torch

from client import app
from common.errors import ConsiliumError, MachineError


@pytest.mark.parametrize("kind", [torch.AcceleratorError, torch.OutOfMemoryError])
def test_a_lost_or_full_device_is_the_machines_fault(kind: type[Exception]) -> None:
    told = app._told_by_class(kind("CUDA error: ZZPATIENT"))
    assert isinstance(told, MachineError)
    assert kind.__name__ in told.what
    assert "ZZPATIENT" not in str(told)


def test_any_other_error_is_told_by_its_class_and_place() -> None:
    try:
        raise RuntimeError("ZZPATIENT")
    except RuntimeError as error:
        told = app._told_by_class(error)
    assert type(told) is ConsiliumError
    assert "RuntimeError" in told.what
    assert told.where.startswith("test_device_errors.py, line")
    assert "ZZPATIENT" not in str(told)
