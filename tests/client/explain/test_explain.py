"""`consilium explain` on small hospitals and untrained models: pages, files, names, refusals."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import save_file
from typer.testing import CliRunner

from client.site import Site
from common.cli import build
from common.errors import ConsiliumError, StudyError
from common.models import build_model
from common.study import Study
from common.study_file import dump_study
from common.tasks import build_task

MakeStudy = Callable[..., Study]


def untrained(folder: Path, study: Study) -> Path:
    """A finished run whose model has learned nothing."""
    folder.mkdir()
    (folder / "study.toml").write_text(dump_study(study))
    weights = build_model(study, build_task(study).outputs).state_dict()
    save_file(
        {name: value.contiguous() for name, value in weights.items()}, folder / "model.safetensors"
    )
    return folder


def run(*arguments: object) -> str:
    result = CliRunner().invoke(build(), ["explain", *map(str, arguments), "--device", "cpu"])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def test_images_of_the_site(
    tmp_path: Path, make_study: MakeStudy, make_site: Callable[..., Site]
) -> None:
    model = untrained(tmp_path / "run", make_study(model={"name": "plain-cnn", "channels": [4]}))
    site = make_site()
    out = tmp_path / "out"
    said = run(model, "--site", site.folder, "--out", out, "--samples", 1)
    assert "3 cases explained" in said
    page = (out / "explanations.html").read_text()
    assert "ZQX-" not in page, "a patient's own name"
    assert page.count("data:image/png") == 3 * 5, "the image and four methods"
    assert "No Attention" in page
    names = sorted(path.name for path in out.iterdir())
    assert not any("ZQX" in name for name in names)
    assert all(path.stat().st_mode & 0o077 == 0 for path in [out, *out.iterdir()])
    with np.load(out / next(name for name in names if name.endswith(".npz"))) as found:
        assert set(found) == {"sample", "saliency", "integrated-gradients", "grad-cam", "occlusion"}


def test_one_case_by_its_own_name_and_one_method(
    tmp_path: Path, make_study: MakeStudy, make_site: Callable[..., Site]
) -> None:
    model = untrained(tmp_path / "run", make_study(model={"name": "plain-cnn", "channels": [4]}))
    site, out = make_site(), tmp_path / "out"
    name = "ZQX-patient-0007-Meier"
    options = ("--site", site.folder, "--out", out, "--case", name, "--own-names")
    said = run(model, *options, "--method", "saliency", "--target", "no")
    assert "1 cases explained" in said
    assert name not in said
    page = (out / "explanations.html").read_text()
    assert f"<h2>{name}</h2>" in page
    assert "log odds of no" in page
    assert not list(out.glob("*occlusion*"))


def table_run(tmp_path: Path, make_study: MakeStudy) -> tuple[Path, Path]:
    features = [
        {"name": "age", "minimum": 20, "maximum": 80, "fill": 65},
        {"name": "pain", "type": "category", "categories": ["none", "some"]},
    ]
    data = {"kind": "table", "target": "ill", "positive": [1], "features": features}
    study = make_study(data=data | {"image_size": None}, model={"name": "tabular-transformer"})
    table = tmp_path / "new.csv"
    table.write_text("id,age,pain\na<b>,65,some\nb,30,none\nc,,none\n")
    return untrained(tmp_path / "run", study), table


def test_a_table_as_bars(tmp_path: Path, make_study: MakeStudy) -> None:
    model, table = table_run(tmp_path, make_study)
    out = tmp_path / "out"
    run(model, table, "--case-column", "id", "--case", "a<b>", "--own-names", "--out", out)
    page = (out / "explanations.html").read_text()
    assert "a&lt;b&gt;" in page
    assert "No Grad-CAM: a table has no places." in page
    drawing = (out / "case-0001-sample-1-occlusion.svg").read_text()
    assert ">age</text>" in drawing
    assert ">some</text>" in drawing
    with np.load(out / "case-0001-sample-1.npz") as found:
        assert found["occlusion"][0] == 0, "65 is what stands for a missing age"
        assert found["occlusion"][1] != 0
        told = re.search(r"log odds of yes = (\S+); of the comparison (\S+)\.\s", page)
        assert told is not None
        difference = float(told[1]) - float(told[2])
        assert found["integrated-gradients"].sum() == pytest.approx(difference, abs=5e-3)


def test_series_as_curves(tmp_path: Path, make_study: MakeStudy) -> None:
    data = {"kind": "series", "minimum": 40.0, "maximum": 400.0, "unit": "mg/dL"}
    data |= {"horizons_minutes": [30.0], "history_minutes": 60.0, "image_size": None}
    study = make_study(
        data=data, task={"name": "forecasting", "classes": None}, model={"name": "lstm"}
    )
    model, out = untrained(tmp_path / "run", study), tmp_path / "out"
    readings = tmp_path / "readings.csv"
    rows = [f"p,2026-01-01T{m // 60:02d}:{m % 60:02d}:00,{120 + m % 40}" for m in range(0, 300, 5)]
    readings.write_text("patient,time,value\n" + "\n".join(rows) + "\n")
    site = tmp_path / "site"
    site.mkdir()
    (site / "site.toml").write_text(
        '[site]\nname = "north"\n[data.cgm]\nkind = "series"\npath = "../readings.csv"\n'
        'patient = "patient"\ntime = "time"\nvalue = "value"\ndeclared_patients = 10\n'
        "[policy]\nmax_epsilon = 5.0\ndelta = 1e-3\nmin_patients = 5\n"
    )
    run(model, "--site", site, "--out", out)
    page = (out / "explanations.html").read_text()
    assert "forecast after 30 minutes (mg/dL)" in page
    assert "time 2026-01-01T04:55:00" in page, "the last window is explained"
    assert page.count('class="drawing"') == 2 * 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--case", "nobody"), "Case 1 of those asked for is not among the 3"),
        (("--method", "salency"), "Did you mean 'saliency'"),
        (("--target", "maybe"), "It has: no, yes"),
    ],
)
def test_refusals(
    tmp_path: Path, make_study: MakeStudy, options: tuple[str, str], message: str
) -> None:
    model, table = table_run(tmp_path, make_study)
    with pytest.raises(ConsiliumError, match=message):
        run(model, table, "--out", tmp_path / "out", *options)
    assert not (tmp_path / "out").exists(), "nothing is written"


def test_methods_of_which_none_suits_the_network(
    tmp_path: Path, make_study: MakeStudy, make_site: Callable[..., Site]
) -> None:
    model = untrained(tmp_path / "run", make_study(model={"name": "mlp", "hidden": [4]}))
    asked = (model, "--site", make_site().folder, "--out", tmp_path / "out")
    picky = ("--method", "attention", "--method", "grad-cam")
    with pytest.raises(StudyError, match=r"Attention: .* no attention.*; Grad-CAM") as refused:
        run(*asked, *picky)
    assert refused.value.fix == "These can: saliency, integrated-gradients, occlusion."
    assert not (tmp_path / "out").exists()
    assert "3 cases explained" in run(*asked, *picky, "--method", "saliency")
    assert "No Grad-CAM" in (tmp_path / "out" / "explanations.html").read_text()


def test_a_method_that_suits_a_table_is_named(tmp_path: Path, make_study: MakeStudy) -> None:
    model, table = table_run(tmp_path, make_study)
    with pytest.raises(StudyError) as refused:
        run(model, table, "--out", tmp_path / "out", "--method", "grad-cam")
    assert refused.value.fix.endswith("occlusion, attention.")


def test_nothing_to_explain(tmp_path: Path, make_study: MakeStudy) -> None:
    model, _ = table_run(tmp_path, make_study)
    with pytest.raises(ConsiliumError, match="nothing to explain"):
        run(model)
