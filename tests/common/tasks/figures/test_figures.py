"""Figures from histograms against scikit-learn and against their definitions, with and without noise."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import metrics as sk
from sklearn.calibration import calibration_curve

from common.tasks import roc
from common.tasks.figures.calibration import GROUPS, calibration
from common.tasks.figures.confusion import of_two, over_classes
from common.tasks.figures.decision import THRESHOLDS, decision_curve
from common.tasks.figures.intervals import interval, logit_interval
from common.tasks.figures.precision_recall import precision_recall
from common.tasks.figures.ranking import score_curves, score_figures
from common.tasks.figures.scores import Scores


def drawn(seed: int, signal: float = 1.2, count: int = 3000) -> tuple[np.ndarray, np.ndarray]:
    """Truth and log odds of patients, the second class the rarer one."""
    rng = np.random.default_rng(seed)
    truth = (rng.random(count) < 0.3).astype(int)
    return truth, rng.normal(signal * truth - 1.0, 1.0)


def histogram(truth: np.ndarray, log_odds: np.ndarray, bins: int = 200) -> np.ndarray:
    counts = np.zeros((2, bins))
    np.add.at(counts, (truth, roc.to_bins(log_odds, bins)), 1.0)
    return counts


def probability(log_odds: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-log_odds))


def test_the_bins_are_the_probabilities_that_fell_into_them() -> None:
    log_odds = np.linspace(-20, 20, 5001)
    for classes in (2, 5):
        scores = Scores.of(np.zeros((2, 200)), classes=classes)
        bins = roc.to_bins(log_odds, 200)
        exact = probability(log_odds - math.log(classes - 1))
        assert (scores.edges[bins] <= exact + 1e-9).all()
        assert (exact <= scores.edges[bins + 1] + 1e-9).all()
        assert np.abs(scores.middles[bins] - exact).max() < 0.02


def test_precision_and_recall_are_those_of_scikit_learn() -> None:
    truth, log_odds = drawn(1)
    found = precision_recall(Scores.of(histogram(truth, log_odds, 4000)))
    assert found.average == pytest.approx(sk.average_precision_score(truth, log_odds), abs=2e-3)
    assert found.prevalence == pytest.approx(truth.mean())
    for recall in (0.2, 0.5, 0.9):
        at = int(np.argmax(found.recall >= recall))
        threshold = np.sort(log_odds[truth == 1])[::-1][math.ceil(recall * truth.sum()) - 1]
        exact = sk.precision_score(truth, log_odds >= threshold)
        assert found.precision[at] == pytest.approx(exact, abs=0.01)
    coarse = precision_recall(Scores.of(histogram(truth, log_odds)))
    assert coarse.average == pytest.approx(found.average, abs=0.01)


def test_calibration_is_that_of_scikit_learn() -> None:
    truth, log_odds = drawn(2)
    exact = probability(log_odds)
    found = calibration(Scores.of(histogram(truth, log_odds)))
    observed, predicted = calibration_curve(truth, exact, n_bins=GROUPS)
    there = ~np.isnan(found.predicted)
    assert found.predicted[there] == pytest.approx(predicted, abs=0.02)
    assert found.observed[there] == pytest.approx(observed, abs=0.05)
    assert found.brier == pytest.approx(sk.brier_score_loss(truth, exact), abs=1e-3)
    assert found.gap == pytest.approx(exact.mean() - truth.mean(), abs=2e-3)
    group = np.clip((exact * GROUPS).astype(int), 0, GROUPS - 1)
    apart = np.bincount(group, exact - truth, GROUPS)
    assert found.error == pytest.approx(np.abs(apart).sum() / len(truth), abs=5e-3)


def test_an_honest_model_is_calibrated_and_a_loud_one_is_not() -> None:
    rng = np.random.default_rng(3)
    log_odds = rng.normal(0, 1.5, 20_000)
    truth = (rng.random(20_000) < probability(log_odds)).astype(int)
    errors = [calibration(Scores.of(histogram(truth, s * log_odds))).error for s in (1.0, 3.0)]
    assert errors[0] < 0.015
    assert errors[1] > 0.08


def test_the_net_benefit_is_its_definition() -> None:
    truth, log_odds = drawn(4)
    exact = probability(log_odds)
    found = decision_curve(Scores.of(histogram(truth, log_odds, 2000)))
    for at, t in enumerate(THRESHOLDS):
        treated = exact >= t
        benefit = (truth[treated] == 1).sum() - (truth[treated] == 0).sum() * t / (1 - t)
        assert found["model"][at] == pytest.approx(benefit / len(truth), abs=0.01 / (1 - t))
        everyone = truth.mean() - (1 - truth.mean()) * t / (1 - t)
        assert found["all"][at] == pytest.approx(everyone, abs=1e-4)


def test_intervals_of_shares_are_wilsons_and_noise_widens_them() -> None:
    assert interval(15, 5) == pytest.approx((0.5313, 0.8881), abs=1e-4)  # Wilson, 15 of 20
    assert interval(0, 10)[0] == 0
    assert interval(0, 10)[1] == pytest.approx(0.2775, abs=1e-4)
    widths = [np.diff(interval(15, 5, variance)).item() for variance in (0.0, 4.0, 100.0)]
    assert widths == sorted(widths)
    assert widths[2] > 0.8
    assert all(math.isnan(end) for end in interval(0, 0))


def test_intervals_hold_the_truth_under_noise() -> None:
    rng, inside = np.random.default_rng(5), 0
    for _ in range(400):
        part = rng.binomial(80, 0.7)
        noisy = np.clip([part, 80 - part] + 5 * rng.normal(size=2), 0, None)
        low, high = interval(*noisy, 25.0)
        inside += low <= 0.7 <= high
    assert inside >= 370


def test_the_interval_of_the_average_precision_holds_the_truth() -> None:
    whole_truth, whole_odds = drawn(6, count=200_000)
    truth, inside = sk.average_precision_score(whole_truth, whole_odds), 0
    for seed in range(100):
        labels, log_odds = drawn(seed + 10, count=400)
        value = sk.average_precision_score(labels, log_odds)
        low, high = logit_interval(value, labels.sum())
        inside += low <= truth <= high
    assert inside >= 90


def test_means_over_classes_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(7)
    truth, predicted = rng.integers(0, 4, 300), rng.integers(0, 4, 300)
    found = over_classes(sk.confusion_matrix(truth, predicted).astype(float))
    exact = sk.precision_score(truth, predicted, average="macro")
    assert found["macro_precision"] == pytest.approx(exact)
    assert found["accuracy_low"] < found["accuracy"] < found["accuracy_high"]
    specificity = [sk.recall_score(truth != c, predicted != c) for c in range(4)]
    assert found["macro_specificity"] == pytest.approx(np.mean(specificity))


def test_a_class_of_which_nobody_is_held_out_is_in_no_mean() -> None:
    """Rare classes are absent from small test sets: the others' figures stay, as in scikit-learn."""
    rng = np.random.default_rng(11)
    truth = rng.integers(0, 2, 200)
    predicted = np.where(rng.random(200) < 0.8, truth, 1 - truth)
    predicted[:3] = 2
    counts = sk.confusion_matrix(truth, predicted, labels=range(4)).astype(float)
    found = over_classes(counts)
    recall = sk.recall_score(truth, predicted, average="macro", labels=[0, 1])
    assert found["balanced_accuracy"] == pytest.approx(recall)
    exact = sk.f1_score(truth, predicted, average="macro", labels=[0, 1, 2])
    assert found["macro_f1"] == pytest.approx(exact)
    exact = sk.precision_score(truth, predicted, average="macro", labels=[0, 1, 2])
    assert found["macro_precision"] == pytest.approx(exact)
    assert math.isnan(over_classes(np.array([[5.0, 0.0], [1.0, 0.0]]))["macro_precision"])
    labels, log_odds = drawn(4)
    there, nobody = histogram(labels, log_odds), histogram(labels * 0, log_odds)
    of_two_classes, of_three = (
        score_figures(h, 0.0, 3) for h in ([there] * 2, [there, nobody, there])
    )
    for name in ("auc", "auc_low", "auc_high", "average_precision", "calibration_error"):
        assert of_three[name] == pytest.approx(of_two_classes[name])


def test_predictive_values_come_with_intervals() -> None:
    found = of_two(np.array([[90.0, 10.0], [5.0, 45.0]]))
    assert found["negative_predictive_value"] == pytest.approx(90 / 95)
    assert found["precision"] == pytest.approx(45 / 55)
    for name in ("sensitivity", "specificity", "precision", "negative_predictive_value"):
        assert found[f"{name}_low"] < found[name] < found[f"{name}_high"]


def test_histograms_of_two_hospitals_add_to_those_of_all_patients() -> None:
    truth, log_odds = drawn(8)
    counts = histogram(truth, log_odds)
    parts = histogram(truth[:700], log_odds[:700]) + histogram(truth[700:], log_odds[700:])
    assert score_figures([counts], 0.0, 2) == score_figures([parts], 0.0, 2)


def test_noise_leaves_the_calibration_error_about_where_it_was() -> None:
    """Of an honest model; noise alone would more than double its error."""
    rng = np.random.default_rng(3)
    log_odds = rng.normal(0, 1.5, 4000)
    truth = (rng.random(4000) < probability(log_odds)).astype(int)
    exact = histogram(truth, log_odds)
    noisy = [exact + 4.0 * rng.normal(size=exact.shape) for _ in range(40)]
    clean = calibration(Scores.of(exact))
    found = [calibration(Scores.of(counts, 16.0)) for counts in noisy]
    assert np.mean([each.error for each in found]) == pytest.approx(clean.error, abs=6e-3)
    assert np.mean([each.brier for each in found]) == pytest.approx(clean.brier, abs=3e-3)
    trusting = [calibration(Scores.of(counts)).error for counts in noisy]
    assert np.mean(trusting) > 2 * clean.error


@settings(max_examples=150, deadline=None)
@given(
    arrays(np.float64, (2, 8), elements=st.one_of(st.floats(-5, 5), st.just(0.0), st.just(1e6))),
    st.sampled_from([0.0, 1.0, 400.0]),
)
def test_whatever_noise_does_figures_stay_within_their_ranges(
    counts: np.ndarray, variance: float
) -> None:
    for name, value in score_figures([counts], variance, 2).items():
        low, high = (-1.0, 1.0) if name == "calibration_gap" else (-1e-9, 1 + 1e-9)
        assert math.isnan(value) or name == "brier" or low <= value <= high
    drawn_curves = score_curves({"ill": counts}, variance, 2)
    for x, y in (("recall", "precision"), ("predicted", "observed")):
        kind = "precision_recall" if x == "recall" else "calibration"
        curve = drawn_curves[kind]["ill"]
        assert all(0 <= value <= 1 for value in curve[x] + curve[y])
        assert curve[x] == sorted(curve[x])
