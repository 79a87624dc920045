"""What a model card is made of, before it becomes a page."""

from __future__ import annotations

from dataclasses import dataclass

from server.report.facts import Fact
from server.report.subgroups import Table


@dataclass(frozen=True)
class Part:
    """A chapter.

    Attributes:
        title: its heading.
        sentences: paragraphs.
        points: a list.
        facts: name and value.
        tables: figures.
    """

    title: str
    sentences: tuple[str, ...] = ()
    points: tuple[str, ...] = ()
    facts: tuple[Fact, ...] = ()
    tables: tuple[Table, ...] = ()


@dataclass(frozen=True)
class Words:
    """What only people can say of a model.

    Attributes:
        intended_use: for whom and what it is meant.
        not_for: what it must not be used for.
        contact: whom to ask.
    """

    intended_use: str = ""
    not_for: str = ""
    contact: str = ""


@dataclass(frozen=True)
class Card:
    """A model card.

    Attributes:
        title: the model's name.
        lede: one sentence.
        parts: its chapters.
    """

    title: str
    lede: str
    parts: tuple[Part, ...]
