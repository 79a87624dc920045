"""An export holds or is called tampered by a program that knows nothing of Consilium."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from client.audit.export_cli import export
from client.guard.chain import Chain
from client.guard.entries import canonical, digest
from client.guard.ledger import Ledger
from client.guard.schema import ORIGIN
from common.errors import StudyError, TamperedError
from common.privacy.events import GaussianEvent, UnprotectedEvent

SCRIPT = Path(__file__).parents[3] / "docs" / "verify_ledger.py"
EVENT = GaussianEvent("poisson", Fraction(1, 4), 1.4, 1.0, 10)


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    """Settled, given back, open and unprotected charges, and text beyond ASCII."""
    made = Ledger(tmp_path_factory.mktemp("sound") / "a.ledger", "a", "a")
    made.record_policy({"max_epsilon": 8.0, "delta": 1e-5, "allowed_tasks": None})
    for key, steps in (("1", 10), ("2", 0), ("3", None)):
        reservation = made.reserve(
            key,
            study="Lungen–Studie ε",
            fingerprint="f" * 64,
            round=int(key),
            group="train/1",
            event=UnprotectedEvent("counts", 10) if key == "2" else EVENT,
            delta=1e-5,
            randomness="system",
        )
        if steps is not None:
            made.settle(reservation, steps=steps, released="a" * 64 if steps else None)
    return made


@pytest.fixture(scope="module")
def lines(ledger: Ledger) -> list[str]:
    return exported(ledger.path).splitlines()


def exported(*arguments: object, code: int = 0) -> str:
    app = typer.Typer()
    app.command()(export)
    result = CliRunner().invoke(app, [str(each) for each in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code
    return result.stdout


def verified(folder: Path, lines: list[str] | str, *options: str) -> tuple[int, str]:
    """What the script says, run by an interpreter that sees no installed package."""
    file = folder / "export.jsonl"
    text = lines if isinstance(lines, str) else "".join(f"{line}\n" for line in lines)
    file.write_text(text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(SCRIPT), str(file), *options],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    return done.returncode, done.stdout


def test_the_script_is_short() -> None:
    assert len(SCRIPT.read_text().splitlines()) < 60


def test_an_export_holds_and_is_the_ledger(
    ledger: Ledger, lines: list[str], tmp_path: Path
) -> None:
    head = ledger.head()
    assert [json.loads(line)["hash"] for line in lines][-1] == head
    assert len(lines) == Chain(ledger.path).verify().entries == 7
    code, said = verified(tmp_path, lines, "--head", head)
    assert (code, said) == (0, f"sound: 7 entries, 1 open, head {head}\n")
    earlier = json.loads(lines[3])["hash"]
    assert verified(tmp_path, lines, "--head", earlier)[0] == 0, "the chain went on since"


def test_a_file_is_written_whole_and_for_its_owner(ledger: Ledger, tmp_path: Path) -> None:
    file = tmp_path / "export.jsonl"
    exported(ledger.path, "--output", file)
    exported(ledger.path, "--output", file)
    assert file.read_text() == exported(ledger.path)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_an_export_never_replaces_a_ledger(ledger: Ledger) -> None:
    content = ledger.path.read_bytes()
    with pytest.raises(StudyError, match="replace a database"):
        exported(ledger.path, "--output", ledger.path)
    assert ledger.path.read_bytes() == content


def test_what_does_not_hold_is_not_exported(ledger: Ledger, tmp_path: Path) -> None:
    bad = tmp_path / "bad.ledger"
    content = ledger.path.read_bytes()
    bad.write_bytes(content.replace(b'"steps":10,"type', b'"steps":11,"type', 1))
    with pytest.raises(TamperedError, match=r"Entry \d"):
        exported(bad, "--output", tmp_path / "export.jsonl")
    assert not (tmp_path / "export.jsonl").exists()
    with pytest.raises(StudyError, match="no such file"):
        exported(tmp_path / "none.ledger")


def edited(lines: list[str], number: int, old: str, new: str) -> list[str]:
    assert old in lines[number]
    return [line.replace(old, new, 1) if n == number else line for n, line in enumerate(lines)]


EDITS: dict[str, Callable[[list[str]], list[str] | str]] = {
    "a value": lambda lines: edited(lines, 3, '"steps":10', '"steps":1'),
    "a reserve": lambda lines: edited(lines, 2, '"steps":10', '"steps":1'),
    "a time": lambda lines: edited(lines, 2, '"at":"2', '"at":"3'),
    "a hash": lambda lines: edited(lines, 4, '"hash":"', '"hash":"0'),
    "a kind": lambda lines: edited(lines, 3, "settle", "policy"),
    "a space": lambda lines: edited(lines, 3, ",", ", "),
    "a key twice": lambda lines: edited(lines, 3, '"steps":10', '"steps":10,"steps":10'),
    "another key": lambda lines: edited(lines, 3, '{"at"', '{"a":1,"at"'),
    "cut in front": lambda lines: lines[1:],
    "cut in the middle": lambda lines: lines[:3] + lines[4:],
    "cut inside a line": lambda lines: "\n".join(lines)[:-5],
    "swapped": lambda lines: [*lines[:3], lines[4], lines[3], *lines[5:]],
    "reversed": lambda lines: lines[::-1],
    "twice": lambda lines: [*lines[:3], lines[2], *lines[3:]],
    "all twice": lambda lines: lines + lines,
    "an empty line": lambda lines: [*lines[:3], "", *lines[3:]],
    "empty": lambda lines: [],
    "no object": lambda lines: [*lines, "3"],
    "a number": lambda lines: [*lines, "NaN"],
    "not ASCII": lambda lines: edited(lines, 2, "\\u03b5", "ε"),
    "very deep": lambda lines: [*lines, "[" * 100_000],
}


@pytest.mark.parametrize("edit", EDITS)
def test_a_tampered_export_is_seen(lines: list[str], tmp_path: Path, edit: str) -> None:
    code, said = verified(tmp_path, EDITS[edit](lines))
    assert (code, said[:8]) == (4, "tampered")


def test_a_cut_at_the_end_shows_to_who_knows_the_head(
    ledger: Ledger, lines: list[str], tmp_path: Path
) -> None:
    assert verified(tmp_path, lines[:-1])[0] == 0
    code, said = verified(tmp_path, lines[:-1], "--head", ledger.head())
    assert (code, "head" in said) == (4, True)


LIES: dict[str, tuple[str, dict[str, object]]] = {
    "more than reserved": ("settle", {"key": "3", "steps": 11, "released": None}),
    "less than nothing": ("settle", {"key": "3", "steps": -1, "released": None}),
    "half a step": ("settle", {"key": "3", "steps": 0.5, "released": None}),
    "settled twice": ("settle", {"key": "1", "steps": 0, "released": None}),
    "never reserved": ("settle", {"key": "4", "steps": 0, "released": None}),
    "no steps": ("settle", {"key": "3"}),
    "reserved twice": ("reserve", {"key": "3", "event": {"steps": 1}}),
    "opened twice": ("open", {"site": "a"}),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_well_chained_lie_is_seen(lines: list[str], tmp_path: Path, lie: str) -> None:
    kind, body = LIES[lie]
    previous = json.loads(lines[-1])["hash"]
    seq, at = len(lines) + 1, "2026-01-01T00:00:00.000+00:00"
    entry = {"seq": seq, "at": at, "kind": kind, "body": body, "previous": previous}
    entry["hash"] = digest(seq, at, kind, body, previous)
    assert verified(tmp_path, [*lines, canonical(entry)])[0] == 4


def test_a_chain_that_begins_elsewhere_is_seen(lines: list[str], tmp_path: Path) -> None:
    at, body = "2026-01-01T00:00:00.000+00:00", {"site": "a"}
    for previous, seq in (("1" * 64, 1), (ORIGIN, 2)):
        entry = {"seq": seq, "at": at, "kind": "open", "body": body, "previous": previous}
        entry["hash"] = digest(seq, at, "open", body, previous)
        assert verified(tmp_path, [canonical(entry)])[0] == 4


def test_a_folder_is_not_a_ledger(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="is a folder"):
        exported(tmp_path)
