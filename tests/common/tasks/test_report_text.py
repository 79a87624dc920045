"""Report text: the loss is that of a chain with the true word before; BLEU is that of the corpus."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from common.data_spec.reports import numbers_of
from common.errors import StudyError
from common.study import Study
from common.tasks import build_task
from common.tasks.base import Tally
from common.tasks.figures.bleu import bleu, runs
from common.tasks.next_words import written
from common.tasks.report_text import ReportText

Make = Callable[..., Study]
WORDS = ["and", "clear", "effusion", "large", "lungs", "no", "nodule", "small"]
PLACES = 5
FINDINGS = {"nodule": ["nodule"], "large nodule": ["large nodule"], "effusion": ["effusion"]}


def task_of(make_study: Make, findings: dict[str, list[str]] | None = None) -> ReportText:
    task = {"name": "report-text", "classes": None, "findings": findings or FINDINGS}
    data = {"labels": "text", "vocabulary": WORDS, "report_words": PLACES}
    model = {"name": "captioner", "report_words": PLACES}
    made = build_task(make_study(task=task, data=data, model=model))
    assert isinstance(made, ReportText)
    return made


def numbered(*sentences: str) -> torch.Tensor:
    return torch.tensor([numbers_of(text, WORDS, PLACES) for text in sentences])


def saying(*sentences: str) -> torch.Tensor:
    """Outputs of a network that is sure of its sentences."""
    rows = numbered(*sentences)
    outputs = torch.zeros(len(rows), PLACES, len(WORDS) + 1, len(WORDS) + 1)
    before = torch.cat([torch.zeros(len(rows), 1, dtype=torch.long), rows[:, :-1]], 1)
    for report in range(len(rows)):
        for place in range(PLACES):
            outputs[report, place, before[report, place], rows[report, place]] = 50.0
    return outputs


def tally(
    task: ReportText, outputs: torch.Tensor, targets: torch.Tensor, weights: object = None
) -> Tally:
    weight = torch.ones(len(targets)) if weights is None else torch.as_tensor(weights)
    return task.tally(outputs, targets, torch.zeros(len(targets), 1), weight)


def test_the_loss_is_minus_the_log_of_the_reports_own_chance(make_study: Make) -> None:
    task = task_of(make_study)
    outputs = torch.randn(2, PLACES, 9, 9, generator=torch.Generator().manual_seed(4))
    targets = numbered("no nodule", "small nodule and no effusion")
    expected = []
    for chances, words in zip(outputs.softmax(3), ([6, 7, 0], [8, 7, 1, 6, 3]), strict=True):
        chance, before = 1.0, 0
        for place, word in enumerate(words):
            chance *= float(chances[place, before, word])
            before = word
        expected.append(-math.log(chance) / PLACES)
    losses = task.loss(outputs, targets)
    torch.testing.assert_close(losses, torch.tensor(expected))
    torch.testing.assert_close(task.loss(outputs[1:], targets[1:]), losses[1:])


def test_what_stands_after_the_end_has_no_loss(make_study: Make) -> None:
    task = task_of(make_study)
    outputs = torch.zeros(1, PLACES, 9, 9, requires_grad=True)
    task.loss(outputs, numbered("no nodule")).sum().backward()
    assert outputs.grad is not None
    touched = outputs.grad.abs().sum((0, 3)).nonzero().tolist()
    assert touched == [[0, 0], [1, 6], [2, 7]]  # place and true word before


def test_writing_follows_the_words_written_before() -> None:
    outputs = saying("large nodule", "no nodule and no effusion")
    assert (
        written(outputs).tolist() == numbered("large nodule", "no nodule and no effusion").tolist()
    )


def test_bleu_is_that_of_the_paper() -> None:
    # Papineni et al., example 2: seven times "the" shares two words with the reference
    shared, proposed = runs([1] * 7, [1, 2, 3, 4, 1, 5])
    assert shared.tolist() == [2, 0, 0, 0]
    assert proposed.tolist() == [7, 6, 5, 4]
    assert bleu(shared, proposed, 6, 1) == pytest.approx(2 / 7)
    short = runs([1, 2, 3, 4], [1, 2, 3, 4, 5])
    assert bleu(*runs([1, 2], [1, 2]), 2) == 0, "there are no longer runs"
    assert bleu(*short, 5) == pytest.approx(math.exp(1 - 5 / 4))
    assert bleu(*runs([1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 6, 5]), 6) == pytest.approx(
        (6 / 6 * 3 / 5 * 2 / 4 * 1 / 3) ** 0.25
    )


def test_figures_of_a_known_corpus(make_study: Make) -> None:
    task = task_of(make_study)
    truth = numbered("large nodule and no effusion", "no nodule", "clear lungs", "small nodule")
    said = saying("large nodule and no effusion", "no effusion", "clear lungs", "large nodule")
    whole = tally(task, said, truth)
    found = task.metrics(tally(task, said[:1], truth[:1]) + tally(task, said[1:], truth[1:]))
    assert found == pytest.approx(task.metrics(whole), nan_ok=True)
    assert found["exact"] == 0.5
    assert found["bleu_1"] == pytest.approx(9 / 11)
    assert found["bleu"] == pytest.approx((9 / 11 * 5 / 7 * 3 / 3 * 2 / 2) ** 0.25)
    # of 12 answers about findings, one is wrong: a small nodule is called large
    assert found["label_accuracy"] == pytest.approx(11 / 12)
    assert found["baseline_label_accuracy"] == pytest.approx((2 / 4 + 3 / 4 + 4 / 4) / 3)
    assert found["f1_large_nodule"] == pytest.approx(2 / 3)
    assert found["count"] == 4
    table = task.curves(whole)["tables"][0]
    assert [row["name"] for row in table["rows"]] == list(FINDINGS)
    answers = task.answers(said)
    assert answers["report"][3] == "large nodule"
    assert answers["states_large_nodule"] == [1, 0, 0, 1]
    assert answers["states_effusion"] == [0, 0, 0, 0]


@settings(max_examples=40, deadline=None)
@given(
    outputs=arrays(np.float32, (4, PLACES, 9, 9), elements=st.floats(-1e4, 1e4, width=32)),
    targets=arrays(np.int64, (4, PLACES), elements=st.integers(0, 8)),
    weights=arrays(np.float64, 4, elements=st.floats(0.0625, 1)),
)
def test_tallies_add_and_no_unit_exceeds_the_bound(
    make_study: Make, outputs: np.ndarray, targets: np.ndarray, weights: np.ndarray
) -> None:
    task, given_outputs, truth = task_of(make_study), torch.tensor(outputs), torch.tensor(targets)
    weights = weights / weights.sum()  # one unit of weight 1 in four samples
    whole = tally(task, given_outputs, truth, weights)
    parts = [tally(task, given_outputs[p], truth[p], weights[p]) for p in (slice(1), slice(1, 4))]
    np.testing.assert_allclose(whole.flat(), (parts[0] + parts[1]).flat(), atol=1e-9)
    assert np.linalg.norm(whole.flat()) <= task.tally_bound + 1e-9
    for row in range(4):
        alone = tally(task, given_outputs[row : row + 1], truth[row : row + 1])
        assert np.linalg.norm(alone.flat()) <= task.tally_bound + 1e-9
    assert {n: a.shape for n, a in whole.arrays.items()} == dict(task.tally_layout)


def test_the_bound_is_nearly_reached(make_study: Make) -> None:
    # every run right and every place used; only the loss of a perfect report is not at its ceiling
    task, text = task_of(make_study), "small nodule and no effusion"
    alone = tally(task, saying(text), numbered(text))
    assert np.linalg.norm(alone.flat()) == pytest.approx(math.sqrt(task.tally_bound**2 - 1))


def test_noise_and_nobody_give_no_false_figures(make_study: Make) -> None:
    task = task_of(make_study)
    nobody = task.metrics(Tally.zeros(task.tally_layout))
    assert nobody.pop("count") == 0
    assert all(math.isnan(value) for value in nobody.values())
    for sign in (-1.0, 1.0):
        rng = np.random.default_rng(3)
        noisy = {n: sign * rng.normal(0, 3, shape) for n, shape in task.tally_layout.items()}
        found = task.metrics(Tally(noisy, 9.0))
        shares = [v for name, v in found.items() if name not in ("loss", "count")]
        assert all(math.isnan(value) or 0 <= value <= 1 for value in shares)
        task.curves(Tally(noisy, 9.0))


def test_phrases_of_other_words_are_refused(make_study: Make) -> None:
    with pytest.raises(StudyError, match="'huge nodule' cannot stand in a report"):
        task_of(make_study, {"nodule": ["huge nodule"]})
    with pytest.raises(StudyError, match="needs a phrase"):
        task_of(make_study, {"nodule": []})


def test_classes_are_no_reports(make_study: Make) -> None:
    with pytest.raises(StudyError, match="a report in words of a public vocabulary"):
        build_task(make_study(task={"name": "report-text", "classes": None}))
