"""How large a reply of each run may be: the run's ServerApp tells the SuperLink beside it, by one small file a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from common.files import write_atomically

SMALL = 1 << 20
"""Bytes of a reply of a run that has told nothing: enough for a description."""

PIECE = 1 << 20
"""A reply in more pieces than this size gives is refused unread; Flower's own are 5 MB."""

TOO_LARGE = "the site's reply is larger than the study allows"

SUFFIX = ".reply-bytes"


def pieces(most: int) -> int:
    """Return how many pieces a reply of so many bytes may have, those beside its weights included."""
    return 64 + most // PIECE


@dataclass(frozen=True)
class Allowances:
    """The files of all runs.

    Attributes:
        folder: of the running server's temporary files.
    """

    folder: Path

    @classmethod
    def of(cls, home: Path) -> Allowances:
        """Return those of a coordinator's folder."""
        return cls(home / "run")

    def give(self, run: int, most: int) -> None:
        """Let each site's reply to a run have so many bytes.

        Args:
            run: Flower's id of the run.
            most: bytes, weights and statistics and everything around them.

        Raises:
            MachineError: the file cannot be written.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomically(self._file(run), str(most))

    def withdraw(self, run: int) -> None:
        """Forget a run that has ended."""
        self._file(run).unlink(missing_ok=True)

    def most(self, run: int) -> int:
        """Return the bytes that a reply may have."""
        try:
            return max(SMALL, int(self._file(run).read_text(encoding="ascii")))
        except (OSError, ValueError):
            return SMALL

    def _file(self, run: int) -> Path:
        return self.folder / f"{run}{SUFFIX}"
