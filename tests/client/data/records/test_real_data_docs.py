"""docs/real-data.md works as written: its blocks are extracted, and its commands are run on the real data."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = (Path(__file__).resolve().parents[4] / "docs" / "real-data.md").read_text(encoding="utf-8")
SECTIONS = {part.split(":")[0].split("\n")[0]: part for part in PAGE.split("\n## ")[1:]}
# The page's own commands, with two rounds in place of many.
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
FOUND = {
    "Mortality in intensive care": ("eicu", 4, "auc"),
    "Blood pressures of the first day": ("vitals", 4, "auc"),
    "Glucose half an hour ahead": ("glucose", 5, "rmse"),
    "Heart disease": ("heart", 4, "auc"),
}


def test_every_section_of_the_page_is_run() -> None:
    assert set(SECTIONS) == set(FOUND)


@pytest.mark.slow
@pytest.mark.parametrize("section", FOUND)
def test_a_section_runs_as_written(shared: Path, tmp_path: Path, section: str) -> None:
    run, sites, headline = FOUND[section]
    (tmp_path / "data").symlink_to(shared)
    for name, text in re.findall(r"```toml\n# (\S+)\n(.*?)```", SECTIONS[section], re.DOTALL):
        (tmp_path / name).write_text(text, encoding="utf-8")
    (commands,) = re.findall(r"```sh\n(.*?)```", SECTIONS[section], re.DOTALL)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", SHORT + commands],
        cwd=tmp_path,
        env={**os.environ, "PATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    metrics = json.loads((tmp_path / "runs" / run / "metrics.json").read_text())
    assert len(list((tmp_path / run).glob("*/site.toml"))) == sites
    assert len(metrics["sites"]) == sites
    assert metrics["final"][headline] > 0
