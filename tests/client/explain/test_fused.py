"""Parts of fused data are explained each by itself: by column, by channel, as a picture, as a structure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from trained_runs import trained_with, write_run
from typer.testing import CliRunner

from client.explain.methods import explained
from client.explain.question import Unsuited
from client.explain.scores import scores_of
from client.explain.views import View, views_of
from common.cli import build
from common.data_spec import FusedSpec

pytest.importorskip("captum", reason="needs Captum (pip install consilium[explain])")

DATA: dict[str, Any] = {
    "kind": "fused",
    "target": "record",
    "parts": {
        "ecg": {
            "kind": "signals",
            "sampling_hz": 10.0,
            "window_seconds": 1.6,
            "channels": [{"name": "lead-two", "minimum": -10, "maximum": 10, "unit": "mV"}],
        },
        "film": {"kind": "arrays", "image_size": 12, "labels": "none", "value_max": 100},
        "record": {
            "kind": "table",
            "target": "ill",
            "positive": [1],
            "features": [
                {"name": "age", "minimum": 0, "maximum": 100, "fill": 40, "unit": "a"},
                {"name": "smoker", "type": "flag"},
            ],
        },
    },
}
NETWORKS = {
    "ecg": {"name": "temporal-convolution", "blocks": 1, "channels": 4},
    "film": {"name": "plain-cnn", "channels": [4]},
    "record": {"name": "linear"},
}
FUSED: dict[str, Any] = {
    "task": {"name": "classification", "classes": ["well", "ill"]},
    "model": {"name": "fusion", "parts": NETWORKS},
    "data": DATA,
}


SITE = """
[site]
name = "house"
[data]
kind = "fused"
declared_patients = 10
[data.parts.record]
kind = "table"
path = "records.csv"
patient = "patient_id"
[data.parts.film]
kind = "arrays"
path = "films.npz"
[data.parts.ecg]
kind = "signals"
path = "ecg"
labels = "ecg.csv"
rate_hz = 10.0
"""


def write_house(folder: Path) -> None:
    """Anna has everything, Bert the record alone."""
    (folder / "site.toml").write_text(SITE)
    (folder / "records.csv").write_text("patient_id,age,smoker\nanna,50,1\nbert,75,0\n")
    draw = np.random.default_rng(3)
    images = draw.uniform(0, 100, (1, 12, 12))
    np.savez(folder / "films.npz", images=images, patients=np.array(["anna"]))
    (folder / "ecg").mkdir()
    readings = "\n".join(f"{value:.3f}" for value in draw.normal(size=16))
    (folder / "ecg/1.csv").write_text(f"lead-two\n{readings}\n")
    (folder / "ecg.csv").write_text("record,patient_id\n1,anna\n")


def run(*arguments: object) -> str:
    result = CliRunner().invoke(build(), ["explain", *map(str, arguments), "--device", "cpu"])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def test_each_part_in_its_own_words(tmp_path: Path) -> None:
    model, out = write_run(tmp_path / "run", **FUSED), tmp_path / "out"
    write_house(tmp_path)
    run(model, "--site", tmp_path, "--out", out, "--own-names")
    page = (out / "explanations.html").read_text()
    assert "input 1" not in page
    for words in (">age</text>", ">smoker</text>", ">50 a</text>", "lead-two (mV)"):
        assert words in page
    for part in ("all parts", "ecg", "film", "record"):
        assert f"<h3>Sample 1 of 1: {part}</h3>" in page
    assert page.count("data:image/png") == 1 + 4, "the film, and four methods of it"
    bert = page[page.index("<h2>bert</h2>") :]
    assert "film&#39; is missing." in bert
    assert "1 of 1: film" not in bert
    with np.load(out / "case-0001-sample-1-film.npz") as found:
        assert found["sample"].shape == (1, 12, 12)
        assert found["occlusion"].shape == (12, 12)
    with np.load(out / "case-0001-sample-1-record.npz") as found:
        assert found["integrated-gradients"].shape == (2,)


class Known(nn.Module):
    """Knows only the age: its second output is three times the scaled age."""

    def __init__(self, place: int) -> None:
        super().__init__()
        self._place = place

    def forward(self, samples: torch.Tensor) -> torch.Tensor:
        age = samples[:, self._place]
        return torch.stack([torch.zeros_like(age), 3 * age], 1)


def views(
    network: nn.Module | None = None, flags: tuple[int, ...] = (1, 1, 1), **networks: Any
) -> list[View]:
    sections = FUSED | {"model": {"name": "fusion", "parts": NETWORKS | networks}}
    trained = trained_with(network, **sections)
    spec = trained.study.data
    assert isinstance(spec, FusedSpec)
    raw = np.random.default_rng(1).uniform(-1, 1, (1, *spec.input_shape)).astype(np.float32)
    raw[0, :3] = flags
    score = scores_of(trained.study, trained.task)[-1]
    return list(views_of(spec, trained.network, score, raw, {}, torch.device("cpu")))


def test_only_the_part_that_counts_says_anything() -> None:
    spec = FusedSpec.model_validate(DATA)
    found = {view.name: view.question for view in views(Known(spec.layout[-1].start))}
    age = float(found["record"].sample[0, 0])
    for name in ("saliency", "integrated-gradients", "occlusion"):
        for part in ("ecg", "film"):
            assert not explained(name, found[part]).any()
    assert explained("occlusion", found["record"]) == pytest.approx([3 * (age + 0.2), 0], abs=1e-5)
    assert found["film"].value == pytest.approx(found["record"].value) == pytest.approx(3 * age)


def test_maps_and_attention_are_looked_for_in_the_part_alone() -> None:
    made = views(record={"name": "tabular-transformer"})
    found = {view.name: view.question for view in made}
    assert explained("grad-cam", found["film"]).shape == (12, 12)
    assert explained("grad-cam", found["ecg"]).shape == (16,)
    assert explained("attention", found["record"]).shape == (2,)
    with pytest.raises(Unsuited, match="no attention"):
        explained("attention", found["film"])
    with pytest.raises(Unsuited, match="a table has no places"):
        explained("grad-cam", found["record"])


def test_a_part_that_is_missing_is_not_explained() -> None:
    assert [view.name for view in views(flags=(0, 1, 1))] == ["film", "record"]


def test_what_parts_are_compared_with() -> None:
    """A film with darkness, a signal with its own mean, a record with the public fill; the other parts stay."""
    found = {view.name: view.question for view in views()}
    assert (found["film"].baseline == -1).all()
    ecg = found["ecg"]
    assert torch.allclose(ecg.baseline, ecg.sample.mean(1, keepdim=True).expand_as(ecg.sample))
    assert found["record"].baseline[0].tolist() == pytest.approx([-0.2, 0.0])
    assert len({round(question.value, 5) for question in found.values()}) == 1


def test_molecules_as_a_part(tmp_path: Path) -> None:
    pytest.importorskip("rdkit", reason="needs RDKit (pip install consilium[molecules])")
    drug = {"kind": "molecules", "representation": "graph", "max_atoms": 9, "target": "none"}
    data = DATA | {
        "parts": {"record": DATA["parts"]["record"], "drug": drug | {"positive": [1]}},
    }
    networks = {"record": {"name": "linear"}, "drug": {"name": "molecule-graph", "width": 4}}
    sections = FUSED | {"data": data, "model": {"name": "fusion", "parts": networks}}
    (tmp_path / "records.csv").write_text("patient_id,age,smoker\nanna,50,1\nbert,75,0\n")
    (tmp_path / "drugs.csv").write_text("patient_id,smiles\nbert,CC(=O)N\ncarl,CO\n")
    model, out = write_run(tmp_path / "run", **sections), tmp_path / "out"
    given = [
        f"--part={name}={tmp_path / file}.csv"
        for name, file in (("record", "records"), ("drug", "drugs"))
    ]
    run(model, *given, "--out", out, "--own-names")
    page = (out / "explanations.html").read_text()
    anna, bert = page.split("<h2>bert</h2>")
    assert "drug&#39; is missing." in anna
    assert bert.count("data:image/png") == 3
    with np.load(out / "case-0002-sample-1-drug.npz") as found:
        assert found["occlusion-by-atom"].shape == (4,), "acetamide, not methanol"
