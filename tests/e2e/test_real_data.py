"""Real data as a new user meets them: a site.toml, a study file, the doctor, a run, and no identifier left behind.

The page docs/real-data.md is followed as written; what it does not show (each folder of images by itself, a folder of
junk, a table with impossible values) is tried beside it.
"""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pages import DOCUMENTS
from processes import ENVIRONMENT, run_fresh

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"
PAGE = (DOCUMENTS / "real-data.md").read_text(encoding="utf-8")
SECTIONS = {part.split(":")[0].split("\n")[0]: part for part in PAGE.split("\n## ")[1:]}
# The page's own commands, with two short rounds in place of many.
SHORT = """set -euo pipefail
consilium() {
  local shorter=()
  if [ "$1" = simulate ]; then
    shorter=(--set federation.rounds=2 --set evaluation.every=2)
    shorter+=(--set evaluation.compare_non_private=false --quiet)
  fi
  command consilium "$@" "${shorter[@]}"
}
"""
# Run, study, sites, metric, the site that the doctor is asked about, and how that may end: two people of T1D-UOM share
# readings, which is red where the split that is drawn parts them.
FOUND = {
    "Mortality in intensive care": ("eicu", "eicu-mortality", 4, "auc", "South", {0}),
    "Blood pressures of the first day": ("vitals", "vital-signs", 4, "auc", "West", {0}),
    "Glucose half an hour ahead": ("glucose", "glucose-forecast", 5, "rmse", "T1D-UOM", {0, 5}),
    "Heart disease": ("heart", "heart-disease", 4, "auc", "switzerland", {0}),
    "Chest CT": ("ct", "ct-chest", 1, "accuracy", "archive", {0}),
}
# Each folder of images: its place in data/dicom, the patients that are labelled, and what is left out of it.
FOLDERS: Mapping[str, tuple[str, list[str], set[str]]] = {
    "chest": ("ct_chest_LungFCP-01-0001.zip", ["LungFCP-01-0001"], set()),
    "encodings": ("transfer_syntaxes", ["2178309"], {"duplicate"}),
    "segmented": ("seg_dcmqi", ["99000", "123456"], {"wrong modality"}),
    "malformed": (
        "malformed",
        ["2731983661_2478889767", "JXD191021006", "Anonimo", "0010"],
        {"wrong modality", "no patient id", "patient without a label"},
    ),
}
SITE = """[site]
name = "{name}"
[data]
{data}
declared_patients = {count}
[policy]
min_patients = 1
allow_non_private = true
statistics = "exact"
"""
STUDY = """[study]
name = "{name}"
[task]
name = "classification"
classes = ["other", "chest"]
[model]
name = "{model}"
[data]
{data}
[training]
learning_rate = 0.1
local_steps = 2
[privacy]
enabled = false
[federation]
rounds = 1
min_sites = 1
"""
IMAGES = STUDY.format(
    name="images", model="compact-cnn", data='kind = "dicom"\nimage_size = 32\nspacing_mm = 2.0'
)

pytestmark = pytest.mark.slow


@pytest.fixture
def shared() -> Path:
    """The folder of real data beside the repository."""
    if not SHARED.is_dir():
        pytest.skip("needs ../shared/data (real data, not part of the repository)")
    return SHARED


def in_a_shell(commands: str, folder: Path) -> None:
    """Run a block of the page."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", SHORT + commands],
        cwd=folder,
        env={**os.environ, **ENVIRONMENT, "PATH": path},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def doctor(site: Path, study: Path) -> tuple[int, list[dict[str, Any]]]:
    """Ask the doctor; return the exit code and the findings."""
    page = site.parent / "page.html"
    words = ("--study", study, "--data-only", "--json", "--html", page)
    told = run_fresh("site", "doctor", site, *words, cwd=site.parent)
    assert "must not leave the hospital" in page.read_text(encoding="utf-8")
    page.unlink()
    findings = json.loads(told.text)
    assert all(each["fix"] for each in findings if each["level"] == "red")
    return told.code, findings


def silent(site: Path, *places: Path) -> None:
    """Look for the site's identifiers in everything but its data, its index and its private lists."""
    ended = run_fresh("audit", "identifiers", site, *places, "--json", cwd=site)
    told = json.loads(ended.text)
    verdict = "sound" if told["identifiers"] else "nothing to look for"  # tables may name nobody
    assert (ended.code, told["verdict"], told["unread"]) == (0, verdict, []), ended.text
    assert told["files"] > 5


def left_out(site: Path) -> Counter[str]:
    """Count the private list's rows by reason."""
    path = site / ".consilium" / "quarantine-default.csv"
    with path.open(encoding="utf-8") as file:
        return Counter(row["reason"] for row in csv.DictReader(file))


def test_every_section_of_the_page_is_run() -> None:
    assert set(SECTIONS) == set(FOUND)


QUICK = ("Glucose half an hour ahead",)
"""Sections that every run of the suite follows; the others `make test-deployment` does."""


@pytest.mark.parametrize(
    "section",
    [pytest.param(s, marks=[] if s in QUICK else pytest.mark.deployment) for s in FOUND],
)
def test_a_section_runs_as_written(shared: Path, tmp_path: Path, section: str) -> None:
    run, study, sites, headline, asked, answers = FOUND[section]
    (tmp_path / "data").symlink_to(shared)
    for name, text in re.findall(r"```toml\n# (\S+)\n(.*?)```", SECTIONS[section], re.DOTALL):
        (tmp_path / name).write_text(text, encoding="utf-8")
    (commands,) = re.findall(r"```sh\n(.*?)```", SECTIONS[section], re.DOTALL)
    in_a_shell(commands, tmp_path)

    metrics = json.loads((tmp_path / "runs" / run / "metrics.json").read_text())
    assert len(list((tmp_path / run).glob("*/site.toml"))) == sites
    assert len(metrics["sites"]) == sites
    assert metrics["final"][headline] > 0
    site = tmp_path / run / asked
    code, findings = doctor(site, tmp_path / f"{study}.toml")
    words = ("--study", f"{study}.toml", "--data-only")
    said = run_fresh("site", "doctor", site, *words, cwd=tmp_path)  # draws another split
    assert {code, said.code} <= answers
    assert all(re.search(rf"^{each['check']} ", said.text, re.MULTILINE) for each in findings)
    silent(site, tmp_path / "runs", site)


@pytest.mark.deployment
def test_each_folder_of_images_is_a_hospital(shared: Path, tmp_path: Path) -> None:
    study = tmp_path / "study.toml"
    study.write_text(IMAGES)
    for name, (folder, patients, _) in FOLDERS.items():
        site = tmp_path / "sites" / name
        site.mkdir(parents=True)
        data = f'kind = "dicom"\npath = "{shared / "dicom" / folder}"\nlabels = "labels.csv"'
        (site / "site.toml").write_text(
            SITE.format(name=name, data=data, count=len(patients)), encoding="utf-8"
        )
        rows = [f"{who},{'chest' if name == 'chest' else 'other'},train" for who in patients]
        (site / "labels.csv").write_text("\n".join(["patient_id,label,split", *rows]))

    words = ("--hospitals", "sites", "--run", "runs/images", "--quiet")
    ended = run_fresh("simulate", "study.toml", *words, cwd=tmp_path)
    assert ended.code == 0, ended.text
    metrics = json.loads((tmp_path / "runs/images/metrics.json").read_text())
    assert len(metrics["sites"]) == len(FOLDERS)
    for name, (_, _, reasons) in FOLDERS.items():
        site = tmp_path / "sites" / name
        code, findings = doctor(site, study)
        assert code == 0  # a hospital of one class alone is told so; others have the rest
        assert any("one class" in each["text"] for each in findings)
        if reasons:
            needs = {each for each in left_out(site) if each.startswith("needs DCMTK")}
            assert set(left_out(site)) - needs == reasons
            assert len(needs) == (3 if needs else 0)
        silent(site, tmp_path / "runs", site)


def test_a_folder_of_junk_stops_nothing(shared: Path, tmp_path: Path) -> None:
    junk = tmp_path / "site" / "stuff"
    junk.mkdir(parents=True)
    dicom = shared / "dicom"
    archive = dicom / FOLDERS["chest"][0]
    for file in (
        archive,
        shared / "heart_disease/processed.va.data",
        dicom / "seg_dcmqi/liver.dcm",
    ):
        shutil.copy(file, junk)
    for file in dicom.glob("seg_dcmqi/ct-3slice_*.dcm"):
        shutil.copy(file, junk)
    (junk / "half.zip").write_bytes(archive.read_bytes()[:100_000])
    (junk / "cut.dcm").write_bytes((dicom / "seg_dcmqi/ct-3slice_01.dcm").read_bytes()[:3000])
    (junk / "empty.dcm").touch()
    (junk / "gone").symlink_to(tmp_path / "nowhere")
    os.mkfifo(junk / "pipe")
    (junk / os.fsdecode(b"caf\xe9.txt")).write_bytes("Müller".encode("latin-1"))
    (junk.parent / "labels.csv").write_text(
        "patient_id;label;split\nLungFCP-01-0001;chest;train\n99000;other;train\n"
    )
    data = 'kind = "dicom"\npath = "stuff"\nlabels = "labels.csv"\nseparator = ";"'
    (junk.parent / "site.toml").write_text(SITE.format(name="junk", data=data, count=2))
    (tmp_path / "study.toml").write_text(IMAGES)

    code, findings = doctor(junk.parent, tmp_path / "study.toml")
    assert (code, [each for each in findings if each["level"] == "red"]) == (0, [])
    assert left_out(junk.parent) == {
        "not DICOM": 2,
        "wrong modality": 1,
        "archive cannot be read": 1,
        "truncated": 1,
        "empty file": 1,
        "broken link": 1,
        "not a regular file": 1,
    }


def test_a_table_with_impossible_values(tmp_path: Path) -> None:
    rows = [
        f"P-{n // 2:05d},{20 + n % 60},{('70', '1e9', '-3', 'unknown')[n % 4]},"
        f"{('yes', 'no', '?', 'yes')[n % 4]},{('no', 'yes', 'perhaps')[n % 3]}"
        for n in range(90)
    ]
    site = tmp_path / "sites" / "ward"
    site.mkdir(parents=True)
    (site / "visits.csv").write_text("\n".join(["who,age,kg,smoker,ill", *rows]))
    data = 'kind = "table"\npath = "visits.csv"\npatient = "who"\nmissing = ["?"{more}]\ncolumns.weight = "kg"'
    features = (
        '[{ name = "age", minimum = 18, maximum = 90 }, { name = "smoker", type = "flag", fill = 0 },'
        '{ name = "weight", minimum = 30, maximum = 200, valid_minimum = 2, valid_maximum = 400 }]'
    )
    spec = f'kind = "table"\ntarget = "ill"\npositive = ["yes"]\nnegative = ["no"]\nfeatures = {features}'
    study = tmp_path / "study.toml"
    study.write_text(STUDY.format(name="visits", model="linear", data=spec))

    (site / "site.toml").write_text(
        SITE.format(name="ward", data=data.replace("{more}", ""), count=45)
    )
    code, findings = doctor(site, study)
    assert code == 5
    assert any("'perhaps'" in each["text"] and "`missing`" in each["fix"] for each in findings)

    told = data.replace("{more}", ', "perhaps"')  # as the fix says
    (site / "site.toml").write_text(SITE.format(name="ward", data=told, count=45))
    code, findings = doctor(site, study)
    assert code == 0
    said = [each["text"] for each in findings]
    assert any("'weight': 29 values are impossible and count as missing" in text for text in said)
    assert "'weight': 15 values are no numbers and count as missing." in said
    assert left_out(site) == {"no target value": 30}
    words = ("--hospitals", "sites", "--run", "runs/visits", "--quiet")
    assert run_fresh("simulate", "study.toml", *words, cwd=tmp_path).code == 0
    silent(site, tmp_path / "runs", site)
