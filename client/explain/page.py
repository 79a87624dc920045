"""The page and the pictures. They show patients' data, so the folder is its owner's alone and stays in the hospital."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from common.charts.pages import environment
from common.files import write_atomically

FILE_NAME = "explanations.html"


@dataclass(frozen=True)
class Figure:
    """A picture or a drawing on the page, and its file.

    Attributes:
        file: its name, without identifiers.
        title: the method.
        caption: how it is read.
        content: PNG bytes, or an SVG as markup.
    """

    file: str
    title: str
    caption: str
    content: bytes | Markup

    @property
    def picture(self) -> str:
        """The PNG as a data URI; empty of a drawing."""
        if not isinstance(self.content, bytes):
            return ""
        return "data:image/png;base64," + base64.b64encode(self.content).decode("ascii")

    @property
    def drawing(self) -> Markup:
        """The SVG; empty of a picture."""
        return self.content if isinstance(self.content, Markup) else Markup()


@dataclass(frozen=True)
class SampleShown:
    """One explained sample.

    Attributes:
        title: which of the case's samples.
        meaning: what is explained.
        score, start: of the sample and of what it is compared with.
        figures: in order.
        notes: which methods do not suit the network, and why.
        pictures: whether the figures are pictures, of which more than one fits beside each other.
    """

    title: str
    meaning: str
    score: str
    start: str
    figures: tuple[Figure, ...]
    notes: tuple[str, ...] = ()
    pictures: bool = False


@dataclass(frozen=True)
class CaseShown:
    """One explained case: its name, what the model answered, its samples."""

    name: str
    answers: Mapping[str, Any]
    samples: tuple[SampleShown, ...]


def svg(macro: str, *arguments: object) -> Markup:
    """Return a drawing of `templates/drawings.j2`."""
    module = environment("client.explain").get_template("drawings.j2").module
    return Markup(str(getattr(module, macro)(*arguments)).strip())


def write_page(folder: Path, cases: list[CaseShown], **facts: object) -> None:
    """Write the page and, beside it, every picture as a file of its own, readable by their owner only.

    Args:
        folder: where; it stands already.
        cases: what is shown.
        facts: `study`, `version` and `baseline`.

    Raises:
        MachineError: a file cannot be written.
    """
    for figure in (f for case in cases for sample in case.samples for f in sample.figures):
        write_atomically(folder / figure.file, figure.content)
    page = environment("client.explain").get_template("explanations.html.j2")
    write_atomically(folder / FILE_NAME, page.render(cases=cases, **facts))
