"""Starts, stops and resumes runs: a bundle to Flower, a folder here."""

from __future__ import annotations

import hashlib
import shutil
import time
from dataclasses import replace
from datetime import UTC, datetime

from common.bundle import make_bundle
from common.errors import RunError
from common.files import write_atomically
from common.study import Study
from common.study_file import load_study
from common.transfer.places import FOLDER, find, look_in
from server.deployment.control import Control, connected
from server.deployment.flower_records import RUNNING
from server.deployment.folder import CoordinatorFolder
from server.deployment.runs import (
    Submission,
    changing,
    check_name,
    read_submission,
    write_submission,
)
from server.run_folder import RunFolder

RELEASED_SECONDS = 60.0


def submit(folder: CoordinatorFolder, study: Study, name: str) -> Submission:
    """Start a run of a study.

    Args:
        folder: the coordinator's, whose server must run.
        study: a checked study.
        name: of the run.

    Raises:
        RunError: the server does not answer, or the run's folder is there.
    """
    run = folder.run(check_name(name))
    bundle = make_bundle(study)
    sha256 = hashlib.sha256(bundle).hexdigest()
    _keep_checkpoint(folder, study)
    with changing(folder), connected(folder) as control:
        control.runs(limit=1)  # a server that does not answer leaves no folder behind
        run.create(study)
        submission = Submission(sha256, study.fingerprint)
        try:
            write_submission(run, submission)
            return _start(control, run, submission, bundle)
        except BaseException:
            shutil.rmtree(run.path, ignore_errors=True)
            raise


def _keep_checkpoint(folder: CoordinatorFolder, study: Study) -> None:
    """Have the checkpoint of a study at hand for its rounds, and when it is resumed.

    Raises:
        MachineError, TamperedError: it is not here.
    """
    if study.transfer is None or study.transfer.checkpoint is None:
        return
    place = folder.path / FOLDER
    look_in(place)
    found = find(study.transfer)
    if found.parent != place:
        place.mkdir(mode=0o700, exist_ok=True)
        write_atomically(place / found.name, found.read_bytes(), durable=True)


def stop(folder: CoordinatorFolder, name: str) -> None:
    """Stop a run; it can be resumed.

    Raises:
        RunError: the server does not answer.
    """
    run = folder.run(name)
    with changing(folder), connected(folder) as control:
        submission = read_submission(run)
        write_submission(run, replace(submission, wanted=False))
        for flower in submission.flower[-1:]:
            control.stop_run(flower)


def resume(folder: CoordinatorFolder, name: str, *, dead: bool = False) -> Submission:
    """Start a run again from its newest checkpoint; sites that trained its round send the same bytes again.

    Args:
        folder: the coordinator's.
        name: of the run.
        dead: its ServerApp is gone, whatever Flower says.

    Raises:
        RunError: it runs, is finished, or the server does not answer.
    """
    run = folder.run(name)
    with changing(folder), connected(folder) as control:
        submission = read_submission(run)
        newest = submission.flower[-1:]
        over = (
            dead or run.problem.exists()
        )  # it has told its end, and Flower hears of it a little later
        if not over and any(
            known.id in newest and known.status == RUNNING for known in control.runs()
        ):
            raise RunError(
                "The run is running.", where=name, fix="Stop it first, if it is to begin again."
            )
        for flower in newest:
            control.stop_run(flower)  # one that still waits to be started
        _wait_until_released(run)
        bundle = make_bundle(load_study(run.path / "study.toml"))
        if hashlib.sha256(bundle).hexdigest() != submission.bundle:
            raise RunError(
                "The study in the run's folder is not the one that was submitted.",
                where=str(run.path / "study.toml"),
                fix="Put the submitted study back, or submit the new one as another run.",
            )
        for stale in (run.problem, run.state):
            stale.unlink(missing_ok=True)
        return _start(control, run, submission, bundle)


def _start(control: Control, run: RunFolder, submission: Submission, bundle: bytes) -> Submission:
    flower = control.start_run(bundle, submission.bundle, run.path.name)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    started = replace(submission, flower=(*submission.flower, flower), wanted=True, at=now)
    write_submission(run, started)
    return started


def _wait_until_released(run: RunFolder) -> None:
    """Wait until a ServerApp that was told to stop has let go of the run's folder."""
    end = time.monotonic() + RELEASED_SECONDS
    while True:
        try:
            with run.locked():
                return
        except RunError:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)
