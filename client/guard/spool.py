"""Keeps the replies to a study, so that whoever asks again gets identical bytes."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import numpy as np

from client.guard.egress import Parcel
from common.errors import MachineError
from common.files import make_private, write_atomically
from common.npy import ONE_AT_A_TIME

KEPT_BYTES = 256 << 20
"""Beyond so much the oldest replies of a study are dropped; the newest stays, however large."""

_ROUND = re.compile(r"round-(\d+)-")


class Spool:
    """A folder with the replies of one study that were made ready to leave.

    A reply is written here before its charge is settled and before it leaves. Whoever asks again with the same key
    gets these bytes; a key without a spooled reply means that nothing has left, or that its bytes were dropped since.
    A run that starts over, or goes on from an older checkpoint, so gets again what it got before, at no cost.

    Args:
        folder: where they are; made when the first is saved.
        kept_bytes: see `KEPT_BYTES`; 0 keeps the newest reply alone.
    """

    def __init__(self, folder: Path, kept_bytes: int = KEPT_BYTES) -> None:
        self.folder = folder
        self._kept_bytes = kept_bytes

    def save(self, key: str, parcel: Parcel) -> None:
        """Write a reply, and drop the oldest where there are too many.

        Raises:
            MachineError: it cannot be written, even in the place of all others.
        """
        make_private(self.folder)
        content = io.BytesIO()
        parts: dict[str, Any] = {"weights": parcel.weights, "tally": parcel.tally}
        np.savez(content, **{name: part for name, part in parts.items() if part is not None})
        self._write(self._path(key), content.getvalue())

    def load(self, key: str) -> Parcel | None:
        """Return the spooled reply of a key, or None."""
        try:
            stored = io.BytesIO(self._path(key).read_bytes())
            with ONE_AT_A_TIME, np.load(stored, allow_pickle=False) as content:
                return Parcel(
                    *(content[n] if n in content.files else None for n in ("weights", "tally"))
                )
        except (
            Exception
        ):  # a damaged archive raises a dozen kinds; it is no reply, whatever they say
            return None

    def keys_before(self, round_: int) -> list[str]:
        """Return the keys of the replies to earlier rounds."""
        names = [path.stem for path in self._others(self.folder)]
        rounds = {name: _ROUND.match(name) for name in names}
        return sorted(name for name, found in rounds.items() if found and int(found[1]) < round_)

    def drop(self, key: str) -> None:
        """Remove a reply that will not leave."""
        self._path(key).unlink(missing_ok=True)

    def _write(self, path: Path, content: bytes) -> None:
        try:
            write_atomically(path, content, durable=True)
        except MachineError:
            others = self._others(path)
            if not others:
                raise
            self._keep(others, 0)
            write_atomically(path, content, durable=True)
        self._keep(self._others(path), self._kept_bytes - len(content))

    def _others(self, path: Path) -> list[Path]:
        """All replies but one, the newest first."""
        found = [each for each in self.folder.glob("*.npz") if each != path]
        return sorted(found, key=lambda each: (each.stat().st_mtime_ns, each.name), reverse=True)

    @staticmethod
    def _keep(files: list[Path], most: int) -> None:
        """Keep the first of these files, as far as they have room together; remove the others."""
        for file in files:
            most -= file.stat().st_size
            if most < 0:
                file.unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        return self.folder / f"{key.replace('/', '-')}.npz"
