"""Ledgers that contradict each other: each is sound, and together they give the same patients two budgets."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

from client.guard.book import Book
from client.guard.sources import shared_sources


def contradictions(ledgers: Sequence[tuple[Path, Book]]) -> list[str]:
    """Say which populations and which data have two ledgers.

    What is simulated contradicts nothing: its charges protect nobody, and every run has ledgers of its own.
    """
    real = [(path, book) for path, book in ledgers if is_real(book)]
    populations = [
        f"Two ledgers for one population: '{book.population}' of site '{book.site}' is charged in {path} and in "
        f"{other}; neither knows what the other spent."
        for (path, book), (other, theirs) in combinations(real, 2)
        if (book.site, book.population) == (theirs.site, theirs.population)
    ]
    return populations + shared_sources([(str(path), book.sources) for path, book in real])


def is_real(book: Book) -> bool:
    """Whether a ledger has charges of real randomness, or has claimed data for them."""
    if book.sources:
        return any(source.standing != "simulated" for source in book.sources)
    return any(charge.randomness == "system" for charge in book.charges())
