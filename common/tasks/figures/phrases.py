"""Which findings a report states: phrases of the study, unless a word of negation stands right before them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from common.data_spec.reports import words_of
from common.errors import StudyError


@dataclass(frozen=True)
class Reader:
    """Reads findings from numbers of words.

    Attributes:
        phrases: of every finding, as numbers of words.
        negations: numbers of the words that deny what follows.
    """

    phrases: tuple[tuple[tuple[int, ...], ...], ...]
    negations: frozenset[int]

    def stated(self, report: Sequence[int]) -> list[bool]:
        """Tell which findings a report states."""
        return [any(self._says(report, phrase) for phrase in each) for each in self.phrases]

    def _says(self, report: Sequence[int], phrase: tuple[int, ...]) -> bool:
        starts = range(len(report) - len(phrase) + 1)
        places = (i for i in starts if tuple(report[i : i + len(phrase)]) == phrase)
        return any(i == 0 or report[i - 1] not in self.negations for i in places)


def reader(
    findings: Mapping[str, Sequence[str]], negations: Sequence[str], vocabulary: Sequence[str]
) -> Reader:
    """Return a reader of findings.

    Args:
        findings: phrases of each.
        negations: words; those outside of the vocabulary do nothing.
        vocabulary: of the study.

    Raises:
        StudyError: a phrase is empty, or has a word that no report can have.
    """
    number = {word: index for index, word in enumerate(vocabulary, start=1)}

    def numbered(name: str, phrase: str) -> tuple[int, ...]:
        words = words_of(phrase)
        if words and all(word in number for word in words):
            return tuple(number[word] for word in words)
        raise StudyError(
            f"The phrase '{phrase}' cannot stand in a report.",
            where=f"[task] findings.{name}",
            fix="Use words of [data] vocabulary.",
        )

    phrases = tuple(
        tuple(numbered(name, phrase) for phrase in each) for name, each in findings.items()
    )
    return Reader(phrases, frozenset(number[word] for word in negations if word in number))
