"""`consilium audit plan`: what the agent would decide, before it is asked."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from client.admission import check_whole_cost
from client.audit.plan import cost_of, read_ledger
from client.audit.plan_document import document
from client.audit.plan_fits import what_fits
from client.guard.ledger import Ledger
from client.limits import PolicyLimits
from client.site import load_site
from common.cli import build
from common.errors import BudgetError, StudyError, TamperedError
from common.privacy.accountants import epsilon, epsilon_pld
from common.privacy.events import GaussianEvent
from common.privacy.plan import plan_site
from common.studies import study_path
from common.study import Study
from common.study_file import load_study

SITE = """
[site]
name = "hospital-1"

[data.lung-nodule]
kind = "dicom"
path = "."
labels = "labels.csv"
declared_patients = 400

[policy]
max_epsilon = {limit}
delta = 1e-3
"""
OLD = GaussianEvent("poisson", Fraction(1, 5), 2.5, 1.0, 60)


@pytest.fixture
def study() -> Study:
    return load_study(study_path("lung-nodule"))


def site_file(folder: Path, limit: float = 10.0) -> Path:
    file = folder / "site.toml"
    file.write_text(SITE.format(limit=limit))
    (folder / "labels.csv").touch()
    return file


def spend(path: Path, split: str, event: GaussianEvent = OLD, **terms: Any) -> Ledger:
    """A ledger in which training patients of an older study have met an event."""
    ledger = Ledger(path, path.stem, path.stem)
    values = {
        "study": "old",
        "fingerprint": "e" * 64,
        "round": 1,
        "delta": 1e-3,
        "randomness": "system",
    }
    made = ledger.reserve("1", group=f"train/{split}", event=event, **{**values, **terms})
    ledger.settle(made, steps=event.steps, released="c" * 64)
    return ledger


def run(*arguments: object) -> tuple[int, dict[str, Any]]:
    result = CliRunner().invoke(build(), ["audit", "plan", *map(str, arguments), "--json"])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, json.loads(result.stdout)


def same_split(study: Study) -> str:
    return f"hash:{study.data.test_fraction}"


def test_the_study_alone_costs_what_its_plan_says(study: Study) -> None:
    code, said = run("lung-nodule", "--patients", 400)
    plan = plan_site(study, 400)
    assert (code, said["verdict"], said["budget"]) == (0, "sound", None)
    train = said["alone"]["roles"]["train"]
    assert train["epsilon"]["pld"] == pytest.approx(plan.epsilon)
    assert (train["q"], train["steps"]) == (str(plan.sampling_rate), plan.steps)
    by_hand = epsilon([plan.training_event(plan.steps)], plan.delta)
    assert train["epsilon"] == pytest.approx(
        {"pld": by_hand.pld, "prv": by_hand.prv, "rdp": by_hand.rdp}
    )
    assert train["replace_one"] > train["epsilon"]["pld"]
    held_out = said["alone"]["roles"]["test"]["epsilon"]["pld"]
    assert held_out == pytest.approx(plan.evaluation_epsilon)
    assert said["joint"][0] == {
        "hospitals": 2,
        "epsilon": epsilon_pld([plan.training_event(2 * plan.steps)], plan.delta),
    }


def test_on_top_of_what_was_spent(tmp_path: Path, study: Study) -> None:
    path = tmp_path / "hospital-1.ledger"
    spend(path, same_split(study))
    _, said = run("lung-nodule", "--site", site_file(tmp_path, 20.0), "--ledger", path)
    plan = plan_site(study, 400)
    assert said["spent"]["before"] == pytest.approx(epsilon_pld([OLD], 1e-3))
    together = epsilon_pld([OLD, plan.training_event(plan.steps)], 1e-3)
    assert said["spent"]["after"]["pld"] == pytest.approx(together)
    assert plan.epsilon < together < plan.epsilon + said["spent"]["before"]


def test_of_several_splits_everything_composes(tmp_path: Path, study: Study) -> None:
    path = tmp_path / "hospital-1.ledger"
    spend(path, "declared")
    _, said = run("lung-nodule", "--site", site_file(tmp_path, 50.0), "--ledger", path)
    plan = plan_site(study, 400)
    statistics = plan.evaluation_event(1.0).with_steps(plan.evaluations)
    events = [OLD, plan.training_event(plan.steps), statistics]
    assert said["spent"]["after"]["pld"] == pytest.approx(epsilon_pld(events, 1e-3))
    cost = cost_of(study, 400, book=read_ledger(path))
    assert cost.spent(role="train") == cost.spent(role="test") == cost.spent()
    assert cost.spent(0, "test") == pytest.approx(epsilon_pld([OLD], 1e-3))


@pytest.mark.parametrize("limit", [5.0, 8.2, 9.0])
def test_the_verdict_is_the_agents(tmp_path: Path, study: Study, limit: float) -> None:
    path = tmp_path / "hospital-1.ledger"
    ledger = spend(path, same_split(study))
    site = load_site(site_file(tmp_path, limit))
    cost = cost_of(study, 400, site=site, book=read_ledger(path))
    assert cost.budget is not None
    planned = [charge for charge in cost.charges() if charge.fingerprint == study.fingerprint]
    try:
        check_whole_cost(PolicyLimits.of(site.policy), ledger.charges(), planned, where="here")
        refused = False
    except BudgetError:
        refused = True
    assert cost.too_much == refused == (limit < 8.5)
    code, said = run("lung-nodule", "--site", site.file, "--ledger", path)
    assert (code, said["budget"]["fits"]) == ((3, False) if refused else (0, True))


def test_what_would_fit_fits_and_one_more_does_not(tmp_path: Path, study: Study) -> None:
    path = tmp_path / "hospital-1.ledger"
    spend(path, same_split(study))
    cost = cost_of(study, 400, site=load_site(site_file(tmp_path, 6.0)), book=read_ledger(path))
    fits, plan = what_fits(cost), cost.plan
    assert fits is not None
    assert 0 < fits.rounds < plan.rounds
    assert cost.spent(fits.rounds) <= 6.0 < cost.spent(fits.rounds + 1)

    def total(q: Fraction, sigma: float, steps: int) -> float:
        return epsilon_pld([OLD, GaussianEvent("poisson", q, sigma, 1.0, steps)], 1e-3)

    q, sigma, steps = plan.sampling_rate, plan.noise_multiplier, plan.steps
    assert fits.noise_multiplier is not None
    assert fits.sampling_rate is not None
    assert (
        total(q, fits.noise_multiplier, steps)
        <= 6.0
        < total(q, fits.noise_multiplier - 0.001, steps)
    )
    assert total(fits.sampling_rate, sigma, steps) <= 6.0
    assert total(fits.sampling_rate + Fraction(1, 10_000), sigma, steps) > 6.0
    per_round = fits.steps_per_round or 0
    assert total(q, sigma, per_round * plan.rounds) <= 6.0
    assert total(q, sigma, (per_round + 1) * plan.rounds) > 6.0


def test_nothing_fits_where_everything_is_spent(tmp_path: Path, study: Study) -> None:
    path = tmp_path / "hospital-1.ledger"
    spend(path, same_split(study), OLD.with_steps(400))
    _, said = run("lung-nodule", "--site", site_file(tmp_path, 2.0), "--ledger", path)
    assert said["would_fit"] == {"rounds": 0, "sigma": None, "steps_per_round": None, "q": None}


def test_a_study_that_has_begun_is_counted_once(tmp_path: Path, study: Study) -> None:
    path = tmp_path / "hospital-1.ledger"
    plan = plan_site(study, 400)
    begun = plan.training_event(plan.steps_per_round)
    spend(path, same_split(study), begun, study=study.name, fingerprint=study.fingerprint)
    _, said = run("lung-nodule", "--site", site_file(tmp_path), "--ledger", path)
    assert said["spent"]["begun_rounds"] == 1
    assert said["spent"]["before"] == 0
    assert said["spent"]["after"]["pld"] == pytest.approx(
        max(plan.epsilon, plan.evaluation_epsilon)
    )


def test_other_hospitals_ledgers_give_the_joint_figure(tmp_path: Path, study: Study) -> None:
    mine, theirs = tmp_path / "hospital-1.ledger", tmp_path / "hospital-2.ledger"
    spend(mine, same_split(study))
    spend(theirs, "declared", OLD.with_steps(90))
    _, said = run(
        "lung-nodule", "--site", site_file(tmp_path), "--ledger", mine, "--ledger", theirs
    )
    plan = plan_site(study, 400)
    events = [OLD, plan.training_event(plan.steps), OLD.with_steps(90)]
    assert said["joint"][-1]["epsilon"] == pytest.approx(epsilon_pld(events, 1e-3))


def test_the_curve_climbs_to_the_figure_under_the_limit(tmp_path: Path, study: Study) -> None:
    path = tmp_path / "hospital-1.ledger"
    spend(path, same_split(study))
    cost = cost_of(study, 400, site=load_site(site_file(tmp_path)), book=read_ledger(path))
    (plot,) = [part for part in document(cost).parts if hasattr(part, "curves")]
    train = next(curve for curve in plot.curves if curve.label == "training patients")
    assert list(train.y) == sorted(train.y)
    assert train.x[0] == 0
    assert train.y[0] == pytest.approx(cost.spent(0), rel=1e-2)
    assert train.y[-1] == pytest.approx(cost.spent(role="train"), rel=1e-2)
    assert {curve.label for curve in plot.curves if curve.dashed} == {
        "spent before",
        "the site's limit",
    }


def test_overrides_and_the_warning_about_delta() -> None:
    _, said = run(
        "lung-nodule",
        "--patients",
        400,
        "--set",
        "privacy.delta=0.01",
        "--set",
        "privacy.epsilon=2",
    )
    assert said["alone"]["roles"]["train"]["epsilon"]["pld"] <= 2
    assert any("not below 1/n" in note for note in said["notes"])


def test_nonsense_ends_in_a_sentence(tmp_path: Path) -> None:
    for arguments in (
        ["lung-nodule"],
        ["lung-nodule", "--patients", "400", "--site", site_file(tmp_path)],
        ["lung-nodul", "--patients", "400"],
        [tmp_path / "no.toml", "--patients", "400"],
        ["lung-nodule", "--patients", "400", "--set", "privacy.enabled=false"],
    ):
        with pytest.raises(StudyError):
            run(*arguments)


def test_a_ledger_that_does_not_hold_together_is_no_base(tmp_path: Path) -> None:
    import sqlite3
    from contextlib import closing

    path = tmp_path / "hospital-1.ledger"
    spend(path, "declared")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DROP TRIGGER no_update")
        connection.execute("UPDATE entries SET body = body || ' ' WHERE seq = 2")
    with pytest.raises(TamperedError):
        run("lung-nodule", "--patients", 400, "--ledger", path)


def test_a_ledger_without_other_studies_is_not_asked_for_again(
    study: Study, tmp_path: Path
) -> None:
    Ledger(tmp_path / "hospital-1.ledger", "hospital-1", "hospital-1").record_policy({})
    book = read_ledger(tmp_path / "hospital-1.ledger")
    site = load_site(site_file(tmp_path))
    notes = " ".join(document(cost_of(study, 400, site=site, book=book)).data["notes"])
    assert "Name the site's ledger" not in notes
    assert "holds nothing" in notes
    assert "not this site's" not in notes
    without = " ".join(document(cost_of(study, 400, site=site)).data["notes"])
    assert "Name the site's ledger" in without


def test_the_ledger_of_another_site_is_noticed(study: Study, tmp_path: Path) -> None:
    Ledger(tmp_path / "north.ledger", "north", "north").record_policy({})
    site = load_site(site_file(tmp_path))
    cost = cost_of(study, 400, site=site, book=read_ledger(tmp_path / "north.ledger"))
    assert "'north', not this site's" in " ".join(document(cost).data["notes"])


def test_a_ledger_that_is_missing_or_a_folder_is_a_wrong_input(tmp_path: Path) -> None:
    for path, said in ((tmp_path / "none.ledger", "no such file"), (tmp_path, "is a folder")):
        with pytest.raises(StudyError, match=said) as caught:
            run("lung-nodule", "--patients", 400, "--ledger", path)
        assert caught.value.fix
