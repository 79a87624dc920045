"""What the generated data hold: classes that differ in shape only, tables and series worth a model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from simulations.hospitals import glucose, heart, lung_5class
from simulations.hospitals.nodule_case import Case, draw_case
from simulations.hospitals.phantom import Grid, add_tube
from simulations.hospitals.plan import HospitalPlan, class_counts
from simulations.hospitals.scanner import SCANNERS, stored

HALF_MM = 11.0
COLUMNS = (
    "patient_id age sex cp trestbps chol fbs restecg thalach exang oldpeak slope ca thal target"
)


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    return [draw_case(np.random.default_rng([3, n]), n % 2 == 1, SCANNERS[0]) for n in range(240)]


def patch(case: Case) -> np.ndarray:
    """The slice nearest to the mark, cut round it."""
    spacing, thickness = SCANNERS[0].spacing, SCANNERS[0].thickness
    reach = round(HALF_MM / spacing)
    z = int(np.clip(round(case.candidate[0] / thickness), 0, len(case.volume) - 1))
    y, x = (round(v / spacing) for v in case.candidate[1:])
    return case.volume[z, y - reach : y + reach + 1, x - reach : x + reach + 1]


def test_density_size_and_place_do_not_tell_the_classes_apart(cases: list[Case]) -> None:
    truth = [case.malignant for case in cases]
    patches = [patch(case) for case in cases]
    shortcuts = {
        "mean": [p.mean() for p in patches],
        "bright area": [(p > -400).sum() for p in patches],
        "row": [case.candidate[1] for case in cases],
        "column": [case.candidate[2] for case in cases],
        "slice": [case.candidate[0] for case in cases],
        "noise": [case.volume[:, :8, :8].std() for case in cases],
    }
    areas = {name: roc_auc_score(truth, values) for name, values in shortcuts.items()}
    assert all(0.33 < area < 0.67 for area in areas.values()), areas


def test_the_brightest_voxel_tells_something_but_not_all(cases: list[Case]) -> None:
    """Mottle is one of the real differences and raises the maximum: known, and kept within bounds."""
    truth = [case.malignant for case in cases]
    assert roc_auc_score(truth, [patch(case).max() for case in cases]) < 0.85


def test_pixels_are_of_little_use_to_a_linear_model(cases: list[Case]) -> None:
    truth = np.array([case.malignant for case in cases])
    pixels = np.array([patch(case).ravel() for case in cases])
    train = np.arange(len(cases)) < 160
    model = make_pipeline(StandardScaler(), LogisticRegression(C=1e-3, max_iter=500))
    scores = model.fit(pixels[train], truth[train]).decision_function(pixels[~train])
    assert roc_auc_score(truth[~train], scores) < 0.75


def test_texture_does_tell_them_apart(cases: list[Case]) -> None:
    """Second differences near the mark see spicules and mottle; what a CNN can learn is there."""
    truth = [case.malignant for case in cases]
    rough = [np.abs(np.diff(patch(case)[7:-7, 7:-7], 2)).mean() for case in cases]
    assert roc_auc_score(truth, rough) > 0.75


def test_tubes_stay_inside_a_volume_they_miss() -> None:
    grid = Grid(2, 16, 1.0, 2.0)
    volume = np.full(grid.shape, -900.0, dtype=np.float32)
    add_tube(volume, grid, np.array([50.0, 90, 90]), np.array([60.0, 95, 99]), 2.0, 40.0)
    assert (volume == -900).all()


@pytest.mark.parametrize("scanner", SCANNERS, ids=lambda s: s.model)
def test_stored_numbers_give_hounsfield_units_back(scanner: object) -> None:
    volume = np.linspace(-1000, 900, 64, dtype=np.float32).reshape(1, 8, 8)
    values = stored(volume, scanner).astype(float)  # type: ignore[arg-type]
    back = values * scanner.slope + scanner.intercept  # type: ignore[attr-defined]
    assert np.abs(back - volume).max() <= scanner.slope / 2 + 1e-3  # type: ignore[attr-defined]


@pytest.mark.parametrize("finding", lung_5class.CLASSES)
def test_every_finding_draws_a_whole_chest(finding: str) -> None:
    chest = lung_5class.draw_chest(np.random.default_rng(1), finding, 2.5)
    assert chest.shape == (lung_5class.SLICES, lung_5class.SIZE, lung_5class.SIZE)
    assert np.isfinite(chest).all()
    assert chest[0, 0, 0] < -950 < -200 < chest.max()
    assert 0.1 < (chest < -500).mean() < 0.9


def test_classes_get_their_shares() -> None:
    assert class_counts(10, (3, 1, 2, 2, 2)) == [3, 1, 2, 2, 2]
    assert sum(class_counts(7, (0.44, 0.56))) == 7


def test_heart_disease_can_be_predicted_but_not_perfectly(tmp_path: Path) -> None:
    tables = [heart.draw_table(HospitalPlan(tmp_path, n, 400, 7)) for n in (0, 1)]
    assert " ".join(tables[0].columns) == COLUMNS
    features = [t.drop(columns=["patient_id", "target"]).astype(float) for t in tables]
    assert features[1]["ca"].isna().mean() > features[0]["ca"].isna().mean()
    model = make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression())
    model.fit(features[0], tables[0]["target"])
    area = roc_auc_score(tables[1]["target"], model.predict_proba(features[1])[:, 1])
    assert 0.8 < area < 0.97


def test_half_an_hour_ahead_the_past_says_more_than_the_last_value() -> None:
    history, future = [], []
    for number in range(12):
        rng = np.random.default_rng(number)
        readings = glucose.draw_readings(glucose.draw_person(rng, 0), rng, 4)
        assert ((readings >= 40) & (readings <= 400)).all()
        for start in range(0, len(readings) - 18, 3):
            history.append(readings[start : start + 12])
            future.append(readings[start + 17])
    past, ahead = np.array(history), np.array(future)
    train = np.arange(len(past)) < len(past) * 2 // 3
    ridge = Ridge().fit(past[train], ahead[train]).predict(past[~train])
    last = np.sqrt(np.mean((past[~train, -1] - ahead[~train]) ** 2))
    assert np.sqrt(np.mean((ridge - ahead[~train]) ** 2)) < 0.85 * last
