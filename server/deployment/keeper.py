"""Resumes runs whose ServerApp died without a word: a killed process, a restarted machine."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

from common.errors import ConsiliumError
from common.supervise import pause_limit
from server.deployment.folder import CoordinatorFolder
from server.deployment.locks import held
from server.deployment.pulse import EVERY, Pulse
from server.deployment.runs import Run, Standing, all_runs
from server.deployment.submission import resume

PAUSES = (5.0, 15.0, 60.0, 120.0)
"""Seconds between attempts; a run that comes no further in all of them is given up."""

LONG = 600.0
"""Seconds after which an attempt counts as one that went well."""


@dataclass
class _Attempts:
    """How often a run was resumed since it last came further."""

    made: int = 0
    round: int = -1
    after: float = 0.0


class Keeper:
    """Resumes interrupted runs while it is entered.

    Args:
        folder: the coordinator's.
        pulse: what the SuperLink said last.
        say: told one line an attempt.
    """

    def __init__(self, folder: CoordinatorFolder, pulse: Pulse, say: Callable[[str], None]) -> None:
        self._folder = folder
        self._pulse = pulse
        self._say = say
        self._attempts: dict[str, _Attempts] = {}
        self._alive: set[int] = set()  # Flower's ids of runs whose ServerApp was seen
        self._looked = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="keeper", daemon=True)

    def __enter__(self) -> Keeper:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop.set()

    def look(self) -> None:
        """Resume what is interrupted and due."""
        if not self._pulse.superlink_answers():
            return
        for run in all_runs(self._folder, self._pulse.seen.runs):
            if run.standing is Standing.INTERRUPTED or self._is_dead(run):
                self._take_up(run)
        self._looked = True

    def _is_dead(self, run: Run) -> bool:
        """Return whether Flower calls a run running though its ServerApp is gone; Flower itself takes a minute.

        A ServerApp holds the lock of its run's folder. One that holds none is still being loaded, unless it was seen
        before, or is said to run from before this server was started.
        """
        if run.standing is not Standing.RUNNING:
            return False
        flower = run.submission.flower[-1]
        lives = held(self._folder.run(run.name).path / ".lock")
        if lives:
            self._alive.add(flower)
        return lives is False and (flower in self._alive or not self._looked)

    def _keep(self) -> None:
        while not self._stop.wait(EVERY):
            try:
                self.look()
            except ConsiliumError as error:
                self._say(str(error))

    def _take_up(self, run: Run) -> None:
        attempts = self._attempts.setdefault(run.name, _Attempts())
        if run.round > attempts.round or time.monotonic() > attempts.after + LONG:
            attempts.made, attempts.round, attempts.after = 0, run.round, time.monotonic()
        if attempts.made >= len(PAUSES):
            self._give_up(run)
        elif time.monotonic() >= attempts.after:
            attempts.after = time.monotonic() + min(PAUSES[attempts.made], pause_limit())
            attempts.made += 1
            resume(self._folder, run.name, dead=run.standing is Standing.RUNNING)
            self._say(f"run {run.name} was interrupted in round {run.round}; it is resumed")

    def _give_up(self, run: Run) -> None:
        del self._attempts[run.name]
        problem = {
            "what": f"The run was interrupted {len(PAUSES)} times without coming further.",
            "where": run.name,
            "fix": "See logs/superexec.log in the coordinator's folder, then use 'consilium server resume'.",
        }
        folder = self._folder.run(run.name)
        folder.write_json(folder.problem, problem)
        self._say(f"run {run.name}: {problem['what']}")
