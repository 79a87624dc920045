"""Runs a submitted study at the coordinator: finds the run's folder, goes on from its newest checkpoint, reports."""

from __future__ import annotations

import os
import re
from functools import partial
from pathlib import Path

from flwr.app import Context
from flwr.serverapp import Grid

from common.errors import ConsiliumError, RunError
from common.study import Study
from common.study_file import load_study
from common.transfer.places import FOLDER, look_in
from server.allowances import Allowances
from server.app import Job, run
from server.conduct import Conduct
from server.enrolled import Enrolled
from server.figures import write_metrics
from server.progress import Progress
from server.run_folder import RunFolder

COORDINATOR = "CONSILIUM_COORDINATOR"
"""The environment variable that names the coordinator's folder."""

RUN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", re.ASCII)


def run_deployed(grid: Grid, context: Context) -> None:
    """Carry a run to its end, its model, figures and report.

    Raises:
        RunError: the folder is missing, is another study's, or another process works on it.
        SitesError: too few sites came or answered; the run can be resumed.
    """
    home, name = _home(), _run_name(context)
    folder = RunFolder(home / "runs" / name)
    look_in(home / FOLDER)
    study = _study(folder, str(context.run_config.get("fingerprint", "")))
    allowances = Allowances.of(home)
    conduct = Conduct(
        patient=True,
        durable=True,
        enrolled=Enrolled(home / "sites.json"),
        allow=partial(allowances.give, context.run_id),
    )
    progress = Progress(folder, study.federation.rounds)
    with folder.locked():
        try:
            _finish(Job(study, folder, progress, conduct), grid)
        except ConsiliumError as error:
            progress.failed(error)
            raise
        except Exception as error:
            progress.failed(_unforeseen(error))
            raise
        except BaseException:
            progress.stopped()
            raise
        finally:
            allowances.withdraw(context.run_id)
        progress.finished()


def _finish(job: Job, grid: Grid) -> None:
    """Do what of the run is not done yet."""
    from server.report import build as build_report

    if not job.folder.outcome.exists():
        run(job, grid)
    write_metrics(job.folder, job.study)
    build_report(job.folder.path)


def _home() -> Path:
    path = os.environ.get(COORDINATOR, "")
    if not path:
        raise RunError(
            "The server process does not know the coordinator's folder.",
            where=f"environment variable {COORDINATOR}",
            fix="Start it with 'consilium server start'.",
        )
    return Path(path)


def _run_name(context: Context) -> str:
    name = str(context.run_config.get("run", ""))
    if not RUN_NAME.fullmatch(name):
        raise RunError(
            "The submitted study names no run.",
            where="run_config 'run'",
            fix="Submit it with 'consilium server submit'.",
        )
    return name


def _study(folder: RunFolder, fingerprint: str) -> Study:
    study = load_study(folder.path / "study.toml")
    if study.fingerprint != fingerprint:
        raise RunError(
            "The bundle and the run's folder hold different studies.",
            where=str(folder.path),
            fix="Submit the study again under another name.",
        )
    return study


def _unforeseen(error: Exception) -> ConsiliumError:
    return ConsiliumError(
        f"An unforeseen {type(error).__name__} stopped the server: {error}",
        fix="Resume the run; if it happens again, report it with the server's log.",
    )
