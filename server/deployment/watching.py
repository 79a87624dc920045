"""Follows a run as its ServerApp tells of it: who answered, who is awaited, what failed and why."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

from common.errors import ConsiliumError, Interrupted, RunError, SitesError
from server.deployment.control import not_running, runs_if_running
from server.deployment.folder import CoordinatorFolder
from server.deployment.runs import Run, Standing, find_run, read_json
from server.run_folder import RunFolder

EVERY = 0.5
ASK_EVERY = 2.0
REMINDER = 30.0
"""Seconds of silence after which it is said who is awaited."""

PATIENCE = 30.0
"""Seconds without a word of the server after which watching ends."""


def watch(folder: CoordinatorFolder, name: str, say: Callable[[dict[str, Any]], None]) -> Run:
    """Follow a run to its end.

    Args:
        folder: the coordinator's.
        name: of the run.
        say: told every event, those of the past too.

    Raises:
        RunError: there is no such run, or the server does not answer any more.
    """
    events = Events(folder.run(name))
    known, asked = runs_if_running(folder), time.monotonic()
    heard = told = asked
    before: Run | None = None
    while True:
        run = find_run(folder, name, known)
        for event in [*events.new(), *_changes(before, run, time.monotonic() - told)]:
            say(event)
            told = time.monotonic()
        if run.standing.over:
            return run
        before = run
        time.sleep(EVERY)
        if time.monotonic() - asked >= ASK_EVERY:
            known, asked = runs_if_running(folder), time.monotonic()
            heard = heard if known is None else asked
            if asked - heard > PATIENCE:
                raise not_running(str(folder.path))


def _changes(before: Run | None, run: Run, silence: float) -> Iterator[dict[str, Any]]:
    """Give what the ServerApp does not tell itself: another standing, and who is awaited after a silence."""
    if (before is None or before.standing is not run.standing) and run.standing not in _TOLD:
        yield {"at": _now(), "event": "standing", "standing": run.standing.value}
    elif silence > REMINDER and run.waiting_for:
        yield {"at": _now(), "event": "waiting", "round": run.round, "sites": list(run.waiting_for)}


def ending(folder: CoordinatorFolder, run: Run) -> ConsiliumError | None:
    """Return the error that a run ended with; None when it finished."""
    if run.standing is Standing.STOPPED:
        return Interrupted(
            "The run was stopped.",
            where=run.name,
            fix=f"Go on with: consilium server resume {folder.path} {run.name}",
        )
    if run.standing is not Standing.FAILED:
        return None
    told = read_json(folder.run(run.name).problem)
    error: ConsiliumError = SitesError(
        str(told.get("what") or "The run failed."),
        where=str(told.get("where") or run.name),
        fix=str(told.get("fix") or ""),
    )
    code = told.get("code")
    error.exit_code = code if isinstance(code, int) else error.exit_code
    return error


def require_finished(folder: CoordinatorFolder, run: Run) -> None:
    """Check that a run has come to its end.

    Raises:
        RunError: it has not, so there is no model yet.
    """
    if run.standing is not Standing.FINISHED:
        raise RunError(
            f"The run is not finished: it is {run.standing.value}.",
            where=run.name,
            fix=f"Wait for its end with: consilium server watch {folder.path} {run.name}",
        )


_TOLD = (Standing.FINISHED, Standing.FAILED)
"""The ServerApp's own last event, or the command's error, tells of these."""


class Events:
    """Reads the lines that the ServerApp appends to progress.jsonl.

    Args:
        run: the run's folder.
    """

    def __init__(self, run: RunFolder) -> None:
        self._path = run.progress
        self._read = 0

    def new(self) -> Iterator[dict[str, Any]]:
        """Give the events since the last call; a line that is being written waits for the next."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._read)
                content = file.read()
        except OSError:
            return
        whole, _, _ = content.rpartition(b"\n")
        self._read += len(whole) + 1 if whole else 0
        for line in whole.splitlines():
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if isinstance(event, dict):
                yield event


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())
