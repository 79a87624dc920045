"""The runs of a coordinator: what was submitted, and how each of them stands."""

from __future__ import annotations

import fcntl
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from common.errors import RunError, StudyError
from common.files import explain_os_error, write_atomically
from common.plugins import nearest
from server.deployment.flower_records import FINISHED, RUNNING, FlowerRun
from server.deployment.folder import CoordinatorFolder
from server.run_folder import RunFolder

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
SUBMISSION = "flower.json"


class Standing(StrEnum):
    """How a run stands."""

    WAITING = "waiting to start"
    RUNNING = "running"
    INTERRUPTED = "interrupted"
    FINISHED = "finished"
    FAILED = "failed"
    STOPPED = "stopped"
    UNKNOWN = "unknown"

    @property
    def over(self) -> bool:
        """Nothing more happens by itself."""
        return self in (Standing.FINISHED, Standing.FAILED, Standing.STOPPED)


@dataclass(frozen=True)
class Submission:
    """What was submitted to Flower for a run.

    Attributes:
        bundle: sha256 of the bundle.
        fingerprint: of the study.
        flower: Flower's ids, one for the start and one for each time the run was resumed; the newest last.
        wanted: nobody has stopped the run.
        at: when it was submitted last.
    """

    bundle: str
    fingerprint: str
    flower: tuple[int, ...] = ()
    wanted: bool = True
    at: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))


@dataclass(frozen=True)
class Run:
    """A run and how it stands.

    Attributes:
        name: of its folder.
        standing: in one word.
        phase: what the ServerApp is at, in its own word.
        round, rounds: the one in hand, and how many there are to be; 0: none has begun.
        waiting_for: sites that have not answered yet.
        problem: one sentence, or nothing.
        submission: what was submitted.
    """

    name: str
    standing: Standing
    phase: str
    round: int
    rounds: int
    waiting_for: tuple[str, ...]
    problem: str
    submission: Submission


def all_runs(folder: CoordinatorFolder, known: Sequence[FlowerRun] | None) -> list[Run]:
    """Return every run of a coordinator by name.

    Args:
        folder: the coordinator's.
        known: what the SuperLink knows; None: it does not answer.
    """
    if not folder.runs.is_dir():
        return []
    names = sorted(path.name for path in folder.runs.iterdir() if (path / SUBMISSION).exists())
    return [_run(folder, name, known) for name in names]


def find_run(folder: CoordinatorFolder, name: str, known: Sequence[FlowerRun] | None) -> Run:
    """Return a run by its name.

    Raises:
        RunError: there is none; the nearest name is given.
    """
    if NAME.fullmatch(name) and (folder.runs / name / SUBMISSION).exists():
        return _run(folder, name, known)
    there = [run.name for run in all_runs(folder, known)]
    raise RunError(
        f"There is no run '{name}'.",
        where=str(folder.runs),
        fix=f"{nearest(name, there)}There are: {', '.join(there) or 'none'}.",
    )


def check_name(name: str) -> str:
    """Return a name that is fit for a run's folder.

    Raises:
        StudyError: it is not.
    """
    if not NAME.fullmatch(name):
        raise StudyError(
            f"'{name}' cannot name a run.",
            where="--run",
            fix="Use letters, digits, '.', '_' and '-', at most 64, beginning with a letter or digit.",
        )
    return name


def write_submission(folder: RunFolder, submission: Submission) -> None:
    """Record what was submitted."""
    text = json.dumps(asdict(submission), indent=1) + "\n"
    write_atomically(folder.path / SUBMISSION, text, durable=True, mode=0o644)


def read_submission(folder: RunFolder) -> Submission:
    """Return what was submitted.

    Raises:
        RunError: the file is damaged.
    """
    content = read_json(folder.path / SUBMISSION)
    try:
        flower = tuple(int(each) for each in content.pop("flower"))
        return replace(Submission(**content), flower=flower)
    except (KeyError, TypeError, ValueError):
        raise RunError(
            "The record of what was submitted cannot be read.",
            where=str(folder.path / SUBMISSION),
            fix="Submit the study again, as another run.",
        ) from None


def read_json(path: Path) -> dict[str, Any]:
    """Return a JSON file of a run's folder; an empty mapping when it is missing or damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


@contextmanager
def changing(folder: CoordinatorFolder) -> Iterator[None]:
    """Let one process at a time start, stop and enrol."""
    try:
        folder.running.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = (folder.running / "changes.lock").open("a")
    except OSError as error:
        raise explain_os_error(error, folder.running) from error
    with handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _run(folder: CoordinatorFolder, name: str, known: Sequence[FlowerRun] | None) -> Run:
    run = folder.run(name)
    submission, state = read_submission(run), read_json(run.state)
    problem = read_json(run.problem)
    standing = _standing(submission, state, problem, known)
    return Run(
        name=name,
        standing=standing,
        phase=str(state.get("phase", "")),
        round=_whole(state.get("round")),
        rounds=_whole(state.get("rounds")),
        waiting_for=() if standing.over else tuple(map(str, state.get("waiting_for") or ())),
        problem=str(problem.get("what") or state.get("problem") or ""),
        submission=submission,
    )


def _standing(
    submission: Submission,
    state: dict[str, Any],
    problem: dict[str, Any],
    known: Sequence[FlowerRun] | None,
) -> Standing:
    if state.get("phase") == "finished":
        return Standing.FINISHED
    if not submission.wanted:
        return Standing.STOPPED
    if problem:
        return Standing.FAILED
    newest = submission.flower[-1] if submission.flower else 0
    found = next((run for run in known or () if run.id == newest), None)
    if found is None:
        return Standing.UNKNOWN
    if found.status == RUNNING:
        return Standing.RUNNING
    return Standing.INTERRUPTED if found.status == FINISHED else Standing.WAITING


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0
