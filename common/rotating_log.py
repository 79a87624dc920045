"""A process's log: what it prints is appended to a file, which is set aside when it grows large."""

from __future__ import annotations

import os
import threading
from pathlib import Path

LARGEST = 16 << 20
KEPT = 3


class RotatingLog:
    """Copies a pipe into a file until nobody writes to the pipe any more.

    Args:
        path: the file; older parts lie beside it as path.1 (the newest) to path.KEPT.
        pipe: the reading end; it is closed at the end.
        largest: bytes after which a new file is begun.

    A disk that is full loses lines. It never stops the process, which would wait for a pipe that nobody reads.
    """

    def __init__(self, path: Path, pipe: int, *, largest: int = LARGEST) -> None:
        self.path = path
        self._pipe = pipe
        self._largest = largest
        self._thread = threading.Thread(target=self._copy, name=f"log of {path.stem}", daemon=True)
        self._thread.start()

    def join(self, seconds: float) -> None:
        """Wait until everything is written, but no longer than some seconds."""
        self._thread.join(seconds)

    def _copy(self) -> None:
        with os.fdopen(self._pipe, "rb", buffering=0) as pipe:
            while chunk := pipe.read(1 << 16):
                try:
                    self._append(chunk)
                except OSError:
                    continue

    def _append(self, chunk: bytes) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self._size() + len(chunk) > self._largest:
            self._rotate()
        handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(handle, "wb", buffering=0) as file:
            file.write(chunk)

    def _size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def _rotate(self) -> None:
        for number in range(KEPT, 0, -1):
            older = self._aside(number - 1)
            if older.exists():
                older.replace(self._aside(number))

    def _aside(self, number: int) -> Path:
        return self.path if number == 0 else self.path.with_name(f"{self.path.name}.{number}")
