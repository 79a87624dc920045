"""Reports in a controlled vocabulary: how a sentence becomes numbers of words, and back.

Word 0 ends a report and fills what is left of its length; the vocabulary's words are 1, 2, …
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

END = 0
"""The number that ends a report; before its first word it stands for the beginning."""
WORD = re.compile(r"[^\W_]+(?:[-'][^\W_]+)*")
"""Letters and digits, joined by hyphens or apostrophes; all else parts the words."""


def words_of(sentence: str) -> list[str]:
    """Return a sentence's words in lower case, without punctuation."""
    return WORD.findall(unicodedata.normalize("NFC", sentence).casefold())


def check_vocabulary(vocabulary: Sequence[str]) -> None:
    """Refuse words that no sentence can have.

    Raises:
        ValueError: an entry is no single word in lower case, or is listed twice.
    """
    for entry in vocabulary:
        if words_of(entry) != [entry]:
            raise ValueError(f"{entry!r} in vocabulary is no single word in lower case")
    if len(set(vocabulary)) != len(vocabulary):
        raise ValueError("a word of the vocabulary is listed twice")


def numbers_of(sentence: str, vocabulary: Sequence[str], length: int) -> list[int]:
    """Return the numbers of a sentence's words, filled up to `length`.

    Raises:
        ValueError: it has no words, too many, or others; the words are not named, since a report may name people.
    """
    number = {word: index for index, word in enumerate(vocabulary, start=1)}
    words = words_of(sentence)
    if not words:
        raise ValueError("without a report")
    if any(word not in number for word in words):
        raise ValueError("with a word outside of the vocabulary")
    if len(words) > length:
        raise ValueError("with a report that is too long")
    return [number[word] for word in words] + [END] * (length - len(words))


def sentence_of(numbers: Iterable[int], vocabulary: Sequence[str]) -> str:
    """Return the words up to the end."""
    return " ".join(vocabulary[number - 1] for number in until_end(numbers))


def until_end(numbers: Iterable[int]) -> list[int]:
    """Return the numbers before the end."""
    found = list(numbers)
    return found[: found.index(END)] if END in found else found
