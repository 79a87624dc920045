"""`consilium audit attack`: what it says of an honest study and of a leaking one."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from tiny_hospitals import SECRET_WORD, write_study
from typer.testing import CliRunner

from client.audit.document import Plot, Table
from common.cli import build
from common.errors import StudyError
from common.privacy import step
from simulations.attack import audit as audit_module
from simulations.attack.audit import Audit, audit
from simulations.attack.checks import CHECKS
from simulations.attack.checks.base import Check, Finding
from simulations.attack.checks.noise import noise_scale
from simulations.attack.cli import attack as command
from simulations.attack.one_run import Outcome, attack, full_batches
from simulations.attack.report import document
from simulations.attack.subject import Subject, observable

Make = Callable[..., Subject]
CANARIES = 300
QUIET = {"noise_multiplier": 3.0}

pytestmark = pytest.mark.filterwarnings("ignore:Full backward hook")


def run(*arguments: object) -> Any:
    app = typer.Typer()
    app.command()(command)
    return CliRunner().invoke(app, [str(a) for a in arguments])


def test_an_honest_study_is_sound(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_module, "CHECKS", CHECKS[:5])  # tests/leaks runs them all
    study = write_study(tmp_path / "study.toml", privacy=QUIET)
    page = tmp_path / "page.html"
    options = ("--hospitals", folder, "--canaries", CANARIES, "--json", "--html", page)
    result = run(study, *options)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert (found["verdict"], found["exit_code"]) == ("sound", 0)
    assert [c["name"] for c in found["checks"]] == [c.name for c in CHECKS[:5]]
    assert all(c["passed"] for c in found["checks"])
    full, configured = found["attacks"]
    assert full["sampling_rate"] == "1"
    assert configured["sampling_rate"] == "1/4"
    assert full["epsilon"]["claimed"] == pytest.approx(configured["epsilon"]["claimed"], rel=0.01)
    assert full["epsilon"]["f_dp"] <= full["epsilon"]["claimed"]
    assert 0.8 < full["noise_share"] < 1.2
    assert SECRET_WORD not in result.output + page.read_text()


def test_a_study_without_noise_is_leaking(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step, "add_noise", lambda sums, deviation, noise: None)
    monkeypatch.setattr(audit_module, "CHECKS", (noise_scale,))
    study = write_study(tmp_path / "study.toml", privacy=QUIET)
    result = run(study, "--hospitals", folder / "hospital-1", "--canaries", CANARIES, "--json")
    assert result.exit_code == 10, result.output
    found = json.loads(result.stdout)
    assert found["verdict"] == "leaking"
    assert found["checks"][0] == found["checks"][0] | {"name": "noise-scale", "passed": False}
    assert found["attacks"][0]["alarm"]
    assert found["attacks"][0]["epsilon"]["point"] == "inf"


def test_the_same_seed_gives_the_same_attack(make_subject: Make) -> None:
    first, second, other = (
        attack(s, full_batches(s), CANARIES, "seeded")
        for s in (make_subject(seed=3), make_subject(seed=3), make_subject(seed=4))
    )
    assert np.array_equal(first.scores, second.scores)
    assert not np.array_equal(first.scores, other.scores)


def test_full_batches_cost_what_the_study_claims(make_subject: Make) -> None:
    subject = make_subject(privacy={"noise_multiplier": None, "epsilon": 2.0})
    outcome = attack(subject, full_batches(subject), CANARIES, "full")
    assert outcome.full
    assert outcome.plan.epsilon == pytest.approx(2.0, rel=0.01)
    assert outcome.plan.epsilon <= 2.0
    configured = attack(subject, observable(subject.study), CANARIES, "configured")
    assert configured.plan == subject.plan
    assert configured.separation is None


def test_a_bound_above_the_claim_by_chance_is_said_to_be_one(
    make_subject: Make,
) -> None:
    subject = make_subject(privacy={"noise_multiplier": 30.0})
    plan = replace(subject.plan, sampling_rate=Fraction(1), noise_multiplier=30.0)
    random = np.random.default_rng(1)
    inside = random.random(CANARIES) < 0.5
    sigma = 30.0 * plan.steps**0.5
    lucky = random.normal(size=CANARIES) * sigma + inside * (plan.steps + 0.4 * sigma)
    outcome = Outcome("full batches", replace(plan, epsilon=0.1), inside, lucky)
    assert outcome.doubtful
    assert not outcome.leaking
    text = document(Audit(subject, (), (outcome,))).summary
    assert "by chance" in text


def test_a_study_without_privacy_has_nothing_to_test(make_subject: Make) -> None:
    with pytest.raises(StudyError, match="no promise"):
        make_subject(privacy={"enabled": False})


def test_a_check_that_cannot_finish_has_failed(
    make_subject: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(subject: Subject) -> Finding:
        raise ZeroDivisionError

    monkeypatch.setattr(audit_module, "CHECKS", (Check("broken", "never holds", broken),))
    found = audit(make_subject(privacy=QUIET), CANARIES, lambda _: None)
    assert found.broken == ["broken"]
    made = document(found)
    assert made.verdict == "leaking"
    assert "broken" in made.summary
    assert {type(part) for part in made.parts} >= {Table, Plot}


def test_every_check_has_a_name_of_its_own_and_states_its_rule() -> None:
    names = [check.name for check in CHECKS]
    assert len(set(names)) == len(names) >= 20
    assert all(check.rule.endswith(".") and len(check.rule) > 30 for check in CHECKS)


def test_a_study_of_ones_own_needs_a_hospital(tmp_path: Path) -> None:
    result = run(write_study(tmp_path / "study.toml"))
    assert isinstance(result.exception, StudyError)
    assert "--hospitals" in str(result.exception)


def test_a_report_that_cannot_be_written_is_refused_before_the_attack(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="is a folder"):
        CliRunner().invoke(
            build(),
            ["audit", "attack", "no-such-study", "--html", str(tmp_path)],
            catch_exceptions=False,
        )
