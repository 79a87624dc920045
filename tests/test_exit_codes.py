"""Every exit code has a page and a line in the table, and no page is left over."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from client.audit.document import EXIT_CODES
from common import errors

PAGES = Path(__file__).parents[1] / "docs" / "exit-codes"


def classes(base: type[errors.ConsiliumError]) -> Iterator[type[errors.ConsiliumError]]:
    yield base
    for child in base.__subclasses__():
        yield from classes(child)


def codes() -> set[int]:
    return {each.exit_code for each in classes(errors.ConsiliumError)} | {*EXIT_CODES.values()} - {
        0
    }


def test_pages_and_codes_are_the_same() -> None:
    assert {int(page.stem) for page in PAGES.glob("[0-9]*.md")} == codes()


@pytest.mark.parametrize("code", sorted(codes()))
def test_a_page_has_cause_cost_and_cure_and_a_line_in_the_table(code: int) -> None:
    text = (PAGES / f"{code}.md").read_text()
    assert re.match(rf"# {code}: ", text)
    for heading in ("**Cause.**", "**Kept and spent.**", "**Cure.**"):
        assert heading in text
    assert f"| [{code}]({code}.md) |" in (PAGES / "README.md").read_text()


def test_verdicts_are_in_the_table() -> None:
    text = (PAGES / "README.md").read_text()
    assert all(f"*{verdict}* {code}" in text for verdict, code in EXIT_CODES.items())
