"""`consilium audit ledger`: figures as by hand, verdicts, exit codes, and what it says."""

from __future__ import annotations

import json
import math
import os
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import Any

import dp_accounting
import pytest
from dp_accounting.pld import PLDAccountant
from dp_accounting.rdp import RdpAccountant
from typer.testing import CliRunner

from client.audit.cli import app
from client.audit.document import Plot, Table
from client.audit.ledger_document import DETAILED, PLOTTED, document
from client.audit.ledger_report import audit
from client.audit.render import to_json
from client.guard.ledger import Ledger
from common.errors import StudyError
from common.privacy.events import Event, GaussianEvent, UnprotectedEvent

POLICY = {"max_epsilon": 8.0, "delta": 1e-3}
TRAIN = GaussianEvent("poisson", Fraction(1, 8), 1.2, 1.0, 10)
COUNTS = GaussianEvent("full", Fraction(1), 12.0, 1.0, 1)
SHA = "c" * 64


def spend(ledger: Ledger, event: Event, rounds: int = 3, **terms: Any) -> None:
    """Charge and settle an event in each round."""
    values: dict[str, Any] = {
        "study": "lung",
        "fingerprint": "f" * 64,
        "group": "train/1",
        "delta": 2e-3,
        "randomness": "system",
        **terms,
    }
    for number in range(1, rounds + 1):
        key = f"{values['study']}/{number}/{values['group']}/{event!r}"
        made = ledger.reserve(key, round=number, event=event, **values)
        ledger.settle(made, steps=event.steps, released=SHA)


def site(
    folder: Path, name: str = "hospital-1", policy: Mapping[str, Any] | None = POLICY
) -> Ledger:
    ledger = Ledger(folder / f"{name}.ledger", name, name)
    if policy:
        ledger.record_policy(policy)
    return ledger


def run(*arguments: object) -> tuple[int, dict[str, Any]]:
    """The exit code and the JSON of the command."""
    result = CliRunner().invoke(app, ["ledger", *map(str, arguments), "--json"])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, json.loads(result.stdout)


def shown(*arguments: object, code: int = 0) -> str:
    """What the command prints for people, on one line."""
    result = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["ledger", *map(str, arguments)])
    assert result.exit_code == code
    return " ".join(result.stdout.split())


def by_hand(accountant: Any, rounds: int, delta: float) -> float:
    step = dp_accounting.PoissonSampledDpEvent(1 / 8, dp_accounting.GaussianDpEvent(1.2))
    return float(accountant.compose(step, 10 * rounds).get_epsilon(delta))


def test_figures_are_those_of_a_hand_computation(tmp_path: Path) -> None:
    ledger = site(tmp_path)
    spend(ledger, TRAIN)
    spend(ledger, COUNTS, group="test/1")
    code, report = run(ledger.path)
    assert (code, report["exit_code"], report["verdict"]) == (0, 0, "sound")
    (one,) = report["ledgers"]
    assert (one["site"], one["population"]) == ("hospital-1", "hospital-1")
    assert one["chain"]["intact"] is True
    assert one["chain"]["head"] == ledger.head()
    assert one["entries"] == 2 + 2 * 6
    (study,) = one["studies"]
    assert (study["study"], study["rounds"], study["delta"]) == ("lung", 3, 2e-3)
    assert study["events"][0] == {
        "role": "train",
        "sampler": "poisson",
        "q": "1/8",
        "sigma": 1.2,
        "clip_norm": 1.0,
        "steps": 30,
        "unsettled_steps": 0,
    }
    for figures, delta in ((study["epsilon"], 2e-3), (one["total"]["epsilon"], 1e-3)):
        assert figures["pld"] == pytest.approx(by_hand(PLDAccountant(), 3, delta), rel=1e-6)
        assert figures["rdp"] == pytest.approx(by_hand(RdpAccountant(), 3, delta), rel=1e-6)
        assert figures["prv"] == pytest.approx(figures["pld"], abs=0.02)
    assert one["total"]["delta"] == 1e-3
    assert one["budget"] == {"max_epsilon": 8.0, "delta": 1e-3, "exceeded": False}


def test_studies_compose(tmp_path: Path) -> None:
    ledger = site(tmp_path)
    spend(ledger, TRAIN)
    spend(ledger, TRAIN, rounds=2, study="heart", fingerprint="e" * 64)
    _, report = run(ledger.path, "--delta", "1e-4")
    (one,) = report["ledgers"]
    found = [study["epsilon"]["pld"] for study in one["studies"]]
    assert found == pytest.approx([by_hand(PLDAccountant(), n, 1e-4) for n in (3, 2)])
    assert one["total"]["epsilon"]["pld"] == pytest.approx(by_hand(PLDAccountant(), 5, 1e-4))
    assert [study["delta"] for study in one["studies"]] == [1e-4, 1e-4]


def test_what_was_never_settled_counts_in_full(tmp_path: Path) -> None:
    ledger = site(tmp_path)
    ledger.reserve(
        "1", study="lung", fingerprint="f", round=1, group="train/1", event=TRAIN,
        delta=1e-3, randomness="system",
    )  # fmt: skip
    _, report = run(ledger.path)
    (event,) = report["ledgers"][0]["studies"][0]["events"]
    assert (event["steps"], event["unsettled_steps"]) == (10, 10)
    assert "never settled" in report["ledgers"][0]["notes"][0]
    assert "(10 unsettled)" in shown(ledger.path)


def test_over_budget(tmp_path: Path) -> None:
    ledger = site(tmp_path)
    spend(ledger, TRAIN)
    ledger.record_policy({"max_epsilon": 1.5, "delta": 1e-3})
    code, report = run(ledger.path)
    assert (code, report["verdict"], report["exit_code"]) == (3, "over budget", 3)
    assert report["ledgers"][0]["budget"]["exceeded"] is True
    assert "over ε = 1.5" in shown(ledger.path, code=3)


@pytest.mark.parametrize("where", ["body", "hash"])
def test_a_broken_chain_gives_no_figures(tmp_path: Path, where: str) -> None:
    ledger = site(tmp_path)
    spend(ledger, TRAIN)
    with closing(sqlite3.connect(ledger.path)) as connection, connection:
        connection.execute("DROP TRIGGER no_update")
        connection.execute(f"UPDATE entries SET {where} = {where} || '0' WHERE seq = 4")
    code, report = run(ledger.path)
    assert (code, report["verdict"], report["exit_code"]) == (4, "tampered", 4)
    (one,) = report["ledgers"]
    assert one["chain"]["broken_at"] == 4
    assert "changed" in one["chain"]["reason"]
    assert one["studies"] == []
    assert one["total"] is None
    assert "Chain broken at entry 4" in shown(ledger.path, code=4)


def test_the_worst_ledger_decides(tmp_path: Path) -> None:
    spend(site(tmp_path / "x"), TRAIN)
    spend(site(tmp_path / "y", "hospital-2", {"max_epsilon": 0.5, "delta": 1e-3}), TRAIN)
    code, report = run(tmp_path)
    assert code == 3
    assert [one["verdict"] for one in report["ledgers"]] == ["sound", "over budget"]
    (tmp_path / "y" / "z.ledger").write_text("nonsense")
    assert run(tmp_path)[0] == 4
    assert run(tmp_path, tmp_path / "x")[1]["ledgers"].__len__() == 3


def test_training_without_noise_is_infinite(tmp_path: Path) -> None:
    ledger = site(tmp_path)
    spend(ledger, UnprotectedEvent("weights trained without noise", 1))
    code, report = run(ledger.path)
    (one,) = report["ledgers"]
    assert code == 3
    assert one["total"]["epsilon"] == {"pld": "inf", "prv": "inf", "rdp": "inf"}
    assert one["unprotected"] == [
        {"study": "lung", "what": "weights trained without noise", "releases": 3}
    ]
    assert "∞" in shown(ledger.path, code=3)


def test_public_statistics_are_reported_apart(tmp_path: Path) -> None:
    ledger = site(tmp_path)
    spend(ledger, TRAIN)
    public = UnprotectedEvent("confusion counts", 1, declared_public=True)
    spend(ledger, public, group="test/1")
    code, report = run(ledger.path)
    (one,) = report["ledgers"]
    assert code == 0
    assert math.isfinite(one["total"]["epsilon"]["pld"])
    assert one["unprotected"] == []
    assert one["declared_public"][0]["releases"] == 3
    text = shown(ledger.path)
    assert "Declared public by the site's policy" in text
    assert "confusion counts lung 3" in text


def test_fixed_randomness_and_adjacency_are_said(tmp_path: Path) -> None:
    ledger = site(tmp_path)
    spend(ledger, TRAIN, randomness="fixed")
    text = shown(ledger.path)
    assert "simulation only, gives no protection" in text
    assert "add/remove one patient" in text
    assert run(ledger.path)[1]["ledgers"][0]["studies"][0]["randomness"] == "fixed"


def test_an_empty_ledger_and_one_without_policy(tmp_path: Path) -> None:
    ledger = site(tmp_path, policy=None)
    code, report = run(ledger.path)
    (one,) = report["ledgers"]
    assert code == 0
    assert one["total"] == {"delta": None, "epsilon": {"pld": 0.0, "prv": 0.0, "rdp": 0.0}}
    assert one["budget"] is None
    assert "nothing to compare with" in shown(ledger.path)


def test_two_ledgers_of_one_population_are_noted(tmp_path: Path) -> None:
    site(tmp_path / "x")
    site(tmp_path / "y")
    assert "has 2 ledgers here" in run(tmp_path)[1]["notes"][0]


@pytest.mark.parametrize("name", ["none.ledger", "empty"])
def test_nothing_found_is_a_bad_path(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(StudyError) as caught:
        run(tmp_path / name)
    assert caught.value.exit_code == 2
    assert name in caught.value.where


def test_a_delta_that_is_no_probability_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="--delta"):
        run(site(tmp_path).path, "--delta", "2")


def test_an_audit_changes_nothing(tmp_path: Path) -> None:
    ledger = site(tmp_path)
    spend(ledger, TRAIN)
    ledger.path.chmod(0o400)
    before = ledger.path.read_bytes(), ledger.path.stat().st_mtime_ns
    run(tmp_path)
    assert (ledger.path.read_bytes(), ledger.path.stat().st_mtime_ns) == before
    assert [each.name for each in tmp_path.iterdir()] == ["hospital-1.ledger"]


def test_help_needs_nothing_heavy() -> None:
    script = "import sys, client.audit.cli; print([n for n in sys.modules if n in %r])"
    heavy = ["numpy", "torch", "scipy", "dp_accounting", "opacus", "rich.table"]
    done = subprocess.run(
        [sys.executable, "-c", script % heavy], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
    assert "4 tampered" in " ".join(CliRunner().invoke(app, ["ledger", "--help"]).stdout.split())


def test_a_page_and_the_replace_one_figures(tmp_path: Path) -> None:
    ledger = site(tmp_path)
    spend(ledger, TRAIN, study="<script>lung")
    page = tmp_path / "pages" / "audit.html"
    code, report = run(ledger.path, "--html", page, "--adjacency", "replace-one")
    assert code == 0
    (one,) = report["ledgers"]
    figures = one["total"]["epsilon"]
    assert figures["pld"] < figures["pld_replace_one"] < math.inf
    assert one["studies"][0]["epsilon"]["pld_replace_one"] > figures["pld"] * 0.9
    assert report["adjacency"] == "add/remove one patient"
    text = page.read_text()
    assert "<script" not in text
    assert "&lt;script&gt;lung" in text
    assert "Privacy spent along the ledger" in text
    assert "budget at δ = 0.001 (8)" in text
    assert "one replaced" in shown(ledger.path, "--adjacency", "replace-one")
    assert "pld_replace_one" not in run(ledger.path)[1]["ledgers"][0]["total"]["epsilon"]


def test_the_report_cannot_replace_the_ledger(tmp_path: Path) -> None:
    ledger = site(tmp_path)
    before = ledger.path.read_bytes()
    with pytest.raises(StudyError, match="no audit report"):
        run(ledger.path, "--html", ledger.path)
    assert ledger.path.read_bytes() == before


def test_populations_have_figures_and_curves_of_their_own(tmp_path: Path) -> None:
    ledger = site(tmp_path)
    spend(ledger, TRAIN, rounds=2)
    spend(ledger, TRAIN, study="ct", fingerprint="e" * 64, population="ct")
    spend(ledger, TRAIN, rounds=1, study="heart", fingerprint="d" * 64, population="cardio")
    made = document(audit([ledger.path]))
    (one,) = to_json(made)["ledgers"]
    found = {each["name"]: each["epsilon"] for each in one["populations"]}
    assert found["ct"] == pytest.approx(by_hand(PLDAccountant(), 5, 1e-3), rel=1e-3)
    assert found["cardio"] == pytest.approx(by_hand(PLDAccountant(), 3, 1e-3), rel=1e-3)
    assert one["total"]["epsilon"]["pld"] == max(found.values())
    (plot,) = (part for part in made.parts if isinstance(part, Plot))
    assert [curve.label for curve in plot.curves[:2]] == ["population ct", "population cardio"]
    for curve in plot.curves[:2]:
        assert curve.y[0] == 0.0
        assert list(curve.y) == sorted(curve.y)
        assert curve.x[-1] == 6.0
    assert plot.curves[0].y[-1] == pytest.approx(found["ct"], rel=1e-2)
    assert plot.curves[1].y[-1] == pytest.approx(found["cardio"], rel=1e-2)
    assert plot.curves[2].dashed
    assert plot.curves[2].y == (8.0, 8.0)


def test_a_curve_ends_where_noise_was_left_out(tmp_path: Path) -> None:
    ledger = site(tmp_path)
    spend(ledger, TRAIN)
    spend(ledger, UnprotectedEvent("weights", 1), rounds=1, study="bare")
    made = document(audit([ledger.path]))
    (plot,) = (part for part in made.parts if isinstance(part, Plot))
    assert plot.curves[0].x[-1] == 3.0
    assert "from there on ε is infinite" in plot.note
    titles = [part.title for part in made.parts]
    assert "Left without noise" in titles
    assert made.verdict == "over budget"


def test_many_ledgers_give_an_overview_and_the_details_of_the_worst(tmp_path: Path) -> None:
    for number in range(1, 12):
        spend(site(tmp_path, f"hospital-{number}"), TRAIN, rounds=number % 3 + 1)
    spend(site(tmp_path, "over", {"max_epsilon": 0.5, "delta": 1e-3}), TRAIN)
    (tmp_path / "broken.ledger").write_text("nonsense")
    made = document(audit([tmp_path]))
    assert made.verdict == "tampered"
    assert "11 sound, 1 over budget, 1 tampered" in made.summary
    (table,) = (part for part in made.parts if part.title.startswith("All ledgers"))
    assert isinstance(table, Table)
    assert len(table.rows) == 13
    assert [row[1] for row in table.rows[:3]] == ["tampered", "over budget", "sound"]
    detailed = [part.title for part in made.parts if part.title.startswith("The ledger of")]
    assert len(detailed) == DETAILED
    assert "The ledger of over" in detailed
    plots = [part.title for part in made.parts if isinstance(part, Plot)]
    assert plots[0] == "What each site has spent"
    assert len(plots) <= 1 + PLOTTED
    assert len(to_json(made)["ledgers"]) == 13
    assert not any(
        isinstance(part, Plot) for part in document(audit([tmp_path]), plots=False).parts
    )


def test_a_real_process_ends_with_the_verdicts_code(tmp_path: Path) -> None:
    spend(site(tmp_path, policy={"max_epsilon": 0.5, "delta": 1e-3}), TRAIN)
    ran = subprocess.run(
        [
            sys.executable,
            "-m",
            "common.cli",
            "audit",
            "ledger",
            str(tmp_path),
            "--html",
            str(tmp_path / "a.html"),
        ],
        cwd=Path(__file__).parents[3],
        env={**os.environ, "PYTHONIOENCODING": "ascii", "NO_COLOR": "1", "COLUMNS": "60"},
        capture_output=True,
        encoding="ascii",
        timeout=120,
    )
    assert ran.returncode == 3, ran.stderr
    assert "Verdict: over budget" in ran.stdout
    assert (tmp_path / "a.html").exists()
