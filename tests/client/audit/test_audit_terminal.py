"""An audit on the terminal and as JSON: any width and encoding, hostile words, and the exit codes of a real process."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from audit_documents import LIMIT, LINE, PLOTS, document
from rich.console import Console

from client.audit.document import EXIT_CODES, Curve, Document, Plot, Table
from client.audit.legible import harmless, numeric, spell
from client.audit.render import emit, to_json
from client.audit.sparkline import WIDTH, curve_rows
from client.audit.terminal import MOST_ROWS, show
from common.errors import StudyError


def shown(made: Document, width: int = 80, encoding: str = "utf-8", colour: bool = False) -> str:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding, newline="\n")
    system = "standard" if colour else None
    show(made, Console(file=stream, width=width, color_system=system, force_terminal=colour))
    stream.flush()
    return raw.getvalue().decode(encoding)


@pytest.mark.parametrize("width", [1, 24, 40, 80, 200])
@pytest.mark.parametrize("kind", PLOTS)
def test_every_width_and_every_plot(kind: str, width: int) -> None:
    lines = shown(document(*PLOTS[kind]), width).splitlines()
    assert max(map(len, lines)) <= max(width, 24)
    assert "Verdict: sound" in lines


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_what_an_encoding_lacks_is_spelled_out(encoding: str) -> None:
    text = shown(document(words="ε ≤ 8 · δ = 10⁻⁵, σ, 患者"), encoding=encoding)
    assert "eps" in text
    assert "inf" in text
    assert "delta" in text


def test_words_of_others_cannot_move_the_cursor() -> None:
    text = shown(document(words="a\x1b[2J\x07\r\u202eb [bold]c[/]"))
    assert not set("\x1b\x07\r\u202e") & set(text)
    assert "[bold]c[/]" in text


@pytest.mark.parametrize("verdict", EXIT_CODES)
def test_the_verdict_has_a_colour_where_there_are_colours(verdict: str) -> None:
    made = replace(document(), verdict=verdict)
    assert "\x1b[" in shown(made, colour=True)
    assert "\x1b[" not in shown(made)
    assert f"Verdict: {verdict}" in shown(made)


def test_a_table_that_does_not_fit_becomes_lines_that_lose_nothing() -> None:
    columns = tuple(f"column{i}" for i in range(12))
    table = Table("wide", columns, (tuple(f"12345.{i:02}" for i in range(12)),))
    made = Document("t", "sound", "s", (table,), {})
    narrow, wide = shown(made, 60), shown(made, 200)
    assert "column11: 12345.11" in narrow
    for text in (narrow, wide):
        assert all(f"12345.{i:02}" in text for i in range(12))


def test_long_tables_are_cut_and_say_so() -> None:
    rows = tuple((f"site-{i}", "1") for i in range(MOST_ROWS + 7))
    text = shown(Document("t", "sound", "s", (Table("all", ("site", "n"), rows),), {}))
    assert f"site-{MOST_ROWS - 1} " in text
    assert f"site-{MOST_ROWS} " not in text
    assert "7 more rows are left out" in text


def test_a_sparkline_rises_with_its_curve_and_shares_the_scale_of_its_plot() -> None:
    rising = Curve("a", (0.0, 1.0), (0.0, 4.0))
    late = Curve("b", (0.5, 1.0), (8.0, 8.0))
    _, ((_, up, first, last, top), (_, flat, *_)) = curve_rows(Plot("", "x", "y", (rising, late)))
    assert (first, last, top) == ("0", "4", "4")
    assert len(up) == len(flat) == WIDTH
    assert list(up) == sorted(up)
    assert (up[0], up[-1]) in {("▁", "▄"), ("▁", "▅")}
    assert set(flat[: WIDTH // 2 - 1]) == {" "}
    assert flat[-1] == "█"


@pytest.mark.parametrize(
    ("cells", "right"),
    [
        (["1", "1,234.5", "–", "∞"], True),
        (["", "1/8"], True),
        (["10⁻⁵", "1.2 × 10⁻⁵", "1e-05", "95 %", "≤ 8", "−0.5"], True),
        (["1", "one"], False),
        (["–", ""], False),
        (["2026-01-31"], False),
        ([], False),
    ],
)
def test_columns_of_numbers_are_known(cells: list[str], right: bool) -> None:
    assert numeric(cells) is right


def test_spelling_touches_only_what_is_missing() -> None:
    assert spell("ε é", "latin-1") == "eps é"
    assert spell("ε", "utf-8") == "ε"
    assert harmless("a\nb\tc") == "a\nb\ufffdc"


def test_json_has_the_data_and_the_verdict() -> None:
    data = {"epsilon": {"pld": float("inf")}, "n": float("nan"), "verdict": "made up"}
    made = replace(document(), verdict="leaking", data=data)
    assert to_json(made) == {
        "title": "words",
        "summary": "words",
        "epsilon": {"pld": "inf"},
        "n": None,
        "verdict": "leaking",
        "exit_code": 10,
    }


def test_a_bad_place_for_the_page_does_not_lose_the_findings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for as_json in (True, False):
        with pytest.raises(StudyError):
            emit(document(), as_json=as_json, html=tmp_path)
        assert "words" in capsys.readouterr().out
    emit(document(), as_json=True, html=tmp_path / "a.html")
    assert json.loads(capsys.readouterr().out)["verdict"] == "sound"
    assert (tmp_path / "a.html").exists()


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
@pytest.mark.parametrize("verdict", ["sound", "leaking"])
def test_a_real_process_ends_with_the_code_of_the_verdict(
    tmp_path: Path, verdict: str, encoding: str
) -> None:
    script = (
        "import typer\n"
        "from pathlib import Path\n"
        "from client.audit.document import Document, Table\n"
        "from client.audit.render import emit\n"
        "def main(html: Path) -> None:\n"
        "    made = Document('ε', %r, 'δ', (Table('σ', ('a',), (('∞',),)),), {})\n"
        "    emit(made, as_json=False, html=html)\n"
        "    raise typer.Exit(made.exit_code)\n"
        "typer.run(main)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script % verdict, str(tmp_path / "a.html")],
        env={**os.environ, "PYTHONIOENCODING": encoding, "COLUMNS": "80", "NO_COLOR": "1"},
        capture_output=True,
        encoding=encoding,
        timeout=60,
    )
    assert ran.returncode == EXIT_CODES[verdict], ran.stderr
    assert f"Verdict: {verdict}" in ran.stdout
    assert ("ε" if encoding == "utf-8" else "eps") in ran.stdout
    assert (tmp_path / "a.html").exists()


def test_limits_keep_their_place_in_the_terminals_table() -> None:
    text = shown(document(LINE, LIMIT))
    assert text.index("spent") < text.index("budget")
