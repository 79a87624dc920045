"""Remembers what was spent while the ledger does not change: to account anew takes seconds, and pages ask often."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from client.control.running import BudgetLine


class RememberedBudget:
    """Asks again only when the ledger's file changed.

    Args:
        ask: accounts anew.
        ledger: the file.
    """

    def __init__(self, ask: Callable[[], Sequence[BudgetLine]], ledger: Path) -> None:
        self._ask = ask
        self._ledger = ledger
        self._lock = threading.Lock()
        self._known: tuple[tuple[int, int, int], Sequence[BudgetLine]] | None = None

    def __call__(self) -> Sequence[BudgetLine]:
        """Return what each population has spent."""
        with self._lock:
            now = self._signature()
            if self._known is None or self._known[0] != now:
                self._known = (now, tuple(self._ask()))
            return self._known[1]

    def _signature(self) -> tuple[int, int, int]:
        """Taken before asking: a change in between is then seen the next time."""
        try:
            found = self._ledger.stat()
        except FileNotFoundError:
            return 0, 0, 0
        return found.st_ino, found.st_size, found.st_mtime_ns
