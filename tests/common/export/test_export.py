"""Exported files say what the network says, for any size of batch, and are refused when they do not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from trained_runs import trained_with, write_run
from typer.testing import CliRunner

from common.cli import build
from common.errors import RunError
from common.export import job
from common.export.job import export

SERIES = {"kind": "series", "minimum": 0, "maximum": 400, "history_minutes": 60}
ROWS = {
    "kind": "table",
    "target": "y",
    "positive": [1],
    "features": [{"name": "a", "minimum": 0, "maximum": 1}, {"name": "b", "type": "flag"}],
}
SYNTHESIS: dict[str, Any] = {
    "task": {"name": "synthesis", "classes": ["no", "yes"]},
    "model": {"name": "denoiser", "channels": [4, 8]},
}
STUDIES: dict[str, dict[str, Any]] = {
    "mlp": {},
    "lstm": {"task": {"name": "forecasting"}, "model": {"name": "lstm"}, "data": SERIES},
    "rows": {"model": {"name": "tabular-transformer"}, "data": ROWS},
}


@pytest.mark.parametrize(
    ("name", "form"), [("mlp", "torch"), ("lstm", "torch"), ("rows", "torch"), ("lstm", "onnx")]
)
def test_files_say_the_same(tmp_path: Path, name: str, form: Any) -> None:
    if form == "onnx":
        pytest.importorskip("onnxruntime")
    made = export(trained_with(**STUDIES[name]), form, tmp_path)
    assert made.difference < 1e-5
    about = json.loads(made.about.read_text())
    assert about["format"] == form
    assert about["input"]["shape"][0] == "batch"
    assert len(about["file_sha256"]) == 64


@pytest.mark.parametrize("form", ["torch", "onnx"])
def test_a_network_that_sees_more_than_the_data(tmp_path: Path, form: Any) -> None:
    """Image synthesis: noisy images with their time and class."""
    if form == "onnx":
        pytest.importorskip("onnxruntime")
    made = export(trained_with(**SYNTHESIS), form, tmp_path)
    about = json.loads(made.about.read_text())
    assert about["input"]["shape"] == ["batch", 3, 6, 6]
    assert "time" in about["input"]["prepared"]
    assert about["output"]["meaning"].startswith("v = ")


def test_an_onnx_file_runs_without_us(tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    trained = trained_with()
    made = export(trained, "onnx", tmp_path)
    samples = torch.linspace(-1, 1, 3 * 36).view(3, 1, 6, 6)
    session = runtime.InferenceSession(made.model.read_bytes())
    (found,) = session.run(["outputs"], {"samples": samples.numpy()})
    with torch.no_grad():
        torch.testing.assert_close(torch.from_numpy(found), trained.network(samples))


def test_a_file_that_differs_is_not_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(network: torch.nn.Module, example: torch.Tensor, path: Path) -> job.Runs:
        path.write_bytes(b"x")
        return lambda samples: network(samples).detach() * 1.001

    def failing(network: torch.nn.Module, example: torch.Tensor, path: Path) -> job.Runs:
        path.write_bytes(b"x")
        return lambda samples: {}["no such size"]

    monkeypatch.setattr(job, "_writer", lambda form: failing)
    with pytest.raises(RunError, match="not for every size"):
        export(trained_with(), "torch", tmp_path)
    monkeypatch.setattr(job, "_writer", lambda form: wrong)
    with pytest.raises(RunError, match="does not say what the network says: it differs"):
        export(trained_with(), "torch", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_network_that_cannot_be_traced_is_named(tmp_path: Path) -> None:
    class Odd(torch.nn.Module):
        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            if float(inputs.sum()) > 0:
                return inputs.flatten(1)[:, :2]
            return inputs.flatten(1)[:, 2:4]

    with pytest.raises(RunError, match=r"torch\.export cannot write"):
        export(trained_with(Odd()), "torch", tmp_path)


def test_the_command(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    done = CliRunner().invoke(build(), ["export", str(run), "--format", "torch"])
    assert done.exit_code == 0, done.output
    assert (run / "export" / "model.pt2").exists()
