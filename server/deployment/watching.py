"""Follows a run as its ServerApp tells of it: who answered, who is awaited, what failed and why."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from common.errors import ConsiliumError, Interrupted, RunError, SitesError
from server.deployment.control import not_running, runs_if_running
from server.deployment.folder import CoordinatorFolder
from server.deployment.runs import Run, Standing, find_run, read_json
from server.run_folder import RunFolder

EVERY = 0.5
ASK_EVERY = 2.0
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
    known, asked, heard = runs_if_running(folder), time.monotonic(), time.monotonic()
    before: Run | None = None
    while True:
        run = find_run(folder, name, known)
        for event in events.new():
            say(event)
        if before is None or (run.standing, run.waiting_for) != (
            before.standing,
            before.waiting_for,
        ):
            say(_change(run))
        if run.standing.over:
            return run
        before = run
        time.sleep(EVERY)
        if time.monotonic() - asked >= ASK_EVERY:
            known, asked = runs_if_running(folder), time.monotonic()
            heard = heard if known is None else asked
            if asked - heard > PATIENCE:
                raise not_running(str(folder.path))


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


def sentence(event: Mapping[str, Any]) -> str:
    """Return an event as a line for people: its time, its name, then whatever else it tells."""
    at = str(event.get("at", ""))
    rest = [
        f"{key.replace('_', ' ')} {_plain(value)}"
        for key, value in event.items()
        if key not in ("at", "event") and value not in ("", None, [], {})
    ]
    return f"{at:<25} {event.get('event', '')!s:<10} {', '.join(rest)}".rstrip()


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{key}: {_plain(each)}" for key, each in value.items())
    if isinstance(value, list):
        return " ".join(_plain(each) for each in value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _change(run: Run) -> dict[str, Any]:
    at = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())
    told = {"round": run.round or None, "waiting_for": list(run.waiting_for)}
    return {"at": at, "event": run.standing.value} | told
