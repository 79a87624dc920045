"""What could not be used, and why. The counts may be shown; the names stay in the house."""

from __future__ import annotations

import csv
import io
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from common.files import make_private

MAX_DETAILS = 100_000


@dataclass(frozen=True)
class Quarantine:
    """Files or rows that were left out.

    Attributes:
        counts: how many, by reason.
        details: (relative name, reason) of each; names may identify, so they are written only to
            the site's private folder.
    """

    counts: Mapping[str, int] = field(default_factory=dict)
    details: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    @property
    def total(self) -> int:
        """Number of files or rows left out."""
        return sum(self.counts.values())

    def summary(self, most: int = 3) -> str:
        """Say the most frequent reasons in one line, names left out."""
        ordered = sorted(self.counts.items(), key=lambda item: (-item[1], item[0]))
        return "; ".join(f"{count} × {reason}" for reason, count in ordered[:most]) or "none"

    def write(self, path: Path) -> None:
        """Write the details as CSV, readable by its owner only; the write is atomic.

        Raises:
            OSError: the folder cannot be made or written.
        """
        make_private(path.parent)
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(["name", "reason"])
        writer.writerows(self.details)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text.getvalue())
        os.replace(temporary, path)


NOTHING = Quarantine()


class QuarantineLog:
    """Collects what is left out while a source reads."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._details: list[tuple[str, str]] = []

    def add(self, name: str, reason: str) -> None:
        """Leave one file or row out."""
        self._counts[reason] += 1
        if len(self._details) < MAX_DETAILS:
            self._details.append((name, reason))

    def result(self) -> Quarantine:
        """Return what was collected."""
        return Quarantine(dict(sorted(self._counts.items())), tuple(self._details))
