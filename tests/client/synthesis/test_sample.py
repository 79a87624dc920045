"""From training to new images: private and not, drawn by a command, compared at the site."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner

from client.data.cohort import Cohort
from client.site import Site
from client.training.batches import UnitSampler, order_by_unit
from client.training.evaluation import evaluate
from client.training.plain import train_plain
from client.training.private import train_private
from client.training.workspace import Silent, Workspace
from common.augmentations.base import Augmentation
from common.cli import build
from common.privacy.noise import SecureRandom
from common.privacy.plan import plan_site
from common.study import Study
from common.study_file import dump_study, parse_study
from common.weights import Vector, unpack

SIDE, PATIENTS = 8, 60
pytestmark = pytest.mark.filterwarnings("ignore:Full backward hook")
Content = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def study(content: Content) -> Study:
    """Dark and bright images are to be drawn."""
    return parse_study(
        content(
            task={"name": "synthesis", "classes": ["no", "yes"], "copies": 2},
            model={"name": "denoiser", "channels": [8]},
            data={"labels": "class"},
            training={"optimizer": "adam", "learning_rate": 0.02, "local_steps": 30},
            privacy={"noise_multiplier": 0.3, "sampling_rate": "1/2"},
        ),
        where="test",
    )


@pytest.fixture(scope="module")
def cohort() -> Cohort:
    """One image a patient, of which half are bright."""
    rng = np.random.default_rng(0)
    bright = np.arange(PATIENTS) % 2
    images = rng.normal(bright[:, None, None, None] - 0.5, 0.05, (PATIENTS, 1, SIDE, SIDE))
    held_out = np.arange(PATIENTS) % 3 == 0
    return Cohort(
        images.astype(np.float32), bright, np.arange(PATIENTS), held_out, split_id="declared"
    )


def trained(study: Study, cohort: Cohort, private: bool) -> Vector:
    space, rows = Workspace(study), cohort.rows("train")
    samples = order_by_unit(
        cohort.inputs[rows], cohort.targets[rows], cohort.patient[rows], torch.device("cpu")
    )
    one, two = (SecureRandom.fixed(1, purpose) for purpose in ("sampling", "noise"))
    plan = plan_site(study, PATIENTS)
    if private:
        return train_private(space, space.initial, samples, plan, one, two, Silent())
    return train_plain(space, space.initial, samples, one, Silent())[0]


@pytest.fixture(scope="module")
def weights(study: Study, cohort: Cohort) -> Vector:
    """Trained without privacy."""
    return trained(study, cohort, private=False)


def explained(study: Study, cohort: Cohort, weights: Vector) -> float:
    space = Workspace(study)
    return space.task.metrics(evaluate(space, weights, cohort))["explained"]


def test_training_explains_held_out_images(study: Study, cohort: Cohort, weights: Vector) -> None:
    before = explained(study, cohort, Workspace(study).initial)
    assert before < 0.2
    assert explained(study, cohort, weights) > 0.5
    assert explained(study, cohort, trained(study, cohort, private=True)) > 0.3


def test_how_a_step_is_cut_changes_nothing(study: Study, cohort: Cohort) -> None:
    space, everybody = Workspace(study), torch.device("cpu")
    flip = Augmentation.model_validate("flip")
    samples = order_by_unit(cohort.inputs, cohort.targets, cohort.patient, everybody)

    def step(piece: int) -> tuple[torch.Tensor, torch.Tensor]:
        plan = plan_site(study, PATIENTS)
        random = SecureRandom.fixed(2, "sampling")
        sampler = UnitSampler(
            samples, plan.sampling_rate, 4, piece, (flip,), random, 2, space.task.prepare
        )
        pieces = list(sampler.draw())
        return torch.cat([p.inputs for p in pieces]), torch.cat([p.targets for p in pieces])

    for one, other in zip(step(7), step(1000), strict=True):
        torch.testing.assert_close(one, other)
    seen, _ = step(1000)
    assert not torch.equal(seen[0], seen[1]), "the copies of one image have noise of their own"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, study: Study, weights: Vector) -> Path:
    """The folder of a finished run."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "study.toml").write_text(dump_study(study))
    save_file(unpack(weights, Workspace(study).layout), folder / "model.safetensors")
    return folder


def sample(*arguments: object) -> str:
    done = CliRunner().invoke(build(), ["sample", *map(str, arguments)], catch_exceptions=False)
    assert done.exit_code == 0
    return done.output


def test_images_are_of_their_class(run: Path, tmp_path: Path) -> None:
    sample(run, "--count", 20, "--out", tmp_path / "a", "--steps", 20)
    with np.load(tmp_path / "a" / "samples.npz") as found:
        images, labels = found["images"], found["labels"]
    assert images.shape == (40, 1, SIDE, SIDE)
    assert np.abs(images).max() <= 1
    means = [images[labels == number].mean() for number in (0, 1)]
    assert means == pytest.approx([-0.5, 0.5], abs=0.2)
    assert (tmp_path / "a" / "samples.png").read_bytes().startswith(b"\x89PNG")
    sample(run, "--count", 20, "--out", tmp_path / "b", "--steps", 20, "--class", "yes")
    with np.load(tmp_path / "b" / "samples.npz") as found:
        assert found["images"].mean() > 0.3
        assert set(found["labels"]) == {1}


def test_a_site_compares(run: Path, make_site: Callable[..., Site], tmp_path: Path) -> None:
    site = make_site(patients=120, declared=120)
    told = sample(run, "--count", 20, "--out", tmp_path / "c", "--steps", 10, "--site", site.folder)
    assert "FID-like distance" in told
    assert "has no secret" in told
    found = json.loads((tmp_path / "c" / "comparison.json").read_text())
    assert 30 <= found["images"] <= 40, "classes as common as the site has them"
    assert 0 <= found["auc_drawn"] <= 1
    assert found["copies"] == 0
    assert "ZQX" not in told


def test_what_cannot_be_compared_leaves_the_folder_for_the_next_try(
    run: Path, make_site: Callable[..., Site], tmp_path: Path
) -> None:
    from common.errors import DataError

    site, out = make_site(patients=40, declared=40), tmp_path / "few"
    order = ["sample", str(run), "--count", "2", "--steps", "2", "--out", str(out)]
    with pytest.raises(DataError, match="needs 30 images"):
        CliRunner().invoke(build(), [*order, "--site", str(site.folder)], catch_exceptions=False)
    assert not list(out.iterdir())
    sample(*order[1:])


def test_what_cannot_be_drawn_is_refused(run: Path, content: Content, tmp_path: Path) -> None:
    from client.synthesis.sample import Order
    from client.synthesis.sample import sample as draw
    from common.errors import StudyError
    from common.trained import load_trained

    cpu = torch.device("cpu")
    with pytest.raises(StudyError, match="no class 'maybe'"):
        draw(Order(load_trained(run), tmp_path / "d", cpu, of_class="maybe"))
    other = tmp_path / "other"
    other.mkdir()
    different = parse_study(content(), where="test")
    (other / "study.toml").write_text(dump_study(different))
    space = Workspace(different)
    save_file(unpack(space.initial, space.layout), other / "model.safetensors")
    with pytest.raises(StudyError, match="draws no images"):
        draw(Order(load_trained(other), tmp_path / "e", cpu))
    assert not (tmp_path / "d").exists()
