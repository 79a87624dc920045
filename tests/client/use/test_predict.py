"""Predictions say what the network says, put together as in the evaluation, under names that identify nobody."""

from __future__ import annotations

import csv
import math
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydicom import dcmread
from tiny_hospitals import SECRET_WORD, write_site
from trained_runs import trained_with, write_run
from typer.testing import CliRunner

from client.site import load_site
from client.use.answers import answers
from client.use.datasets import Beside
from client.use.predict import Order, predict
from common.cli import build
from common.errors import DataError, RunError, StudyError
from common.trained import Trained, load_trained
from simulations.hospitals.ct_file import Series, write_series
from simulations.hospitals.scanner import SCANNERS

CPU = torch.device("cpu")


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "predictions.csv").open() as stream:
        return list(csv.DictReader(stream))


def test_a_patients_images_are_put_together(tmp_path: Path) -> None:
    house, trained = write_site(tmp_path / "house", "h", 3, patients=5), trained_with()
    predict(Order(trained, tmp_path / "out", CPU, own_names=True), house / "scans.npz")
    images = np.load(house / "scans.npz")["images"].astype(np.float32)
    samples = torch.from_numpy(images / 127.5 - 1)[:, None]
    with torch.no_grad():
        outputs = trained.network(samples)
    chances = outputs.view(5, 2, 2).mean(1).softmax(1)[:, 1].numpy()
    rows = table(tmp_path / "out")
    np.testing.assert_allclose([float(row["p_square"]) for row in rows], chances, atol=2e-6)
    assert {row["samples"] for row in rows} == {"2"}
    assert [row["predicted"] == "square" for row in rows] == (chances > 0.5).tolist()


def test_names_are_the_sites_pseudonyms(tmp_path: Path) -> None:
    house, trained = write_site(tmp_path / "house", "h", 3, patients=5), trained_with()
    site = load_site(house)
    for number, chosen in enumerate((site, site, None)):
        predict(Order(trained, tmp_path / str(number), CPU, chosen), house / "scans.npz")
    first, second, third = (table(tmp_path / str(number)) for number in range(3))
    assert first == second
    assert [row["case"] for row in third] == [f"case-000{number}" for number in range(1, 6)]
    for text in ("0", "2"):
        assert SECRET_WORD not in (tmp_path / text / "predictions.csv").read_text()
    assert len({row["case"] for row in first}) == 5
    assert stat.S_IMODE((tmp_path / "0").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "0" / "predictions.csv").stat().st_mode) == 0o600


def test_old_results_are_not_overwritten(tmp_path: Path) -> None:
    house = write_site(tmp_path / "house", "h", 3, patients=2)
    order = Order(trained_with(), tmp_path / "out", CPU)
    predict(order, house / "scans.npz")
    with pytest.raises(DataError, match="holds files already"):
        predict(order, house / "scans.npz")


def test_masks_of_an_array(tmp_path: Path) -> None:
    images = np.random.default_rng(1).integers(0, 256, (3, 16, 16)).astype(np.uint8)
    np.savez(tmp_path / "i.npz", images=images)
    data = {"kind": "arrays", "image_size": 16, "labels": "mask", "structures": ["bright"]}
    trained = trained_with(
        Bright(), task={"name": "segmentation"}, model={"name": "unet"}, data=data
    )
    predict(Order(trained, tmp_path / "out", CPU), tmp_path / "i.npz")
    expected = images > 127
    np.testing.assert_array_equal(np.load(tmp_path / "out" / "masks.npz")["masks"], expected)
    pixels = [int(row["px_bright"]) for row in table(tmp_path / "out")]
    assert pixels == expected.sum((1, 2)).tolist()


class Bright(torch.nn.Module):
    """Takes what is above 0 for the structure."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return torch.cat([torch.zeros_like(inputs), inputs], dim=1)


def test_masks_are_not_put_on_images_whose_pixels_moved(tmp_path: Path) -> None:
    np.savez(tmp_path / "i.npz", images=np.zeros((2, 16, 16), np.uint8))
    data = {"kind": "arrays", "image_size": 16, "labels": "mask", "structures": ["bright"]}
    data |= {"steps": [{"name": "crop", "size_px": 8}]}
    trained = trained_with(
        Bright(), task={"name": "segmentation"}, model={"name": "unet"}, data=data
    )
    with pytest.raises(StudyError, match="'crop' moves pixels"):
        predict(Order(trained, tmp_path / "out", CPU), tmp_path / "i.npz")


class BrightPlaces(torch.nn.Module):
    """Answers with the image itself as its map."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return 9 * inputs


@pytest.mark.parametrize(
    ("steps", "columns"),
    [
        ([], {"x_mm_1": -4.0, "y_mm_1": 3.0, "z_mm_1": -100.0}),
        ([{"name": "crop", "size_px": 6}], {"row_1": 1.0, "column_1": 2.0}),
    ],
)
def test_who_learned_from_masks_to_point_points(
    tmp_path: Path, steps: list[dict[str, Any]], columns: dict[str, float]
) -> None:
    """A localisation draws no masks; where a step moved pixels, they are those of the sample."""
    (tmp_path / "ct").mkdir()
    volume = np.full((1, 8, 8), -900.0, np.float32)
    volume[0, 2, 3] = 100.0
    series = Series("x", "P1", "F", 60, (-7.0, 1.0, -100.0), 1.0, 2.5)
    write_series(series, volume, SCANNERS[0], [tmp_path / "ct" / "0.dcm"])
    data = {"kind": "dicom", "image_size": 8, "spacing_mm": 1.0, "labels": "mask"}
    data |= {"structures": ["mass"], "steps": steps}
    trained = trained_with(
        BrightPlaces(), task={"name": "localisation"}, model={"name": "bag-net"}, data=data
    )
    predict(Order(trained, tmp_path / "out", CPU), tmp_path / "ct")
    (row,) = table(tmp_path / "out")
    assert float(row["score_1"]) > 0.5
    assert {name: float(row[name]) for name in columns} == pytest.approx(columns, abs=0.01)


DETECTION: dict[str, Any] = {
    "task": {"name": "detection", "candidates": 1, "least_score": 0.0},
    "model": {"name": "centre-net", "channels": [4, 4], "width": 4, "stride": 1},
}


@pytest.mark.parametrize("planes", [1, 3])
def test_finds_say_in_which_image_they_are(tmp_path: Path, planes: int) -> None:
    """A patient with two series of two slices has four rows, and each leads to its image."""
    (tmp_path / "ct").mkdir()
    volume = np.random.default_rng(2).uniform(-900, 100, (2, 8, 8)).astype(np.float32)
    for name in ("x", "y"):
        series = Series(name, "ZQX-P1", "F", 60, (-7.0, 1.0, -100.0), 1.0, 2.5)
        paths = [tmp_path / "ct" / f"{name}{n}.dcm" for n in range(2)]
        write_series(series, volume, SCANNERS[0], paths)
    data = {"kind": "dicom", "image_size": 8, "labels": "points", "structures": ["mass"]}
    trained = trained_with(**DETECTION, data=data | {"planes": planes, "spacing_mm": 1.0})
    for own in (False, True):
        predict(Order(trained, tmp_path / str(own), CPU, own_names=own), tmp_path / "ct")
    rows, named = table(tmp_path / "False"), table(tmp_path / "True")
    assert sorted({(row["series"], row["instance"]) for row in rows}) == [
        (series, instance) for series in "12" for instance in "12"
    ]
    assert "file" not in rows[0], "the name of a file may identify"
    assert list(rows[0])[:4] == ["case", "series", "instance", "score_1"]
    for row in named:
        found = dcmread(tmp_path / "ct" / row["file"])
        assert int(row["instance"]) == found.InstanceNumber
        assert float(row["z_mm_1"]) == pytest.approx(found.ImagePositionPatient[2], abs=0.01)


def test_finds_in_arrays_say_in_which_image_they_are(tmp_path: Path) -> None:
    images = np.random.default_rng(1).integers(0, 256, (4, 8, 8)).astype(np.uint8)
    np.savez(tmp_path / "i.npz", images=images, patients=["a", "b", "a", "a"])
    data = {"kind": "arrays", "image_size": 8, "labels": "points", "structures": ["mass"]}
    data |= {"max_samples_per_patient": 2}
    predict(Order(trained_with(**DETECTION, data=data), tmp_path / "out", CPU), tmp_path / "i.npz")
    found = [(row["case"], row["image"]) for row in table(tmp_path / "out")]
    assert len(found) == 3
    assert ("case-0002", "2") in found
    assert {image for case, image in found if case == "case-0001"} < {"1", "3", "4"}


def test_answers_of_every_kind_of_target() -> None:
    outputs = torch.tensor([[0.0, 1.0], [2.0, -3.0]])
    series = {"kind": "series", "minimum": 0, "maximum": 400, "horizons_minutes": [30, 60]}
    forecast = trained_with(task={"name": "forecasting"}, model={"name": "linear"}, data=series)
    told = answers(forecast.study, forecast.task, outputs)
    assert told == {"after_30_minutes": [200.0, 400.0], "after_60_minutes": [400.0, 0.0]}
    images = {"kind": "arrays", "image_size": 4, "labels": "classes"}
    several = {"name": "multilabel", "findings": ["a", "b"]}
    findings = trained_with(task=several, data=images)
    told = answers(findings.study, findings.task, outputs)
    assert told["p_b"] == pytest.approx([0.731059, 0.047426], abs=1e-6)
    rows = {
        "kind": "table",
        "target": "died",
        "positive": [1],
        "features": [{"name": "age", "minimum": 0, "maximum": 100}],
        "follow_up": {"time": "days", "edges": [30, 60]},
    }
    survival = trained_with(task={"name": "survival"}, data=rows)
    told = answers(survival.study, survival.task, outputs)
    first, second = 0.1, 1 / (1 + math.exp(-(1 + math.log(0.1 / 0.9))))  # 0.1: the usual hazard
    assert told["risk_by_30_d"][0] == pytest.approx(first, abs=1e-6)
    assert told["risk_by_60_d"][0] == pytest.approx(1 - (1 - first) * (1 - second), abs=1e-6)


def test_a_task_may_answer_in_its_own_words() -> None:
    trained = trained_with()
    trained.task.answers = lambda outputs: {"said": ["so"] * len(outputs)}  # type: ignore[attr-defined]
    assert answers(trained.study, trained.task, torch.zeros(2, 2)) == {"said": ["so", "so"]}


def test_a_run_is_read_back(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", transfer={"freeze": ["*.weight"]})
    found: Trained = load_trained(run)
    assert (found.study.name, len(found.version)) == ("tiny", 12)
    (run / "study.toml").write_text((run / "study.toml").read_text().replace("4,", "5,"))
    with pytest.raises(RunError, match="do not belong"):
        load_trained(run)
    (run / "model.safetensors").unlink()
    with pytest.raises(RunError, match="no final model"):
        load_trained(run)
    with pytest.raises(RunError, match="no run"):
        load_trained(tmp_path)


def test_the_command(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    house = write_site(tmp_path / "house", "h", 3, patients=3)
    inputs = [str(house / "scans.npz")] * 2
    done = CliRunner().invoke(
        build(), ["predict", str(run), *inputs, "--out", str(tmp_path / "out"), "--device", "cpu"]
    )
    assert done.exit_code == 0, done.output
    assert "3 predictions" in done.output
    assert table(tmp_path / "out" / "input-1") == table(tmp_path / "out" / "input-2")
    assert Beside() == Order(load_trained(run), tmp_path, CPU).beside
