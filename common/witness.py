"""What the coordinator saw of the sites' ledgers: the head that came with each reply.

A ledger whose newest entries were cut off is a sound chain; only somebody who kept a later head can tell. The
coordinator keeps every head that it is sent, also of rounds that failed, in `witness.jsonl` of the run's folder; the
rounds' own records in `rounds.jsonl` repeat those of the rounds that succeeded.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from common.errors import RunError
from common.files import explain_os_error

FILE = "witness.jsonl"
_ROUNDS = "rounds.jsonl"
_LONGEST_LINE = 4096


@dataclass(frozen=True)
class Witnessed:
    """One reply.

    Attributes:
        site: who sent it.
        round: 1 … rounds, and rounds + 1 for the last evaluation.
        head: hash of the newest entry of the site's ledger when it replied; the site's word, whatever it is.
        bytes_sent: of patient-dependent content; without any, nothing had to be charged.
    """

    site: str
    round: int
    head: str
    bytes_sent: int

    def to_line(self) -> str:
        """Its line in the run's folder."""
        content = {
            "round": self.round,
            "site": self.site,
            "ledger_head": self.head[:65],  # more is no hash, whatever the site says
            "bytes_sent": self.bytes_sent,
        }
        return json.dumps(content) + "\n"


def append(run: Path, heard: Iterable[Witnessed]) -> None:
    """Add replies to what a run has witnessed, and wait until the disk has them.

    Raises:
        MachineError: the file cannot be written.
    """
    try:
        with (run / FILE).open("a+b") as file:
            _drop_half_a_line(file)
            file.write("".join(each.to_line() for each in heard).encode())
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise explain_os_error(error, run / FILE) from error


def _drop_half_a_line(file: BinaryIO) -> None:
    """Undo what a crash cut short."""
    size = file.seek(0, os.SEEK_END)
    start = file.seek(max(0, size - _LONGEST_LINE))
    file.truncate(start + file.read().rfind(b"\n") + 1)


def read(run: Path) -> list[list[Witnessed]]:
    """Return what a run has witnessed: a list for each of its files, in the order of writing.

    Raises:
        RunError: there is no run, it has no record of replies, or a line is damaged.
    """
    files = [run / name for name in (FILE, _ROUNDS) if (run / name).is_file()]
    if not files:
        raise RunError(
            "There is no run here whose replies were recorded.",
            where=str(run),
            fix=f"Name the coordinator's run folder, which holds {_ROUNDS}.",
        )
    return [[each for line in _lines(file) for each in line] for file in files]


def _lines(file: Path) -> Iterable[list[Witnessed]]:
    """The replies of each line; a last line that a crash cut short is left out."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    except (OSError, UnicodeDecodeError) as error:
        raise _damaged(file, 1) from error
    for number, line in enumerate(lines, start=1):
        try:
            yield _replies(json.loads(line))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            if number == len(lines) and not line.endswith("\n"):
                return
            raise _damaged(file, number) from error


def _replies(line: dict[str, Any]) -> list[Witnessed]:
    """One reply of `witness.jsonl`, or all of a round in `rounds.jsonl`."""
    if "sites" not in line:
        return [_witnessed(line["site"], line["round"], line)]
    return [_witnessed(site, line["round"], said) for site, said in line["sites"].items()]


def _witnessed(site: str, round_: int, said: dict[str, Any]) -> Witnessed:
    head, size = said["ledger_head"], said["bytes_sent"]
    if not (isinstance(site, str) and isinstance(head, str)):
        raise TypeError("a text is missing")
    if type(round_) is not int or type(size) is not int:
        raise TypeError("a number is missing")
    return Witnessed(site, round_, head, size)


def _damaged(file: Path, number: int) -> RunError:
    return RunError(
        "The record of the sites' replies cannot be read.",
        where=f"{file}, line {number}",
        fix="It was cut short or edited; ask the coordinator for a sound copy.",
    )
