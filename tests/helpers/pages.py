"""Reads a page of the documentation as somebody who does what it says: sections, commands, quoted output, files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

ASKING = re.compile(r"consilium site (init|approve) (?!.*--yes)")
DOCUMENTS = Path(__file__).parents[2] / "docs"


@dataclass(frozen=True)
class Step:
    """A command, and what the page says about it.

    Attributes:
        command: the line after `$ `.
        quoted: lines of output; … stands for anything.
    """

    command: str
    quoted: tuple[str, ...]

    @property
    def answers(self) -> list[tuple[str, str]]:
        """The questions that the page shows with what is typed after them."""
        if not ASKING.match(self.command):
            return []
        split = (line.rpartition(": ") for line in self.quoted)
        return [(asked, typed) for asked, _, typed in split if asked and typed.strip() == typed]

    def as_seen(self, output: str) -> str:
        """Return the output with what was typed, as a terminal shows it."""
        at = 0
        for asked, typed in self.answers:
            found = output.find(f"{asked}: ", at)
            if found >= 0:
                at = found + len(asked) + 2
                output = f"{output[:at]}{typed}\n{output[at:]}"
        return output


@dataclass(frozen=True)
class Text:
    """A file, or a part of one, that the page has its reader write."""

    content: str


@dataclass(frozen=True)
class Section:
    """What stands below one heading.

    Attributes:
        title: the heading.
        prose: all of its text.
        blocks: of commands and of TOML, in their order.
    """

    title: str
    prose: str
    blocks: tuple[Step | Text, ...]


def sections(name: str) -> dict[str, Section]:
    """Return the sections of a page by their number, those without one by their heading."""
    parts = re.split(r"^## (.*)\n", (DOCUMENTS / name).read_text(), flags=re.MULTILINE)
    found = {}
    for title, prose in zip(parts[1::2], parts[2::2], strict=True):
        number = re.match(r"(\d+)\. ", title)
        found[number[1] if number else title] = Section(title, prose, tuple(_blocks(prose)))
    return found


def _blocks(prose: str) -> Iterator[Step | Text]:
    for kind, content in re.findall(r"^```(console|toml)\n(.*?)^```", prose, re.DOTALL | re.M):
        if kind == "toml":
            yield Text(content)
        else:
            for command, output in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", content, re.M):
                yield Step(command, tuple(output.splitlines()))


def missing(quoted: Iterable[str], output: str) -> str:
    """Return the first quoted line that the output does not have in its place, or nothing."""
    lines = iter(output.splitlines())
    for wanted in quoted:
        pattern = re.compile(r"\s*" + ".*".join(map(re.escape, wanted.strip().split("…"))))
        if not any(pattern.match(line) for line in lines):
            return wanted
    return ""
