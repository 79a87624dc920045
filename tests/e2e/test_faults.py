"""Bad input at the command line: one clear message, its exit code, and never a traceback."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w
from dp_accounting.pld import privacy_loss_distribution as pld
from processes import Ended, run_forked, run_fresh
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid
from tiny_hospitals import (
    NAMES,
    POLICY,
    SECRET_WORD,
    changed,
    files_below,
    write_hospitals,
    write_site,
    write_study,
)

Shot = Callable[..., Ended]


@pytest.fixture
def simulate(tmp_path: Path, hospitals: Path) -> Shot:
    """Runs `consilium simulate` on the tiny study, or on what the test says, in `tmp_path`."""

    def run(
        *more: object,
        study: object = None,
        houses: object = None,
        process: Callable[..., Ended] = run_forked,
    ) -> Ended:
        file = study or write_study(tmp_path / "tiny.toml")
        where = ("--hospitals", houses or hospitals, "--run", tmp_path / "run")
        return process("simulate", file, *where, *more, cwd=tmp_path)

    return run


def refused(ended: Ended, code: int, *words: str) -> None:
    """Check the code, the shape of the message and that it says these words."""
    assert ended.code == code, ended.text
    assert ended.text.count("error: ") == 1, ended.text
    assert f"docs/exit-codes/{code}.md" in ended.text
    for word in words:
        assert word in ended.text, ended.text


def test_a_sound_run_prints_its_table_and_leaves_a_report(simulate: Shot, tmp_path: Path) -> None:
    ended = simulate(process=run_fresh)
    assert ended.code == 0, ended.text
    assert "hospital-3" in ended.text
    assert "report.html" in ended.text
    assert (tmp_path / "run" / "report.html").stat().st_size > 1000
    for name, content in files_below(tmp_path / "run").items():
        assert SECRET_WORD.encode() not in content, name
    ended = run_forked("report", tmp_path / "run", cwd=tmp_path)
    assert ended.code == 0, ended.text


def test_the_audit_of_a_run_agrees_with_dp_accounting(simulate: Shot, tmp_path: Path) -> None:
    assert simulate().code == 0
    ended = run_forked("audit", "ledger", tmp_path / "run", "--json", cwd=tmp_path)
    assert ended.code == 0, ended.text
    found = json.loads(ended.text)
    by_hand = pld.from_gaussian_mechanism(
        1.0, value_discretization_interval=1e-4, sampling_prob=0.25
    )
    want = by_hand.self_compose(9).get_epsilon_for_delta(1e-3)
    told = [each["total"]["epsilon"]["pld"] for each in found["ledgers"]]
    assert told == pytest.approx([want] * 3, abs=2e-3)

    (tmp_path / "run" / "ledgers" / "hospital-2.ledger").write_bytes(b"nothing" * 1000)
    ended = run_forked("audit", "ledger", tmp_path / "run", cwd=tmp_path)
    assert ended.code == 4, ended.text
    assert run_forked("audit", "ledger", tmp_path / "nowhere", cwd=tmp_path).code == 2


def test_the_audit_finds_a_budget_that_was_exceeded(simulate: Shot, tmp_path: Path) -> None:
    """The first run is allowed; then the hospital lowers its limit below what was spent."""
    houses = write_hospitals(tmp_path / "houses")
    assert simulate(houses=houses).code == 0
    from client.guard.ledger import Ledger

    ledger = Ledger(tmp_path / "run" / "ledgers" / f"{NAMES[0]}.ledger", NAMES[0], NAMES[0])
    ledger.record_policy({**POLICY, "max_epsilon": 0.5})
    ended = run_forked("audit", "ledger", tmp_path / "run", cwd=tmp_path)
    assert ended.code == 3, ended.text


STUDIES: dict[str, tuple[Any, str]] = {
    "missing": (None, "no study file"),
    "not TOML": ("[study\nname=", "not valid TOML"),
    "empty": ("", "missing"),
    "binary": (b"\xff\xfe\x00\x01", "UTF-8"),
    "unknown key": ({"training": {"learning_rat": 1}}, "learning_rate"),
    "unknown table": ({"trainings": {"a": 1}}, "training"),
    "unknown model": ({"model": {"name": "mlpp"}}, "Did you mean 'mlp'?"),
    "unknown option": ({"model": {"hiden": [3]}}, "hidden"),
    "unknown algorithm": ({"federation": {"algorithm": "fedavgg"}}, "fedavg"),
    "unknown task": ({"task": {"name": "classify"}}, "classification"),
    "wrong type": ({"federation": {"rounds": "three"}}, "federation.rounds"),
    "no rounds": ({"federation": {"rounds": 0}}, "federation.rounds"),
    "no learning rate": ({"training": {"learning_rate": float("nan")}}, "learning_rate"),
    "infinite noise": ({"privacy": {"noise_multiplier": float("inf")}}, "noise_multiplier"),
    "wrong data": ({"data": {"kind": "pictures"}}, "kind"),
    "epsilon and sigma": ({"privacy": {"epsilon": 1.0}}, "epsilon"),
    "a model that cannot take it": ({"model": {"name": "lstm", "hidden": None}}, "lstm"),
}


@pytest.mark.parametrize("name", STUDIES)
def test_a_bad_study_is_refused_with_the_key(simulate: Shot, tmp_path: Path, name: str) -> None:
    content, word = STUDIES[name]
    file = tmp_path / "study.toml"
    if isinstance(content, dict):
        write_study(file, **content)
    elif content is not None:
        file.write_bytes(content.encode() if isinstance(content, str) else content)
    refused(simulate(study=file), 2, word)
    assert not (tmp_path / "run").exists()


def test_a_folder_or_an_unknown_name_is_no_study(simulate: Shot, tmp_path: Path) -> None:
    refused(simulate(study=tmp_path), 2)
    refused(simulate(study="lung-nodul"), 2, "lung-nodule")
    refused(run_fresh("simulate", "nothing.toml", cwd=tmp_path), 2, "no study file")


@pytest.mark.parametrize(
    ("override", "word"),
    [
        ("training.learning_rat=1", "learning_rate"),
        ("training", "section.key=value"),
        ("=3", "section.key=value"),
        ("study.name.first=x", "not a table"),
        ("federation.rounds=many", "federation.rounds"),
        ("model.name=mlpp", "mlp"),
    ],
)
def test_a_bad_override_is_refused(simulate: Shot, override: str, word: str) -> None:
    refused(simulate("--set", override), 2, word)


def test_a_study_of_ones_own_needs_hospitals(tmp_path: Path) -> None:
    study = write_study(tmp_path / "tiny.toml")
    refused(run_forked("simulate", study, cwd=tmp_path), 2, "--hospitals")


def test_hospitals_that_are_not_there(simulate: Shot, tmp_path: Path) -> None:
    refused(simulate(houses=tmp_path / "nowhere"), 2, "nowhere")
    (tmp_path / "empty").mkdir()
    refused(simulate(houses=tmp_path / "empty"), 5, "site.toml")
    houses = write_hospitals(tmp_path / "houses")
    (houses / NAMES[1] / "site.toml").unlink()
    refused(simulate(houses=houses), 5, "hospital-2")


@pytest.mark.parametrize(
    ("site", "word"),
    [
        ("[site\n", "not valid TOML"),
        ({"sites": {"name": "x"}}, "sites"),
        ({"policy": {"max_epsilonn": 3}}, "max_epsilon"),
        ({"policy": {"statistics": "all"}}, "statistics"),
        ({"data": {"kind": "array"}}, "kind"),
        ({"data": {"declared_patients": 0}}, "declared_patients"),
        ({"site": {"name": "../../etc"}}, "letters, digits"),
        ({"compute": {"device": "cuda:99"}}, "device"),
    ],
)
def test_a_bad_site_file_is_refused(simulate: Shot, tmp_path: Path, site: Any, word: str) -> None:
    houses = write_hospitals(tmp_path / "houses")
    file = houses / NAMES[1] / "site.toml"
    if isinstance(site, str):
        file.write_text(site)
    else:
        import tomllib

        file.write_text(tomli_w.dumps(changed(tomllib.loads(file.read_text()), site)))
    ended = simulate(houses=houses)
    refused(ended, 9 if "compute" in site else 2, word)
    assert "hospital-2" in ended.text


def one_bad_house(tmp_path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """Write hospitals of which the second's arrays are changed."""
    houses = write_hospitals(tmp_path / "houses")
    file = houses / NAMES[1] / "scans.npz"
    with np.load(file) as stored:
        content = {name: stored[name] for name in stored.files}
    change(content)
    np.savez(file, **content)
    return houses


def test_a_site_without_patients(simulate: Shot, tmp_path: Path) -> None:
    houses = one_bad_house(tmp_path, lambda c: c.update({k: v[:0] for k, v in c.items()}))
    refused(simulate(houses=houses), 5, "hospital-2")


def test_a_site_with_fewer_patients_than_its_own_least(simulate: Shot, tmp_path: Path) -> None:
    houses = write_hospitals(tmp_path / "houses")
    write_site(houses / NAMES[1], NAMES[1], 2, patients=6, policy={"min_patients": 20})
    refused(simulate(houses=houses), 6, "hospital-2", "min_patients")


def test_a_site_whose_file_is_gone_or_no_file(simulate: Shot, tmp_path: Path) -> None:
    houses = write_hospitals(tmp_path / "houses")
    file = houses / NAMES[1] / "scans.npz"
    file.write_bytes(b"PK\x03\x04 not really")
    refused(simulate(houses=houses), 5, "hospital-2")
    file.unlink()
    refused(simulate(houses=houses), 5, "hospital-2")


def test_a_patient_in_two_splits(simulate: Shot, tmp_path: Path) -> None:
    def split(content: dict[str, Any]) -> None:
        whole = {k: content.pop(k) for k in list(content)}
        for name, part in (("train", slice(0, 61)), ("test", slice(61, None))):
            content.update({f"{name}_{k}": v[part] for k, v in whole.items()})

    refused(simulate(houses=one_bad_house(tmp_path, split)), 5, "hospital-2", "two splits")


def test_labels_that_are_no_classes(simulate: Shot, tmp_path: Path) -> None:
    houses = one_bad_house(tmp_path, lambda c: c.update(labels=c["labels"] + 7))
    refused(simulate(houses=houses), 5, "hospital-2", "labels")


def test_images_of_another_size(simulate: Shot, tmp_path: Path) -> None:
    houses = one_bad_house(tmp_path, lambda c: c.update(images=c["images"][:, :5]))
    refused(simulate(houses=houses), 5, "hospital-2")


def test_a_study_without_privacy_is_refused_by_the_default_policy(
    simulate: Shot, tmp_path: Path
) -> None:
    houses = write_hospitals(tmp_path / "houses")
    for name in NAMES:
        file = houses / name / "site.toml"
        file.write_text(file.read_text().split("[policy]")[0])
    ended = simulate("--set", "privacy.enabled=false", houses=houses)
    refused(ended, 6, "allow_non_private", "without privacy")


def test_a_budget_that_is_too_small(simulate: Shot, tmp_path: Path) -> None:
    houses = write_hospitals(tmp_path / "houses")
    write_site(houses / NAMES[2], NAMES[2], 3, policy={"max_epsilon": 1.0})
    refused(simulate(houses=houses), 3, "hospital-3", "max_epsilon")


def test_folders_of_runs(simulate: Shot, tmp_path: Path) -> None:
    refused(simulate("--resume"), 7, "no run to resume")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "notes.txt").write_text("mine")
    refused(simulate(), 7, "exists already")
    assert (tmp_path / "run" / "notes.txt").read_text() == "mine"
    shutil.rmtree(tmp_path / "run")
    (tmp_path / "run").write_text("a file in place of the folder")
    refused(simulate(), 7, "exists already")
    refused(simulate("--resume"), 7)
    refused(simulate("--run", tmp_path / "run" / "inside"), 9, "cannot be written")
    (tmp_path / "run").unlink()
    assert simulate().code == 0
    refused(simulate(), 7, "--resume")
    refused(simulate("--resume", "--set", "training.learning_rate=0.3"), 7, "other settings")
    refused(simulate("--resume", "--seed", "99"), 7, "--seed 5")
    assert simulate("--resume").code == 0
    (tmp_path / "run" / "outcome.json").write_text("{")
    refused(simulate("--resume"), 7, "outcome.json")


def test_without_a_terminal_or_a_word_too_many(simulate: Shot, tmp_path: Path) -> None:
    for words in (("simulate",), ("simulate", "x", "--enigne", "ray"), ("simulat",)):
        ended = run_forked(*words, cwd=tmp_path)
        assert ended.code == 2, ended.text
    assert run_forked("--version", cwd=tmp_path).code == 0


def slice_of(path: Path, patient: str, level: int) -> None:
    """Write one CT slice whose middle is as bright as `level`."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    file.SOPClassUID, file.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
    file.Modality, file.PatientID, file.PatientName = "CT", patient, f"{patient}^Name"
    file.SeriesInstanceUID = generate_uid()
    file.ImagePositionPatient, file.ImageOrientationPatient = [0, 0, 0], [1, 0, 0, 0, 1, 0]
    file.PixelSpacing, file.RescaleSlope, file.RescaleIntercept = [1, 1], 1, -1024
    file.SamplesPerPixel, file.PhotometricInterpretation = 1, "MONOCHROME2"
    file.Rows = file.Columns = 8
    file.BitsAllocated = file.BitsStored = 16
    file.HighBit, file.PixelRepresentation, file.InstanceNumber = 15, 0, 1
    pixels = np.full((8, 8), 400, np.uint16)
    pixels[2:6, 2:6] = level
    file.PixelData = pixels.tobytes()
    file["PixelData"].VR = "OW"
    path.parent.mkdir(parents=True, exist_ok=True)
    file.save_as(path, enforce_file_format=True)


@pytest.fixture
def ct_houses(tmp_path: Path) -> Path:
    """Two hospitals with ten patients' CT slices each and a table of labels."""
    for number in (1, 2):
        folder = tmp_path / "ct" / f"hospital-{number}"
        rows = ["patient_id,label,split"]
        for patient in range(12):
            name, label = f"{SECRET_WORD}{number}{patient:03d}", patient % 2
            slice_of(folder / "dicom" / f"{patient}.dcm", name, 300 + 600 * label)
            rows.append(
                f"{name},{'square' if label else 'round'},{'test' if patient > 8 else 'train'}"
            )
        (folder / "labels.csv").write_text("\n".join(rows) + "\n")
        data = {"kind": "dicom", "path": "dicom", "labels": "labels.csv", "declared_patients": 12}
        content = {"site": {"name": f"hospital-{number}"}, "data": data, "policy": POLICY}
        (folder / "site.toml").write_text(tomli_w.dumps(content))
    return tmp_path / "ct"


def ct_study(tmp_path: Path) -> Path:
    return write_study(tmp_path / "ct.toml", data={"kind": "dicom", "image_size": 8})


def test_labels_for_absent_patients_and_broken_files_are_a_warning(
    simulate: Shot, tmp_path: Path, ct_houses: Path
) -> None:
    house = ct_houses / "hospital-2"
    with (house / "labels.csv").open("a") as file:
        file.write(f"{SECRET_WORD}gone1,round,train\n{SECRET_WORD}gone2,square,test\n")
    (house / "dicom" / f"{SECRET_WORD}.dcm").write_bytes(b"\0" * 128 + b"DICM broken")
    (house / "dicom" / "notes.txt").write_text(f"{SECRET_WORD} is well")
    ended = simulate(study=ct_study(tmp_path), houses=ct_houses)
    assert ended.code == 0, ended.text
    assert "hospital-2: 2 labelled patients have no usable images" in ended.text
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["sites"]["hospital-2"]["quarantined"] >= 1
    assert metrics["sites"]["hospital-2"]["patients"] == 12
    for name, content in files_below(tmp_path / "run").items():
        assert SECRET_WORD.encode() not in content, name
        assert SECRET_WORD not in name


def test_a_dicom_patient_in_two_splits_or_with_two_labels(
    simulate: Shot, tmp_path: Path, ct_houses: Path
) -> None:
    labels = ct_houses / "hospital-2" / "labels.csv"
    sound = labels.read_text()
    labels.write_text(f"{sound}{SECRET_WORD}2000,round,test\n")
    refused(simulate(study=ct_study(tmp_path), houses=ct_houses), 5, "hospital-2", "two splits")
    labels.write_text(f"{sound}{SECRET_WORD}2000,square,train\n")
    refused(simulate(study=ct_study(tmp_path), houses=ct_houses), 5, "two different labels")
    labels.unlink()
    refused(simulate(study=ct_study(tmp_path), houses=ct_houses), 5, "labels.csv")


def test_a_table_whose_columns_are_missing(simulate: Shot, tmp_path: Path) -> None:
    for name in NAMES[:2]:
        folder = tmp_path / "tables" / name
        folder.mkdir(parents=True)
        rows = [f"{SECRET_WORD}{n},{20 + n},{n % 2}" for n in range(40)]
        (folder / "table.csv").write_text("\n".join(["who,age,ill", *rows]) + "\n")
        data = {
            "kind": "table",
            "path": "table.csv",
            "patient": "who",
            "declared_patients": 40,
        }
        content = {"site": {"name": name}, "data": data, "policy": POLICY}
        (folder / "site.toml").write_text(tomli_w.dumps(content))
    features = [{"name": "age", "type": "number", "minimum": 0, "maximum": 100}]
    data = {
        "kind": "table",
        "image_size": None,
        "features": features,
        "target": "ill",
        "positive": [1],
    }
    study = write_study(tmp_path / "table.toml", data=data)
    assert simulate(study=study, houses=tmp_path / "tables").code == 0
    shutil.rmtree(tmp_path / "run")
    file = tmp_path / "tables" / NAMES[1] / "table.csv"
    file.write_text(file.read_text().replace("who,age,ill", "who,years,ill"))
    refused(simulate(study=study, houses=tmp_path / "tables"), 5, "hospital-2", "'age'")
