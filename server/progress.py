"""Tells what a run in a deployment does: one line an event, and a small file of where it stands now.

`progress.jsonl` only grows; `state.json` is replaced at every change. Others read both while the run goes on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, BinaryIO

from common.errors import ConsiliumError
from common.files import explain_os_error
from common.jsonable import jsonable
from server.listener import Listener
from server.members import Member
from server.run_folder import RunFolder


class Progress(Listener):
    """Writes down what it hears.

    Args:
        folder: of the run.
        rounds: how many the study has.
    """

    def __init__(self, folder: RunFolder, rounds: int) -> None:
        self.folder = folder
        self._state: dict[str, Any] = {
            "phase": "gathering",
            "round": 0,
            "rounds": rounds,
            "waiting_for": [],
            "problem": "",
        }

    def gathering(self, here: list[str], absent: Mapping[str, str]) -> None:
        """Sites are still awaited."""
        self._event("gathering", here=here, absent=dict(absent))
        problem = "; ".join(f"{name}: {reason}" for name, reason in sorted(absent.items()))
        self._change(phase="gathering", waiting_for=sorted(absent), problem=problem)

    def ready(self, members: list[Member], first_round: int) -> None:
        """Rounds begin."""
        self._event("ready", sites=[member.name for member in members], round=first_round)
        self._change(phase="ready", round=first_round, waiting_for=[], problem="")

    def round_started(self, round_: int, sites: list[str]) -> None:
        """A round's messages are about to leave."""
        last = round_ > self._state["rounds"]
        self._event("round", round=round_, sites=sites, **({"last": True} if last else {}))
        phase = "evaluating" if last else "round"
        self._change(phase=phase, round=round_, waiting_for=sites, problem="")

    def site(self, round_: int, name: str, reason: str) -> None:
        """A site answered, or did not."""
        self._event("site", round=round_, site=name, reason=reason)
        if round_ == self._state["round"]:
            waiting = [each for each in self._state["waiting_for"] if each != name]
            self._change(waiting_for=waiting)

    def round_finished(self, record: dict[str, Any]) -> None:
        """A round's record is written."""
        told = {key: record[key] for key in ("round", "metrics", "seconds", "failures")}
        self._event("round_finished", **told)

    def finished(self) -> None:
        """The model and the report are written."""
        self.folder.problem.unlink(missing_ok=True)
        self._event("finished")
        self._change(phase="finished", waiting_for=[], problem="")

    def failed(self, error: ConsiliumError) -> None:
        """The run ended early; it can be resumed."""
        told = {"what": error.what, "where": error.where, "fix": error.fix}
        self.folder.write_json(self.folder.problem, {**told, "code": error.exit_code})
        self._event("failed", **told)
        self._change(phase="failed", problem=str(error))

    def stopped(self) -> None:
        """Somebody stopped the process; the run can be resumed."""
        self._event("stopped")
        self._change(phase="stopped", problem="The run was stopped; resume it to go on.")

    def _change(self, **values: Any) -> None:
        self._state |= values
        self.folder.write_json(self.folder.state, self._state)

    def _event(self, event: str, **said: Any) -> None:
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = json.dumps(jsonable({"at": at, "event": event, **said})) + "\n"
        try:
            with self.folder.progress.open("a+b") as file:
                _end_the_last_line(file)
                file.write(line.encode())
        except OSError as error:
            raise explain_os_error(error, self.folder.progress) from error


def _end_the_last_line(file: BinaryIO) -> None:
    """Close a line that a crash cut short, so that the next one stands by itself."""
    if file.seek(0, 2):
        file.seek(-1, 2)
        if file.read(1) != b"\n":
            file.write(b"\n")
