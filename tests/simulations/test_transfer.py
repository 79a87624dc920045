"""Runs that start from a checkpoint, and runs that end early."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load
from tiny_hospitals import tiny_study

from common.errors import MachineError
from common.transfer.places import VARIABLE, look_in
from server.run_folder import RunFolder

Run = Callable[..., Path]


def test_only_what_is_trained_travels_and_the_model_is_whole(
    run: Run, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "")
    before = finished / "model.safetensors"
    about = {
        "checkpoint": before.name,
        "sha256": hashlib.sha256(before.read_bytes()).hexdigest(),
        "freeze": ["*.weight"],
    }
    study = tiny_study(transfer=about, federation={"rounds": 1})
    with pytest.raises(MachineError, match="which is not here"):
        run(study, run=tmp_path / "without")
    shutil.copy(before, tmp_path)
    look_in(tmp_path)
    made = run(study, run=tmp_path / "with")
    old, new = load(before.read_bytes()), load((made / "model.safetensors").read_bytes())
    assert old.keys() == new.keys()
    changed = {name for name, value in old.items() if not value.equal(new[name])}
    assert changed
    assert all(name.endswith("bias") for name in changed)
    sent = [
        line["bytes_sent"]
        for folder in (finished, made)
        for line in RunFolder(folder).read_rounds()
    ]
    assert sent[-1] < sent[0]


def test_a_run_that_learns_nothing_ends_early_with_a_model(run: Run) -> None:
    study = tiny_study(training={"learning_rate": 1e-9}, federation={"rounds": 9, "stop_after": 2})
    made = RunFolder(run(study))
    assert len(made.read_rounds()) == 4  # the model is first evaluated as it enters round 2
    assert made.model.exists()
    assert made.outcome.exists()
