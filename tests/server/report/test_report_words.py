"""What the report says, and that it can be read on both screens."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import common.charts
from common.charts.numbers import upper
from common.privacy.accountants import epsilon_pld
from common.privacy.plan import plan_site
from common.studies import study_path
from common.study_file import dump_study, load_study
from server.report.facts import method
from server.report.notes import notes
from server.report.run_folder import read_run
from server.report.shared_patients import jointly
from server.report.sites import site_table
from server.report.verdict import over_budget, verdict, warnings


def say(run: Path) -> str:
    return str(verdict(read_run(run).metrics))


def test_the_verdict_says_it_all(make_run):
    assert say(make_run()) == (
        "Four hospitals trained lung-nodule together: AUC 0.89 at ε ≤ 7.9 for every training patient"
    )


def test_the_verdict_covers_test_patients_only_when_their_statistics_are_noised(make_run):
    def noisy(metrics):
        metrics["privacy"]["statistics"] = "noisy"

    def mixed(metrics):
        metrics["privacy"]["statistics"] = "exact, noisy"

    assert say(make_run(change=noisy)).endswith("for every patient")
    assert say(make_run(change=mixed)).endswith("for every training patient")


def test_the_verdict_without_privacy_claims_none(make_run):
    text = say(make_run(private=False, sites=1))
    assert text == "One hospital trained lung-nodule: AUC 0.89, without differential privacy"


def test_the_verdict_takes_the_worst_site_and_an_infinite_one_ends_the_claim(make_run):
    def one_unbounded(metrics):
        metrics["sites"]["hospital-2"]["epsilon"] = "inf"

    assert "ε ≤ 7.9" in say(make_run())  # the largest, 7.8 and a bit, rounded up
    assert say(make_run(change=one_unbounded)).endswith(
        "with no finite ε for every training patient"
    )


def test_weights_that_nobody_trained_are_told_apart(make_run):
    def said(**change):
        run = read_run(make_run(change=lambda metrics: metrics.update(change)))
        return next(fact.value for fact in method(run) if fact.name == "Model weights")

    assert said() == "4,642"
    assert said(frozen=12_000) == "4,642 learned, 12,000 frozen"


def test_no_metric_is_said_to_be_none(make_run):
    text = say(make_run(change=lambda metrics: metrics.update(final={})))
    assert "no metric was released at ε" in text


def test_a_fixed_seed_is_a_warning_and_a_note(make_run):
    run = read_run(make_run(change=lambda m: m["privacy"].update(randomness="fixed")))
    assert [note.title for note in warnings(run)] == ["A rehearsal."]
    assert any("not protected" in note.text for note in notes(run))
    assert warnings(read_run(make_run())) == []


def test_spending_more_than_the_study_allows_is_the_first_warning(make_run):
    run = read_run(make_run(change=lambda m: m["privacy"].update(epsilon_target=5.0)))
    assert over_budget(run.metrics)
    assert warnings(run)[0].title == "Over the budget."
    assert not over_budget(read_run(make_run()).metrics)


def test_a_patient_of_two_hospitals_adds_the_two_largest(make_run):
    def change(metrics):
        for site, epsilon in zip(metrics["sites"].values(), (1, 5, 3, 2), strict=True):
            site.update(epsilon=epsilon, delta=1e-3)

    text = next(n.text for n in notes(read_run(make_run(change=change))) if "of two" in n.title)
    assert "ε 8.00, δ 0.002" in text


def test_a_patient_of_two_hospitals_composes_what_is_known(make_run):
    """The study file and the hospitals' public numbers tell the mechanisms; the worst pair is composed exactly."""
    study = load_study(study_path("lung-nodule"))
    plans = [plan_site(study, patients) for patients in (400, 400, 300, 400)]

    def change(metrics):
        metrics.update(rounds=study.federation.rounds)
        metrics["privacy"]["statistics"] = "noisy"
        for site, plan in zip(metrics["sites"].values(), plans, strict=True):
            spent = max(plan.epsilon, plan.evaluation_epsilon)
            site.update(declared_patients=plan.declared_patients, steps=plan.steps)
            site.update(epsilon=spent, delta=study.privacy.delta)

    folder = make_run(change=change)
    (folder / "study.toml").write_text(dump_study(study))
    run = read_run(folder)
    training = plans[0].training_event(plans[0].steps)
    held_out = plans[0].evaluation_event(1.0).with_steps(plans[0].evaluations)
    pairs = ([training, training], [training, held_out], [held_out, held_out])
    by_hand = max(epsilon_pld(pair, study.privacy.delta) for pair in pairs)
    assert jointly(run) == (pytest.approx(by_hand), study.privacy.delta)
    text = next(n.text for n in notes(run) if "of two" in n.title)
    assert f"ε {upper(by_hand)}, δ 0.001" in text
    assert by_hand < 0.9 * (plans[0].epsilon + plans[0].epsilon)


def test_mechanisms_that_do_not_cost_what_was_recorded_are_not_composed(make_run):
    study = load_study(study_path("lung-nodule"))
    folder = make_run()
    (folder / "study.toml").write_text(dump_study(study))
    assert jointly(read_run(folder)) is None


def test_a_patient_of_an_unbounded_hospital_gets_no_bound(make_run):
    run = make_run(change=lambda m: m["sites"]["hospital-2"].update(epsilon="inf"))
    assert not any("of two" in note.title for note in notes(read_run(run)))


def test_totals_add_counts_and_take_the_largest_loss(make_run):
    def change(metrics):
        metrics["sites"]["hospital-3"]["epsilon"] = "inf"

    table = site_table(read_run(make_run(change=change)).metrics)
    total = dict(zip(table.columns, table.foot[-1].cells, strict=True))
    assert total["Patients"] == "1,702"
    assert total["ε"] == "≤ ∞"
    assert total["AUC"] == ""


def luminance(colour: tuple[float, ...]) -> float:
    """WCAG 2 relative luminance."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def palette(dark: bool) -> dict[str, tuple[float, ...]]:
    style = (Path(common.charts.__file__).parent / "templates" / "theme.css").read_text()
    blocks = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    text = blocks[0] + blocks[1] * dark
    colours = {
        name: tuple(int(code[i : i + 2], 16) / 255 for i in (0, 2, 4))
        for name, code in re.findall(r"--([\w-]+): #(\w{6})", text)
    }
    triples = re.findall(r"--(heat|miss): (\d+) (\d+) (\d+)", text)
    return colours | {name: tuple(int(c) / 255 for c in rgb) for name, *rgb in triples}


@pytest.mark.parametrize("dark", [False, True])
def test_colours_can_be_told_from_the_page(dark):
    colours = palette(dark)
    for ground in ("paper", "sheet"):
        for ink in ("ink", "soft", "accent", "bad", "t0", "t1"):
            assert contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground)
        for curve in ("t2", "t3", "t4", "t5"):
            assert contrast(colours[curve], colours[ground]) >= 3.0, (curve, ground)
    assert contrast(colours["ink"], colours["warn-paper"]) >= 4.5
    for heat in ("heat", "miss"):
        pairs = zip(colours[heat], colours["sheet"], strict=True)
        deepest = tuple(0.46 * a + 0.54 * b for a, b in pairs)
        assert contrast(colours["ink"], deepest) >= 4.5


def test_a_sample_is_not_called_a_patient(make_run):
    run = read_run(make_run(change=lambda m: m["privacy"].update(unit="sample")))
    titles = [note.title for note in notes(run)]
    assert "A patient with several samples" in titles
    assert "A patient of two hospitals" not in titles


def test_a_figure_that_the_noise_hides_is_explained(make_run):
    def hidden(metrics):
        metrics["privacy"]["statistics"] = "noisy"
        metrics["final"]["auc"] = None

    titles = [note.title for note in notes(read_run(make_run(change=hidden)))]
    assert "Why a figure is missing" in titles


def test_a_delta_of_one_patient_is_a_warning(make_run):
    def change(metrics):
        for site in metrics["sites"].values():
            site.update(delta=0.05, declared_patients=40)

    text = next(n.text for n in warnings(read_run(make_run(change=change))) if "δ" in n.title)
    assert "1/40" in text
