"""Generated chests with reports: the study's vocabulary says all of them, and the images show what they say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from client.data.prepare import prepare
from client.site import load_site
from common.data_spec.reports import sentence_of, words_of
from common.study_file import load_study
from simulations.bundled import study_path
from simulations.hospitals import create
from simulations.hospitals.chest_reports import NAME, Findings, draw_chest, sentence


def test_every_patient_has_a_report_of_the_studys_words(tmp_path: Path) -> None:
    sites = create(tmp_path / "h", sites=2, patients=6, seed=3, archives=[NAME], workers=1)
    spec = load_study(study_path(NAME)).data
    for site in sites:
        cohort = prepare(load_site(site), spec, None, b"s" * 32)
        assert cohort.patients == cohort.samples == 6
        for report in cohort.targets.tolist():
            assert set(sentence_of(report, spec.vocabulary).split()) & {"nodule", "lungs"}  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("findings", "short", "long"),
    [
        (Findings(None, None), "Clear lungs.", "No nodule and no effusion."),
        (
            Findings(("small", "left"), "right"),
            "Small nodule in the left lung, right effusion.",
            "There is a small nodule in the left lung and right effusion.",
        ),
    ],
)
def test_a_report_is_written_in_two_ways(findings: Findings, short: str, long: str) -> None:
    assert sentence(findings, short=True) == short
    assert sentence(findings, short=False) == long
    assert len(words_of(long)) <= 12


def test_what_is_reported_lies_on_its_side() -> None:
    def more(one: Findings, other: Findings) -> tuple[float, float]:
        chests = [draw_chest(np.random.default_rng(1), each, 2.5)[0] for each in (one, other)]
        middle = chests[0].shape[1] // 2
        left, right = np.split(chests[0] - chests[1], [middle], axis=1)
        return float(left.mean()), float(right.mean())

    for right, left in (
        (Findings(None, "right"), Findings(None, "left")),
        (Findings(("large", "right"), None), Findings(("large", "left"), None)),
    ):
        first, second = more(right, left)
        assert first > 8 > -8 > second, "the body's right is the image's left"
