"""Volumes of .npz files in use: masks on their grid, places with a slice, and pages that show the plane."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from trained_runs import trained_with, write_run
from typer.testing import CliRunner

from client.use.predict import Order, predict
from common.cli import build

CPU = torch.device("cpu")
SHAPE = (3, 8, 10, 12)
VOLUMES = np.random.default_rng(1).integers(0, 127, SHAPE).astype(np.uint8)
DATA: dict[str, Any] = {"kind": "arrays", "image_size": [10, 12], "depth": 8}
MASKS = {**DATA, "labels": "mask", "structures": ["bright"]}


class Bright(torch.nn.Module):
    """Takes what is above 0 for the structure."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return torch.cat([torch.zeros_like(inputs), inputs], dim=1)


class BrightPlaces(torch.nn.Module):
    """Answers with the volume itself as its map."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return 9 * inputs


def predicted(folder: Path, network: torch.nn.Module, model: str, task: str) -> dict[str, str]:
    """Predict the volumes, whose first has one bright voxel, and return the row of the first."""
    images = VOLUMES.copy()
    images[0, 5, 2, 7] = 255
    np.savez(folder / "new.npz", images=images)
    trained = trained_with(network, task={"name": task}, model={"name": model}, data=MASKS)
    predict(Order(trained, folder / "out", CPU), folder / "new.npz")
    with (folder / "out" / "predictions.csv").open() as stream:
        return next(csv.DictReader(stream))


def test_masks_lie_on_the_volumes(tmp_path: Path) -> None:
    assert predicted(tmp_path, Bright(), "unet", "segmentation")["px_bright"] == "1"
    masks = np.load(tmp_path / "out" / "masks.npz")["masks"]
    assert masks.shape == SHAPE
    assert np.argwhere(masks).tolist() == [[0, 5, 2, 7]]


def test_places_have_a_slice(tmp_path: Path) -> None:
    row = predicted(tmp_path, BrightPlaces(), "bag-net", "localisation")
    assert [float(row[f"{axis}_1"]) for axis in ("slice", "row", "column")] == [5, 2, 7]


@pytest.mark.parametrize("steps", [[], [{"name": "crop", "size_px": 8}]], ids=["", "cropped"])
def test_a_volume_is_explained_plane_by_plane(tmp_path: Path, steps: list[Any]) -> None:
    model = {"name": "densenet", "blocks": [1], "growth": 4, "features": 4, "stem": "small"}
    run = write_run(tmp_path / "run", model=model, data={**DATA, "steps": steps})
    np.savez(tmp_path / "new.npz", images=VOLUMES[:1])
    words = ["explain", run, tmp_path / "new.npz", "--out", tmp_path / "out", "--device", "cpu"]
    result = CliRunner().invoke(build(), [*map(str, words), "--method", "saliency"])
    assert result.exit_code == 0, result.output
    assert "of 8, where it is most" in (tmp_path / "out" / "explanations.html").read_text()
    with np.load(next((tmp_path / "out").glob("*.npz"))) as found:
        assert found["saliency"].shape == ((8, 8, 8) if steps else SHAPE[1:])
