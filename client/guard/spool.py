"""Keeps the last reply until the next round, so that a retry re-sends identical bytes."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from client.guard.egress import Parcel
from common.files import make_private, write_atomically
from common.npy import ONE_AT_A_TIME


class Spool:
    """A folder with the reply that was last made ready to leave.

    A reply is written here before its charge is settled and before it leaves. Whoever asks again with the same key
    gets these bytes; a key without a spooled reply means that nothing has left.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save(self, key: str, parcel: Parcel) -> None:
        """Write a reply and drop the one before it."""
        make_private(self.folder)
        content = io.BytesIO()
        parts: dict[str, Any] = {"weights": parcel.weights, "tally": parcel.tally}
        np.savez(content, **{name: part for name, part in parts.items() if part is not None})
        path = self._path(key)
        write_atomically(path, content.getvalue(), durable=True)
        for old in self.folder.glob("*.npz"):
            if old != path:
                old.unlink(missing_ok=True)

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

    def _path(self, key: str) -> Path:
        return self.folder / f"{key.replace('/', '-')}.npz"
