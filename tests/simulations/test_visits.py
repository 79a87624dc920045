"""Generated visits: honest courses, a follow-up that hides some, and a future that the past tells something of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from client.data.prepare import prepare
from client.site import load_site
from common.study_file import load_study
from simulations.bundled import study_path
from simulations.hospitals import create
from simulations.hospitals.visits import DAYS, NAME, YEAR

SECRET = b"a site's secret of 32 bytes....."


@pytest.fixture(scope="module")
def hospitals(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("visits") / "hospitals"
    return create(folder, sites=2, patients=250, seed=3, archives=[NAME], workers=1)


def tables(site: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    return tuple(pd.read_csv(site / NAME / f"{n}.csv") for n in ("readings", "outcomes"))


def test_every_patient_has_a_record_and_an_end(hospitals: list[Path]) -> None:
    for site in hospitals:
        readings, outcomes = tables(site)
        assert set(readings.patient_id) == set(outcomes.patient_id)
        assert readings.day.between(0, DAYS - 1).all()
        assert not readings.duplicated(["patient_id", "day"]).any()
        assert outcomes.last_day.between(DAYS, DAYS + 3 * YEAR).all()
        assert 0.1 < readings.log_nt_probnp.isna().mean() < 0.5


def test_nobody_knows_how_the_year_of_those_who_left_ended(hospitals: list[Path]) -> None:
    _, outcomes = tables(hospitals[0])
    left = (outcomes.admitted == 0) & (outcomes.last_day < DAYS + YEAR)
    assert outcomes.within_year.isna().equals(left)
    assert 0.05 < left.mean() < 0.25
    known = outcomes[~left]
    assert (known.within_year == (known.admitted & (known.last_day <= DAYS + YEAR))).all()


def test_the_past_tells_something_but_not_all(hospitals: list[Path]) -> None:
    rows = []
    for site in hospitals:
        readings, outcomes = tables(site)
        last = readings.groupby("patient_id").last()
        rows.append(outcomes.set_index("patient_id").join(last).dropna(subset=["within_year"]))
    train, test = rows
    columns = ["age", "systolic", "heart_rate", "log_nt_probnp", "creatinine", "sodium"]
    model = make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression())
    model.fit(train[columns], train.within_year)
    area = roc_auc_score(test.within_year, model.predict_proba(test[columns])[:, 1])
    assert 0.68 < area < 0.9


@pytest.mark.parametrize(("name", "targets"), [("visits-risk", 1), ("visits-survival", 2)])
def test_the_bundled_studies_read_them(hospitals: list[Path], name: str, targets: int) -> None:
    study = load_study(study_path(name))
    cohort = prepare(load_site(hospitals[0]), study.data, study.task.options.get("classes"), SECRET)
    assert cohort.inputs.shape[1:] == study.data.input_shape == (8, 9)
    assert cohort.targets.ndim == targets
    assert np.abs(cohort.inputs).max() <= 1
    assert not cohort.notes
    share = cohort.patients / 250
    assert share == 1 if targets == 2 else 0.75 < share < 0.95
