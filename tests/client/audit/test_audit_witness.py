"""`consilium audit witness`: what the coordinator saw must be in the ledger."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from client.audit.cli import app
from client.guard.book import reservation_from
from client.guard.chain import Chain
from client.guard.ledger import Ledger
from common import witness
from common.errors import RunError, StudyError
from common.privacy.events import GaussianEvent
from common.study import Study
from common.study_file import dump_study
from common.witness import Witnessed

EVENT = GaussianEvent("poisson", Fraction(1, 8), 1.2, 1.0, 10)


class Federation:
    """Sites that spend, and a coordinator that keeps their heads as the server does."""

    def __init__(self, folder: Path, study: Study) -> None:
        self.folder, self.study = folder, study
        self.run = folder / "run"
        self.run.mkdir()
        (self.run / "study.toml").write_text(dump_study(study))
        self.backups: dict[int, bytes] = {}

    def path(self, site: str = "north") -> Path:
        return self.folder / f"{site}.ledger"

    def round(
        self, number: int, site: str = "north", *, sent: int = 8, settled: bool = True
    ) -> str:
        ledger = Ledger(self.path(site), site, site)
        if sent:
            made = ledger.reserve(
                f"round-{number}",
                study=self.study.name,
                fingerprint=self.study.fingerprint,
                round=number,
                group="train/1",
                event=EVENT,
                delta=1e-3,
                randomness="system",
            )
            if settled:
                ledger.settle(made, steps=10, released="a" * 64)
        self.hear(number, ledger.head(), site, sent)
        self.backups[number] = ledger.path.read_bytes()
        return ledger.head()

    def hear(self, number: int, head: str, site: str = "north", sent: int = 8) -> None:
        witness.append(self.run, [Witnessed(site, number, head, sent)])

    def back_to(self, number: int) -> None:
        self.path().write_bytes(self.backups[number])


@pytest.fixture
def federation(tmp_path: Path, make_study: Callable[..., Study]) -> Federation:
    return Federation(tmp_path, make_study())


def run(*arguments: object) -> tuple[int, dict[str, Any]]:
    result = CliRunner().invoke(app, ["witness", *map(str, arguments), "--json"])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, json.loads(result.stdout)


def found(federation: Federation, code: int = 4) -> str:
    """The problems that the audit finds at the site."""
    ended, said = run(federation.path(), "--run", federation.run)
    assert ended == code == said["exit_code"]
    assert said["verdict"] == ("tampered" if code else "sound")
    (ledger,) = said["ledgers"]
    return " ".join(ledger["problems"])


def test_a_ledger_that_holds_all_that_was_seen(federation: Federation) -> None:
    for number in (1, 2, 3):
        federation.round(number)
        federation.round(number, "south")
    federation.round(4, sent=0)
    federation.round(9, "elsewhere")  # its ledger is not given
    code, said = run(federation.path(), federation.path("south"), "--run", federation.run)
    assert (code, said["verdict"]) == (0, "sound")
    assert [one["replies"] for one in said["ledgers"]] == [4, 3]
    assert said["notes"] == ["No ledger of site 'elsewhere' was given."]
    assert "2 ledgers hold everything" in said["summary"]


def test_a_retry_shows_the_same_head_again(federation: Federation) -> None:
    head = federation.round(1)
    federation.hear(1, head)
    federation.round(2)
    assert found(federation, 0) == ""


def test_what_was_added_since_does_not_matter(federation: Federation) -> None:
    federation.round(1)
    Ledger(federation.path(), "north", "north").record_policy({"max_epsilon": 1.0})
    assert found(federation, 0) == ""


def test_a_copy_from_a_backup_lacks_rounds(federation: Federation) -> None:
    for number in (1, 2, 3, 4, 6):
        federation.round(number)
    federation.back_to(2)
    problem = found(federation)
    assert "ends at entry 5" in problem
    assert "charges of rounds 3–4, 6," in problem
    assert "older copy" in problem
    _, said = run(federation.path(), "--run", federation.run)
    assert said["ledgers"][0]["missing_rounds"] == [3, 4, 6]


def test_a_copy_that_was_charged_on_lacks_the_rounds_between(federation: Federation) -> None:
    for number in (1, 2, 3):
        federation.round(number)
    federation.back_to(1)
    federation.round(4)
    assert "charges of rounds 2–3 are missing although later ones are there" in found(federation)


def test_a_copy_from_before_the_run_or_another_ledger(federation: Federation) -> None:
    federation.round(1)
    federation.path().unlink()
    Ledger(federation.path(), "north", "north")
    assert "None of the 1 heads" in found(federation)


def test_an_older_copy_that_was_in_use_for_a_while(federation: Federation) -> None:
    """The newest copy came back in the end, but a reply in between was charged to nothing that is left."""
    first = federation.round(1)
    federation.round(2)
    federation.hear(3, first)
    problem = found(federation)
    assert "With round 3 the ledger ended at entry 3; it had shown entry 5 with round 2" in problem
    assert "no settled charge for what left with round 3" in problem


@pytest.mark.parametrize("sent", [8, 0])
def test_what_left_must_have_been_settled(federation: Federation, sent: int) -> None:
    federation.round(1)
    federation.round(2, settled=False)
    head = federation.round(3, sent=0)
    federation.hear(4, head, sent=sent)
    rounds = "rounds 2, 4" if sent else "round 2"
    assert f"no settled charge for what left with {rounds}." in found(federation)


def test_what_was_settled_after_it_left_was_not_settled(federation: Federation) -> None:
    federation.round(1, settled=False)
    ledger = Ledger(federation.path(), "north", "north")
    for entry in list(Chain(ledger.path).read()):
        if entry.kind == "reserve":
            ledger.settle(reservation_from(entry), steps=10, released="a" * 64)
    assert "no settled charge for what left with round 1." in found(federation)


def test_a_charge_of_another_study_settles_nothing(
    federation: Federation, make_study: Callable[..., Study]
) -> None:
    federation.round(1)
    (federation.run / "study.toml").write_text(dump_study(make_study(study={"seed": 77})))
    assert "no settled charge" in found(federation)


def test_a_broken_ledger_is_tampered(federation: Federation) -> None:
    federation.round(1)
    federation.path().write_bytes(b"no ledger at all" * 999)
    assert "Entry 1 does not hold" in found(federation)


def test_two_ledgers_of_one_site(federation: Federation) -> None:
    federation.round(1)
    copy = federation.folder / "copy.ledger"
    shutil.copy(federation.path(), copy)
    code, said = run(federation.path(), copy, "--run", federation.run)
    assert code == 4
    assert all("Two ledgers for one population" in one["problems"][0] for one in said["ledgers"])
    again = federation.folder / "x" / ".." / "north.ledger"
    (federation.folder / "x").mkdir()
    assert run(federation.path(), again, "--run", federation.run)[0] == 0, "one file, two names"


def test_the_records_of_the_rounds_suffice(federation: Federation) -> None:
    """A run of before, or a coordinator that gives only these away."""
    heads = {number: federation.round(number) for number in (1, 2)}
    (federation.run / "witness.jsonl").unlink()
    with (federation.run / "rounds.jsonl").open("w") as file:
        for number, head in heads.items():
            said = {"north": {"bytes_sent": 8, "ledger_head": head}}
            file.write(json.dumps({"round": number, "sites": said}) + "\n")
    assert found(federation, 0) == ""
    federation.back_to(1)
    assert "charges of round 2," in found(federation)


def test_the_audit_changes_nothing_and_speaks_to_people(federation: Federation) -> None:
    for number in (1, 2):
        federation.round(number)
    federation.back_to(1)
    before = federation.path().read_bytes(), sorted(federation.folder.rglob("*"))
    page = federation.folder / "page.html"
    arguments = ["witness", str(federation.path()), "--run", str(federation.run)]
    result = CliRunner().invoke(app, [*arguments, "--html", str(page)])
    assert result.exit_code == 4
    assert "tampered" in result.stdout
    for text in (result.stdout, page.read_text()):
        assert "charges of round 2" in " ".join(text.split())
    page.unlink()
    assert (federation.path().read_bytes(), sorted(federation.folder.rglob("*"))) == before


def test_nothing_to_compare(federation: Federation, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no run"):
        run(tmp_path, "--run", tmp_path / "none")
    federation.round(1)
    other = Ledger(tmp_path / "other.ledger", "other", "other")
    with pytest.raises(StudyError, match="None of these") as caught:
        run(other.path, "--run", federation.run)
    assert "north" in caught.value.fix
    with pytest.raises(StudyError):
        run(tmp_path / "none.ledger", "--run", federation.run)
    (federation.run / "study.toml").unlink()
    with pytest.raises(RunError, match="no study"):
        run(federation.path(), "--run", federation.run)


def test_the_summary_counts_in_words_that_fit(federation: Federation) -> None:
    for number in (1, 2):
        federation.round(number)
        federation.round(number, "south")
    one = run(federation.path(), "--run", federation.run)[1]["summary"]
    both = run(federation.path(), federation.path("south"), "--run", federation.run)[1]["summary"]
    assert one == "1 ledger holds everything that the coordinator saw of it."
    assert both == "2 ledgers hold everything that the coordinator saw of them."
