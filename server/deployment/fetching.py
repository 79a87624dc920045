"""Hands out the results of a finished run."""

from __future__ import annotations

import shutil
from pathlib import Path

from common.errors import RunError
from common.files import explain_os_error
from server.deployment.control import runs_if_running
from server.deployment.folder import CoordinatorFolder
from server.deployment.runs import find_run
from server.deployment.watching import require_finished

RESULTS = (
    "report.html",
    "model.safetensors",
    "metrics.json",
    "study.toml",
    "rounds.jsonl",
    "outcome.json",
    "witness.jsonl",
)


def fetch(folder: CoordinatorFolder, name: str, destination: Path) -> list[Path]:
    """Copy the results of a run and return where they are, the report first.

    Args:
        folder: the coordinator's.
        name: of the run.
        destination: a folder that is new or empty.

    Raises:
        RunError: the run is not finished, or the destination is in use.
        MachineError: they cannot be written.
    """
    run = find_run(folder, name, runs_if_running(folder))
    require_finished(folder, run)
    if destination.exists() and (not destination.is_dir() or any(destination.iterdir())):
        raise RunError(
            "The destination is not an empty folder.", where=str(destination), fix="Choose another."
        )
    source = folder.run(name).path
    try:
        destination.mkdir(parents=True, exist_ok=True)
        there = [file for file in RESULTS if (source / file).exists()]
        return [Path(shutil.copyfile(source / file, destination / file)) for file in there]
    except OSError as error:
        raise explain_os_error(error, destination) from error
