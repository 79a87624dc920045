"""A run's folder: the study, the rounds, the checkpoints, the model and the figures."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.errors import RunError
from common.files import explain_os_error, write_atomically
from common.jsonable import jsonable
from common.study import Study
from common.study_file import dump_study, load_study


@dataclass(frozen=True)
class RunFolder:
    """Paths and files of one run.

    Attributes:
        path: the folder.
    """

    path: Path

    @property
    def model(self) -> Path:
        """The final weights."""
        return self.path / "model.safetensors"

    @property
    def checkpoints(self) -> Path:
        """One checkpoint a round."""
        return self.path / "checkpoints"

    @property
    def metrics(self) -> Path:
        """The final figures."""
        return self.path / "metrics.json"

    @property
    def rounds(self) -> Path:
        """One line of JSON a round."""
        return self.path / "rounds.jsonl"

    @property
    def members(self) -> Path:
        """Who takes part, and what they declare."""
        return self.path / "members.json"

    @property
    def incoming(self) -> Path:
        """The replies of the round in hand."""
        return self.path / "incoming"

    @property
    def progress(self) -> Path:
        """One line of JSON an event, of a run in a deployment."""
        return self.path / "progress.jsonl"

    @property
    def state(self) -> Path:
        """Where a run in a deployment stands now."""
        return self.path / "state.json"

    @property
    def problem(self) -> Path:
        """Why a run in a deployment ended early: what, where, and what to do."""
        return self.path / "problem.json"

    @property
    def outcome(self) -> Path:
        """What the server found at the end, before the sites' own figures are added."""
        return self.path / "outcome.json"

    def create(self, study: Study) -> None:
        """Make the folder for a new run.

        Raises:
            RunError: it exists and is not empty.
            MachineError: it cannot be made.
        """
        if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            raise RunError(
                "The run folder exists already.",
                where=str(self.path),
                fix="Choose another with --run, continue it with --resume, or remove it.",
            )
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise explain_os_error(error, self.path) from error
        write_atomically(self.path / "study.toml", dump_study(study), mode=0o644)

    def reopen(self, study: Study) -> None:
        """Check that the folder holds an unfinished run of this very study.

        Raises:
            RunError: there is no run, or it is another study's.
        """
        file = self.path / "study.toml"
        if not file.exists():
            raise RunError(
                "There is no run to resume.",
                where=str(self.path),
                fix="Leave out --resume to start it.",
            )
        kept = load_study(file)
        if kept.fingerprint != study.fingerprint:
            raise RunError(
                "The run belongs to another study, or to the same one with other settings.",
                where=str(file),
                fix="Resume with the settings that it was started with.",
            )

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep every other process from working on the run; a process that dies lets go of it.

        Raises:
            RunError: another process works on it.
            MachineError: the folder cannot be written.
        """
        try:
            handle = (self.path / ".lock").open("a")
        except OSError as error:
            raise explain_os_error(error, self.path) from error
        with handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RunError(
                    "Another process works on this run.",
                    where=str(self.path),
                    fix="Wait for it to end, or choose another folder with --run.",
                ) from None
            yield

    def append_round(self, record: Mapping[str, Any]) -> None:
        """Add a round's line; a line of the same or a later round, left by a crash, is dropped."""
        lines = [line for line in self.read_rounds() if line["round"] < record["round"]]
        text = "".join(json.dumps(jsonable(line)) + "\n" for line in [*lines, record])
        write_atomically(self.rounds, text, durable=True, mode=0o644)

    def read_rounds(self) -> list[dict[str, Any]]:
        """Return the rounds so far.

        Raises:
            RunError: a line is damaged.
        """
        if not self.rounds.exists():
            return []
        try:
            lines = [json.loads(line) for line in self.rounds.read_text().splitlines() if line]
            return [line | {"round": int(line["round"])} for line in lines]
        except (ValueError, KeyError, TypeError):
            raise RunError(
                "The lines of the rounds cannot be read.",
                where=str(self.rounds),
                fix="Remove the file; the rounds from here on are written anew.",
            ) from None

    def read_outcome(self) -> dict[str, Any]:
        """Return what the server found at the end.

        Raises:
            RunError: the file is damaged.
        """
        try:
            content: dict[str, Any] = json.loads(self.outcome.read_text(encoding="utf-8"))
            return content
        except ValueError:
            raise RunError(
                "The run's outcome cannot be read.",
                where=str(self.outcome),
                fix="Remove the file and resume: the last model is evaluated once more.",
            ) from None

    def write_json(self, path: Path, content: Mapping[str, Any]) -> None:
        """Write a JSON file of the run."""
        write_atomically(path, json.dumps(jsonable(content), indent=1) + "\n", mode=0o644)
