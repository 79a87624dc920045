"""`consilium audit egress`: totals, what contradicts the ledger in either direction, exit codes."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from client.audit.cli import app
from client.audit.egress_document import document
from client.audit.egress_report import audit
from client.guard.chain import Chain
from client.guard.egress_log import EgressLog, Release
from client.guard.ledger import Ledger
from common.errors import StudyError
from common.privacy.events import GaussianEvent

EVENT = GaussianEvent("poisson", Fraction(1, 8), 1.2, 1.0, 10)
SHA, OTHER = "c" * 64, "d" * 64


class House:
    """A site with a ledger and an egress log."""

    def __init__(self, folder: Path, name: str = "north") -> None:
        self.folder = folder / name
        private = self.folder / ".consilium"
        self.ledger = Ledger(private / "site.ledger", name, name)
        self.log = EgressLog(private / "site.egress", name)

    def charge(
        self,
        round_: int,
        released: str | None = SHA,
        *,
        what: str = "training",
        settle: bool = True,
    ) -> None:
        made = self.ledger.reserve(
            f"round-{round_}-x/{what}",
            study="lung",
            fingerprint="f" * 64,
            round=round_,
            group="train/1" if what == "training" else "test/1",
            event=EVENT,
            delta=1e-3,
            randomness="system",
        )
        if settle:
            self.ledger.settle(made, steps=10 if released else 0, released=released)

    def note(self, round_: int, sha256: str = SHA, *, reason: str = "", **changes: Any) -> None:
        parts = changes.pop("parts", {"weights": 12})
        values: dict[str, Any] = {
            "study": "lung",
            "fingerprint": "f" * 64,
            "round": round_,
            "key": f"round-{round_}-x",
            "sha256": sha256,
            "bytes": sum(parts.values()),
            "parts": parts,
            "layout": "b" * 64,
            "reason": reason,
        }
        release = Release(**(values | changes))
        if reason:
            self.log.refused(release)
        else:
            self.log.leaving(release)

    def audit(self, *options: str) -> tuple[int, dict[str, Any]]:
        result = CliRunner().invoke(app, ["egress", str(self.folder), "--json", *options])
        return result.exit_code, json.loads(result.output)


@pytest.fixture
def house(tmp_path: Path) -> House:
    made = House(tmp_path)
    for round_ in (1, 2):
        made.charge(round_)
        made.note(round_)
    return made


def test_totals_by_study(house: House) -> None:
    house.note(2, resent=True)
    house.charge(3, settle=False)
    house.note(3, OTHER, reason="The weights are not finite.")
    house.charge(3, what="statistics")
    house.note(3, parts={"statistics": 8}, key="round-3-x")
    code, found = house.audit()
    assert (code, found["verdict"]) == (0, "sound")
    (log,) = found["logs"]
    assert log["contradictions"] == []
    (study,) = log["studies"]
    assert (study["replies"], study["resent"], study["refused"]) == (3, 1, 1)
    assert (study["bytes"], study["parts"]) == (44, {"weights": 36, "statistics": 8})
    assert [entry["entry"] for entry in log["entries"]] == [2, 3, 4, 5, 6]
    assert "3 replies left, 44 bytes" in found["summary"]


def uncharged(house: House) -> None:
    house.note(3)


def half_charged(house: House) -> None:
    house.charge(3)
    house.note(3, parts={"weights": 12, "statistics": 8})


def other_bytes(house: House) -> None:
    house.charge(3)
    house.note(3)
    house.note(3, OTHER)


def given_back(house: House) -> None:
    house.charge(3, released=None)
    house.note(3)


def another_round(house: House) -> None:
    house.note(7, key="round-2-x", resent=True)


def unlogged(house: House) -> None:
    house.charge(3)


def cut(house: House) -> None:
    """Entries are gone at the end, skilfully: the shorter chain holds."""
    with closing(sqlite3.connect(house.log.path, isolation_level=None)) as connection:
        connection.execute("DROP TRIGGER no_delete")
        connection.execute("DELETE FROM entries WHERE seq = 3")
        connection.execute(
            "UPDATE newest SET seq = 2, hash = (SELECT hash FROM entries WHERE seq = 2)"
        )
    assert Chain(house.log.path, writable=False).verify().intact


def begun_anew(house: House) -> None:
    house.log.path.unlink()
    EgressLog(house.log.path, "north")


def of_another_site(house: House) -> None:
    house.log.path.unlink()
    house.log = EgressLog(house.log.path, "south")
    for round_ in (1, 2):
        house.note(round_)


@pytest.mark.parametrize(
    ("act", "said"),
    [
        (uncharged, "no charge"),
        (half_charged, "statistics of round 3 left"),
        (other_bytes, "other bytes"),
        (given_back, "settled for nothing"),
        (another_round, "another study or round"),
        (unlogged, "no entry for it"),
        (cut, "no entry for it"),
        (begun_anew, "no entry for it"),
        (of_another_site, "south"),
    ],
)
def test_log_and_ledger_that_contradict_each_other(
    house: House, act: Callable[[House], None], said: str
) -> None:
    act(house)
    code, found = house.audit()
    assert (code, found["verdict"]) == (4, "tampered")
    assert said in " ".join(found["logs"][0]["contradictions"])
    assert "contradict" in found["summary"]


def test_a_stop_between_the_entry_and_the_settlement_is_a_note(house: House) -> None:
    house.charge(3, settle=False)
    house.note(3)
    code, found = house.audit()
    assert code == 0
    assert "charged in full" in found["logs"][0]["notes"][0]


def test_rounds_made_good_after_a_restored_ledger_are_no_contradiction(house: House) -> None:
    house.note(3)
    assert house.audit()[0] == 4
    house.ledger.reserve(
        f"restored/{'f' * 64}/3/head/training",
        study="lung",
        fingerprint="f" * 64,
        round=3,
        group="all/restored",
        event=EVENT,
        delta=1e-3,
        randomness="system",
    )
    assert house.audit()[0] == 0


def test_a_changed_entry_breaks_the_chain_and_no_figure_is_given(house: House) -> None:
    with closing(sqlite3.connect(house.log.path, isolation_level=None)) as connection:
        connection.execute("DROP TRIGGER no_update")
        connection.execute("UPDATE entries SET body = replace(body, '12', '13') WHERE seq = 2")
    code, found = house.audit()
    assert code == 4
    assert "broken at entry 2" in found["summary"]
    assert found["logs"][0]["studies"] == []


def test_a_ledger_that_does_not_hold_is_no_witness(house: House) -> None:
    with closing(sqlite3.connect(house.ledger.path, isolation_level=None)) as connection:
        connection.execute("DROP TRIGGER no_update")
        connection.execute("UPDATE entries SET at = '' WHERE seq = 2")
    code, found = house.audit()
    assert code == 4
    assert "ledger" in found["summary"]


def test_without_a_ledger_only_the_chain_is_verified(house: House) -> None:
    house.ledger.path.unlink()
    code, found = house.audit()
    assert code == 0
    assert "could not be compared" in found["logs"][0]["notes"][0]
    assert "charged" not in found["summary"]


def test_a_run_has_one_log_a_site_and_the_worst_decides(tmp_path: Path) -> None:
    for name in ("a", "b"):
        house = House(tmp_path / "houses", name)
        house.charge(1)
        if name == "a":
            house.note(1)
        for kind, folder in (("ledger", "ledgers"), ("egress", "egress")):
            target = tmp_path / "run" / folder / f"{name}.{kind}"
            target.parent.mkdir(parents=True, exist_ok=True)
            (house.folder / ".consilium" / f"site.{kind}").rename(target)
    reports = audit(tmp_path / "run")
    assert [(report.site, report.verdict) for report in reports] == [
        ("a", "sound"),
        ("b", "tampered"),
    ]
    made = document(reports)
    assert made.exit_code == 4
    assert "1 of 2 logs" in made.summary
    assert audit(tmp_path / "run" / "egress" / "a.egress")[0].ledger is not None


def test_the_terminal_and_the_page_tell_the_same(house: House, tmp_path: Path) -> None:
    page = tmp_path / "egress.html"
    result = CliRunner().invoke(app, ["egress", str(house.folder), "--html", str(page)])
    assert result.exit_code == 0
    for text in (result.output, page.read_text()):
        assert "What left north" in text
        assert "2 replies left" in text


@pytest.mark.parametrize("place", ["nowhere", ""])
def test_nothing_to_audit_is_said(tmp_path: Path, place: str) -> None:
    with pytest.raises(StudyError):
        audit(tmp_path / place)


def test_an_audit_changes_nothing(house: House) -> None:
    before = [path.read_bytes() for path in (house.log.path, house.ledger.path)]
    house.audit()
    assert [path.read_bytes() for path in (house.log.path, house.ledger.path)] == before
