"""Classification: pooled figures from additive tallies, with a bound on what each unit adds."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import metrics as sk

from common.errors import PolicyError
from common.study import Study
from common.tasks import build_task, roc
from common.tasks.base import Tally, Task

Make = Callable[..., Study]


def task_of(make_study: Make, classes: int, bins: int = 200) -> Task:
    names = [f"class {n}" for n in range(classes)]
    return build_task(make_study(task={"classes": names}, evaluation={"score_bins": bins}))


def tally(task: Task, outputs: np.ndarray, targets: np.ndarray, weights: object = None) -> Tally:
    weight = torch.ones(len(targets)) if weights is None else torch.as_tensor(weights)
    inputs = torch.zeros(len(targets), 1, 2, 2)
    return task.tally(torch.as_tensor(outputs).float(), torch.as_tensor(targets), inputs, weight)


def draw(count: int, classes: int, seed: int, signal: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    targets = np.r_[np.arange(classes), rng.integers(0, classes, count - classes)]
    outputs = rng.normal(size=(count, classes))
    outputs[np.arange(count), targets] += signal
    return outputs, targets


def probabilities(outputs: np.ndarray) -> np.ndarray:
    return torch.softmax(torch.as_tensor(outputs), 1).numpy()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.02, 8.0), st.floats(-1.0, 3.0))
def test_the_pooled_auc_is_that_of_all_patients_together(
    seed: int, scale: float, signal: float
) -> None:
    task = POOLED
    outputs, targets = draw(600, 2, seed, signal)
    outputs = outputs * scale
    pieces = np.array_split(np.arange(600), [50, 51, 400])
    total = Tally.zeros(task.tally_layout)
    for piece in pieces:
        total = total + tally(task, outputs[piece], targets[piece])
    truth = sk.roc_auc_score(targets, outputs[:, 1] - outputs[:, 0])
    assert task.metrics(total)["auc"] == pytest.approx(truth, abs=1e-2)
    finer = tally(FINER, outputs, targets)
    assert FINER.metrics(finer)["auc"] == pytest.approx(truth, abs=1e-3)


@pytest.fixture(autouse=True)
def _tasks(make_study: Make) -> None:
    global POOLED, FINER
    POOLED, FINER = task_of(make_study, 2), task_of(make_study, 2, bins=20_000)


POOLED: Task
FINER: Task


def test_a_mean_of_aucs_would_be_another_figure(make_study: Make) -> None:
    task = task_of(make_study, 2)
    low, high = np.array([[0.0, -3], [0, -2]]), np.array([[0.0, 2], [0, 3]])
    one = tally(task, low, np.array([0, 1]))
    two = tally(task, high, np.array([0, 1]))
    assert task.metrics(one)["auc"] == task.metrics(two)["auc"] == 1.0
    assert task.metrics(one + two)["auc"] == 0.75


def test_other_figures_agree_with_scikit_learn(make_study: Make) -> None:
    for classes in (2, 5):
        task = task_of(make_study, classes)
        outputs, targets = draw(500, classes, classes)
        figures = task.metrics(tally(task, outputs, targets))
        predicted, p = outputs.argmax(1), probabilities(outputs)
        assert figures["accuracy"] == pytest.approx(sk.accuracy_score(targets, predicted))
        assert figures["balanced_accuracy"] == pytest.approx(
            sk.balanced_accuracy_score(targets, predicted)
        )
        assert figures["macro_f1"] == pytest.approx(
            sk.f1_score(targets, predicted, average="macro")
        )
        assert figures["loss"] == pytest.approx(sk.log_loss(targets, p), rel=1e-5)
        assert figures["count"] == 500
        score = p if classes > 2 else p[:, 1]
        truth = sk.roc_auc_score(targets, score, multi_class="ovr")
        assert figures["auc"] == pytest.approx(truth, abs=1e-2)


def test_the_clinics_figures(make_study: Make) -> None:
    task = task_of(make_study, 2)
    outputs, targets = draw(300, 2, 1)
    figures, predicted = task.metrics(tally(task, outputs, targets)), outputs.argmax(1)
    assert figures["sensitivity"] == pytest.approx(sk.recall_score(targets, predicted))
    assert figures["specificity"] == pytest.approx(sk.recall_score(targets, predicted, pos_label=0))
    assert figures["precision"] == pytest.approx(sk.precision_score(targets, predicted))
    assert figures["f1"] == pytest.approx(sk.f1_score(targets, predicted))


@pytest.mark.parametrize("signal", [0.2, 1.0, 2.0])
def test_the_interval_is_delongs_and_the_bootstraps(signal: float) -> None:
    rng = np.random.default_rng(3)
    n, m = 120, 80
    negative, positive = rng.normal(0, 1, n), rng.normal(signal, 1, m)
    bins = 4000
    counts = np.zeros((2, bins))
    for label, scores in enumerate((negative, positive)):
        np.add.at(counts[label], roc.to_bins(scores, bins), 1.0)
    found = roc.curve(counts)
    pairs = (positive[:, None] > negative).astype(float) + 0.5 * (positive[:, None] == negative)
    delong = math.sqrt(pairs.mean(1).var(ddof=1) / m + pairs.mean(0).var(ddof=1) / n)
    assert found.auc == pytest.approx(pairs.mean(), abs=1e-3)
    assert found.standard_error == pytest.approx(delong, rel=1e-2)
    drawn = [
        (rng.choice(positive, m)[:, None] > rng.choice(negative, n)).mean() for _ in range(800)
    ]
    assert found.standard_error == pytest.approx(np.std(drawn), rel=0.15)
    low, high = found.interval()
    assert 0 < low < found.auc < high < 1
    assert high - low == pytest.approx(2 * 1.96 * delong, rel=0.15)


@settings(max_examples=200, deadline=None)
@given(
    arrays(
        np.float64, (2, 6), elements=st.one_of(st.floats(-3, 3), st.floats(0, 1e-9), st.just(1e6))
    )
)
def test_noised_counts_give_figures_within_their_ranges(counts: np.ndarray) -> None:
    found = roc.curve(counts)
    low, high = found.interval()
    if math.isnan(found.auc):
        assert (counts.sum(1) <= 0).any()
        return
    assert -1e-9 <= found.auc <= 1 + 1e-9
    assert -1e-9 <= low <= found.auc + 1e-9 <= high + 2e-9 <= 1 + 1e-8
    assert (np.diff(found.true_positive_rate) >= 0).all()
    assert found.true_positive_rate[-1] == pytest.approx(1)


@given(arrays(np.float64, 20, elements=st.floats(-1e9, 1e9)), st.integers(2, 300))
def test_bins_rise_with_the_score(scores: np.ndarray, bins: int) -> None:
    found = roc.to_bins(np.sort(scores), bins)
    assert (np.diff(found) >= 0).all()
    assert found.min() >= 0
    assert found.max() < bins


@settings(max_examples=50, deadline=None)
@given(
    classes=st.integers(2, 5),
    outputs=arrays(np.float32, (6, 5), elements=st.floats(-1e4, 1e4, width=32)),
    targets=arrays(np.int64, 6, elements=st.integers(0, 10)),
    weights=arrays(np.float64, 6, elements=st.floats(0.0625, 1)),
)
def test_tallies_add_and_no_unit_exceeds_the_bound(
    make_study: Make, classes: int, outputs: np.ndarray, targets: np.ndarray, weights: np.ndarray
) -> None:
    task = task_of(make_study, classes, bins=5)
    outputs, targets = outputs[:, :classes], targets % classes
    weights = weights / weights.sum()  # one unit of weight 1 in six samples
    whole = tally(task, outputs, targets, weights)
    parts = [tally(task, outputs[p], targets[p], weights[p]) for p in (slice(2), slice(2, 6))]
    np.testing.assert_allclose(whole.flat(), (parts[0] + parts[1]).flat(), atol=1e-9)
    assert np.linalg.norm(whole.flat()) <= task.tally_bound + 1e-9
    for row in range(6):
        alone = tally(task, outputs[row : row + 1], targets[row : row + 1])
        assert np.linalg.norm(alone.flat()) <= task.tally_bound + 1e-9
    assert {n: a.shape for n, a in whole.arrays.items()} == dict(task.tally_layout)


def test_the_bound_is_reached(make_study: Make) -> None:
    for classes in (2, 4):
        task = task_of(make_study, classes)
        wrong = np.full((1, classes), -50.0)
        wrong[0, 1] = 50
        reached = np.linalg.norm(tally(task, wrong, np.array([0])).flat())
        assert reached == pytest.approx(task.tally_bound, rel=1e-6)


def test_a_tally_travels_as_one_vector(make_study: Make) -> None:
    task = task_of(make_study, 3, bins=4)
    whole = tally(task, *draw(20, 3, 1))
    back = Tally.from_flat(whole.flat(), task.tally_layout)
    assert all(np.array_equal(back.arrays[n], a) for n, a in whole.arrays.items())
    for values in (whole.flat()[:-1], np.r_[whole.flat(), 0.0], whole.flat()[None]):
        with pytest.raises(PolicyError):
            Tally.from_flat(values, task.tally_layout)


def test_nobody_gives_no_figure(make_study: Make) -> None:
    for classes in (2, 3):
        task = task_of(make_study, classes)
        figures = task.metrics(Tally.zeros(task.tally_layout))
        assert figures.pop("count") == 0
        assert all(math.isnan(value) for value in figures.values())
        task.curves(Tally.zeros(task.tally_layout))


def test_the_loss_is_one_value_a_sample(make_study: Make) -> None:
    task = build_task(make_study(task={"class_weights": [1.0, 3.0]}))
    outputs, targets = torch.randn(7, 2), torch.tensor([0, 1, 1, 0, 1, 0, 0])
    losses = task.loss(outputs, targets)
    assert losses.shape == (7,)
    plain = -torch.log_softmax(outputs, 1)[range(7), targets]
    torch.testing.assert_close(losses, plain * torch.tensor([1.0, 3.0])[targets])
    alone = torch.cat([task.loss(outputs[i : i + 1], targets[i : i + 1]) for i in range(7)])
    torch.testing.assert_close(losses, alone)


@pytest.mark.parametrize("scale", [0.02, 1.0, 12.0])
def test_neither_timid_nor_overconfident_networks_spoil_the_auc(
    make_study: Make, scale: float
) -> None:
    """Noise keeps scores near even odds; overfitting drives them to odds of e^20 and more."""
    for classes in (2, 4):
        task = task_of(make_study, classes)
        outputs, targets = draw(1500, classes, 8)
        exact = torch.as_tensor(outputs * scale).double()
        odds = [
            exact[:, c] - torch.logsumexp(exact[:, [k for k in range(classes) if k != c]], 1)
            for c in range(classes)
        ]
        scored = [1] if classes == 2 else range(classes)
        truth = np.mean([sk.roc_auc_score(targets == c, odds[c].numpy()) for c in scored])
        found = task.metrics(tally(task, outputs * scale, targets))["auc"]
        assert found == pytest.approx(truth, abs=5e-3)


def noisy_tallies(make_study: Make, sites: int, deviation: float, seed: int) -> tuple[Tally, float]:
    """The sum of noisy tallies, and the true area."""
    rng = np.random.default_rng(seed)
    task = task_of(make_study, 2, bins=50)
    total, scores, truths = Tally.zeros(task.tally_layout), [], []
    for _ in range(sites):
        targets = rng.integers(0, 2, 120)
        outputs = np.stack([np.zeros(120), rng.normal(1.2 * targets, 1.0)], 1)
        exact = tally(task, outputs, targets).flat()
        noisy = exact + deviation * rng.normal(size=exact.size)
        total = total + Tally.from_flat(noisy, task.tally_layout, deviation**2)
        scores.append(outputs[:, 1])
        truths.append(targets)
    return total, sk.roc_auc_score(np.concatenate(truths), np.concatenate(scores))


def test_the_interval_of_noised_counts_holds_the_true_area(make_study: Make) -> None:
    """Over a hundred draws; the true area is that of the scores' distributions, Φ(1.2/√2)."""
    task = task_of(make_study, 2, bins=50)
    truth = 0.5 * (1 + math.erf(1.2 / 2))
    inside, errors = 0, []
    for seed in range(100):
        total, _ = noisy_tallies(make_study, 4, 3.0, seed)
        found = task.metrics(total)
        inside += found["auc_low"] <= truth <= found["auc_high"]
        errors.append(found["auc"] - truth)
    assert inside >= 88
    assert abs(np.mean(errors)) < 0.01, (
        "cutting off negative counts would pull the area to one half"
    )


def test_noise_widens_the_interval(make_study: Make) -> None:
    task = task_of(make_study, 2, bins=50)
    widths = []
    for deviation in (0.0, 1.0, 2.0):
        found = task.metrics(noisy_tallies(make_study, 4, deviation, 1)[0])
        widths.append(found["auc_high"] - found["auc_low"])
    assert widths == sorted(widths)
    assert widths[2] > 1.5 * widths[0]


def test_a_class_that_the_noise_hides_has_no_area(make_study: Make) -> None:
    task = task_of(make_study, 2, bins=50)
    total, _ = noisy_tallies(make_study, 1, 30.0, 1)
    found = task.metrics(total)
    assert math.isnan(found["auc"])


def test_a_noised_curve_rises_from_0_to_1(make_study: Make) -> None:
    total, _ = noisy_tallies(make_study, 4, 3.0, 5)
    found = roc.curve(total.arrays["scores"][0], total.variance)
    for rates in (found.false_positive_rate, found.true_positive_rate):
        assert rates[0] == 0
        assert rates.max() <= 1
        assert bool((np.diff(rates) >= 0).all())


def test_a_loss_below_zero_is_no_figure(make_study: Make) -> None:
    task = task_of(make_study, 2)
    noised = Tally({name: np.ones(shape) for name, shape in task.tally_layout.items()}, 1.0)
    noised.arrays["log_loss"][:] = -1.0
    assert math.isnan(task.metrics(noised)["loss"])
