"""The last reason why a site did not answer, in full, for the site's own people."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from common import errors
from common.errors import ConsiliumError
from common.files import write_atomically

FILE = "refusal.json"

_UNWRITTEN: dict[Path, ConsiliumError] = {}
"""What could not be written, by folder: this process at least can still tell it."""


@dataclass(frozen=True)
class Refusals:
    """A file in the site's state folder.

    Attributes:
        folder: the state folder.
    """

    folder: Path

    def write(self, error: ConsiliumError) -> None:
        """Keep an error; a disk too full for it must not hide it, so it is kept in memory then."""
        _UNWRITTEN.pop(self.folder, None)
        content = {
            "class": type(error).__name__,
            "what": error.what,
            "where": error.where,
            "fix": error.fix,
        }
        try:
            write_atomically(self.folder / FILE, json.dumps(content))
        except errors.MachineError:
            _UNWRITTEN[self.folder] = error

    def read(self) -> ConsiliumError | None:
        """Return the error that was kept, or None."""
        if self.folder in _UNWRITTEN:
            return _UNWRITTEN[self.folder]
        try:
            content = json.loads((self.folder / FILE).read_text(encoding="utf-8"))
            kind = vars(errors).get(content["class"])
            if not (isinstance(kind, type) and issubclass(kind, ConsiliumError)):
                kind = ConsiliumError
            return kind(content["what"], where=content["where"], fix=content["fix"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def clear(self) -> None:
        """Forget what was kept."""
        _UNWRITTEN.pop(self.folder, None)
        (self.folder / FILE).unlink(missing_ok=True)
