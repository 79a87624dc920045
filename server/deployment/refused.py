"""Which hospitals pushed what they must not, for the operator: one line in the log, and a file that commands show."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from common.errors import MachineError
from common.files import write_atomically

FILE = "refused.json"
_TELL_EVERY = 60.0


@dataclass(frozen=True)
class Refused:
    """What became of a hospital's pushes since the server started.

    Attributes:
        why: the last reason.
        times: how often.
        at: when last, in ISO form.
    """

    why: str
    times: int
    at: str


class Refusals:
    """Counts refusals by node, and tells of each node once a minute: a hospital must not fill the log either.

    Args:
        folder: of the running server's temporary files.
        say: told a line.
    """

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self._file, self._say = folder / FILE, say
        self._found: dict[int, Refused] = {}
        self._told: dict[int, float] = {}
        self._lock = threading.Lock()

    def note(self, node: int, name: str, why: str) -> None:
        """Count a refusal.

        Args:
            node: Flower's id.
            name: for people.
            why: what was refused.
        """
        at = datetime.now(UTC).isoformat(timespec="seconds")
        with self._lock:
            times = self._found[node].times + 1 if node in self._found else 1
            self._found[node] = Refused(why, times, at)
            if time.monotonic() - self._told.get(node, float("-inf")) < _TELL_EVERY:
                return
            self._told[node] = time.monotonic()
            self._say(f"REFUSED: what {name} pushed was not stored, {times} time(s) so far: {why}")
            self._write()

    def _write(self) -> None:
        content = {str(node): vars(each) for node, each in self._found.items()}
        try:
            write_atomically(self._file, json.dumps(content))
        except MachineError as error:
            self._say(str(error))


def read(folder: Path) -> dict[int, Refused]:
    """Return what the running server refused, by node; a file that is missing or damaged says nothing."""
    try:
        content = json.loads((folder / FILE).read_text(encoding="utf-8"))
        return {int(node): Refused(**said) for node, said in content.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
