"""The page for the ethics board: self-contained, escaped, well-formed, never in the place of something else."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from audit_documents import LIMIT, LINE, PLOTS, document

from client.audit.document import EXIT_CODES
from client.audit.html import render, write
from common.errors import MachineError, StudyError

HOSTILE = '</style><script>alert("1")</script><img src=x onerror=a>'


class Page(HTMLParser):
    """Collects tags and attributes, and checks that what is opened is closed."""

    VOID = frozenset({"meta", "path", "circle", "rect", "br"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def values(self, name: str) -> list[str]:
        return [attributes[name] or "" for _, attributes in self.tags if name in attributes]


@pytest.mark.parametrize("kind", PLOTS)
def test_is_a_whole_page_that_loads_nothing_whatever_is_plotted(kind: str) -> None:
    text = render(document(*PLOTS[kind]))
    page = Page(text)
    assert page.open == []
    assert {tag for tag, _ in page.tags}.isdisjoint({"script", "link", "img", "iframe", "object"})
    assert page.values("src") == []
    assert page.values("href") == ["#main"]
    assert "default-src 'none'; style-src 'unsafe-inline'" in page.values("content")
    assert not re.search(r"https?:|url\(|@import|javascript:", text)
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    for label in page.values("aria-labelledby"):
        assert set(label.split()) <= set(ids)


@pytest.mark.parametrize("kind", PLOTS)
def test_drawings_are_well_formed_and_inside_their_frame(kind: str) -> None:
    for text in re.findall(r"<svg.*?</svg>", render(document(*PLOTS[kind])), re.DOTALL):
        drawing = ElementTree.fromstring(text)
        width, height = map(float, drawing.attrib["viewBox"].split()[2:])
        for element in drawing.iter():
            path = element.attrib.get("d", "")
            assert not re.search("nan|inf", path)
            if element.attrib.get("class", "").startswith("line"):
                for x, y in re.findall(r"[ML]([-\d.e]+) ([-\d.e]+)", path):
                    assert -1 <= float(x) <= width + 1
                    assert -1 <= float(y) <= height + 1


def test_a_plot_without_finite_values_says_so() -> None:
    assert "there is nothing to draw" in render(document(*PLOTS["nothing finite"]))
    assert "there is nothing to draw" not in render(document(*PLOTS["infinite"]))


def test_limits_are_dashed_and_named() -> None:
    text = render(document(LINE, LIMIT))
    assert 'class="rule limit"' in text
    assert "budget (3)" in text
    assert ".rule.limit { stroke-dasharray" in text


def test_words_of_others_are_escaped_everywhere() -> None:
    curves = (replace(LINE, label=HOSTILE), replace(LIMIT, label=HOSTILE))
    text = render(document(*curves, words=HOSTILE), command=HOSTILE)
    assert "<script" not in text
    assert "<img" not in text
    assert Page(text).open == []
    assert text.count("&lt;script&gt;") >= 12


def test_control_characters_and_lone_surrogates_do_no_harm(tmp_path: Path) -> None:
    write(document(words="a\x00\x1b[2Jb\u202ec\udcff"), tmp_path / "a.html")
    text = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert not set("\x00\x1b\u202e") & set(text)


@pytest.mark.parametrize("verdict", EXIT_CODES)
def test_says_what_a_board_must_know(verdict: str) -> None:
    made = replace(document(), verdict=verdict, data={})
    text = render(made, command="consilium audit x", now=datetime(2026, 3, 1, 9, 5, tzinfo=UTC))
    words = " ".join(re.sub("<[^>]+>", " ", text.split("</style>")[1]).split())
    for piece in (
        verdict.capitalize(),
        f"Exit code {EXIT_CODES[made.verdict]}",
        "add/remove one patient",
        "2026-03-01 09:05 UTC",
        "consilium audit x",
        "The figure of record is ε by privacy loss distributions",
    ):
        assert piece in words
    again = render(made, command="consilium audit x", now=datetime(2026, 3, 1, 9, 5, tzinfo=UTC))
    assert text == again


def test_an_earlier_report_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "new" / "audit.html"
    write(document(), path)
    write(document(words="later"), path)
    assert "later" in path.read_text()
    assert [each.name for each in path.parent.iterdir()] == ["audit.html"]


def test_nothing_else_is_replaced(tmp_path: Path) -> None:
    ledger = tmp_path / "hospital-1.ledger"
    ledger.write_bytes(b"SQLite format 3\x00" * 20)
    before = ledger.read_bytes()
    with pytest.raises(StudyError, match="no audit report"):
        write(document(), ledger)
    assert ledger.read_bytes() == before


@pytest.mark.parametrize("place", [".", "/dev/null"])
def test_a_folder_or_a_device_is_no_place_for_a_report(tmp_path: Path, place: str) -> None:
    with pytest.raises(StudyError) as caught:
        write(document(), tmp_path / place)
    assert "--html" in caught.value.where
    assert caught.value.fix


def test_a_report_that_cannot_be_written_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("common.files.os.replace", full)
    with pytest.raises(MachineError, match="disk is full"):
        write(document(), tmp_path / "a.html")
    assert list(tmp_path.iterdir()) == []
