"""docs/add-a-task.md, word for word: another package's task in a private study."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

PAGE = Path(__file__).parents[2] / "docs" / "add-a-task.md"
BLOCK = re.compile(r"## `([^`]+)`\n```\w+\n(.*?)```", re.DOTALL)


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    """A folder in which the package of the page is installed."""
    blocks = dict(BLOCK.findall(PAGE.read_text()))
    assert set(blocks) == {"pyproject.toml", "consilium_grading/task.py", "study.toml"}
    folder = tmp_path / "packages"
    about = folder / "consilium_grading-1.0.0.dist-info"
    about.mkdir(parents=True)
    (folder / "consilium_grading").mkdir()
    (folder / "consilium_grading" / "__init__.py").touch()
    (folder / "consilium_grading" / "task.py").write_text(blocks["consilium_grading/task.py"])
    declared = blocks["pyproject.toml"].partition('entry-points."consilium.tasks"]\n')[2]
    points = declared.replace('"', "")
    (about / "entry_points.txt").write_text(f"[consilium.tasks]\n{points}")
    (about / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: consilium-grading\nVersion: 1.0.0\n"
    )
    (tmp_path / "study.toml").write_text(blocks["study.toml"])
    return folder


def hospitals(folder: Path) -> Path:
    for number in (1, 2):
        site = folder / f"hospital-{number}"
        site.mkdir(parents=True)
        drawn = np.random.default_rng(number)
        grades = drawn.integers(0, 3, 60)
        images = drawn.normal(60 + 60 * grades[:, None, None], 20, (60, 8, 8)).clip(0, 255)
        np.savez(site / "scans.npz", images=images.astype(np.uint8), labels=grades)
        (site / "site.toml").write_text(
            f'[site]\nname = "hospital-{number}"\n[data.scans]\nkind = "arrays"\npath = "scans.npz"\n'
            "declared_patients = 60\n[policy]\nmax_epsilon = 20.0\ndelta = 1e-3\nmin_patients = 10\n"
        )
    return folder


def consilium(packages: Path, folder: Path, *words: str) -> None:
    """Run a command beside the page's package."""
    path = os.pathsep.join([str(packages), str(PAGE.parents[1])])
    ended = subprocess.run(
        [sys.executable, "-m", "common.cli", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_the_page_is_a_working_package(packages: Path, tmp_path: Path) -> None:
    place = str(hospitals(tmp_path / "hospitals"))
    run = ["--hospitals", place, "--run", "run", "--quiet"]
    consilium(packages, tmp_path, "simulate", "study.toml", *run)
    figures = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert 0 <= figures["final"]["accuracy"] <= 1.5
    assert figures["sites"]["hospital-1"]["epsilon"] <= 8.0
    consilium(packages, tmp_path, "predict", "run", f"{place}/hospital-1/scans.npz", "--out", "new")
    told = (tmp_path / "new" / "predictions.csv").read_text().splitlines()
    assert "predicted" in told[0]
    assert {word for line in told[1:] for word in line.split(",")} & {"none", "mild", "severe"}
