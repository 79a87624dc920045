"""Steps of a study: each sample by itself, by public options alone, the same for every use of a cohort."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import TypeAdapter

from client.data.cohort import Cohort
from client.data.steps import apply
from client.data.steps.apply import after_steps, targets_after_steps
from common import plugins
from common.data_spec import DataSpec
from common.errors import StudyError
from common.study import Study
from common.study_file import parse_study
from common.study_template import template

IMAGES: dict[str, Any] = {"kind": "arrays", "image_size": [4, 6], "channels": 1}
SIGNALS: dict[str, Any] = {
    "kind": "signals",
    "channels": [{"name": n, "minimum": 0, "maximum": 1} for n in ("I", "II")],
    "sampling_hz": 8,
    "window_seconds": 1,
}
OPTIONS: dict[str, dict[str, Any]] = {
    "clip": {"minimum": -0.5, "maximum": 0.5},
    "window": {"level": 0.25, "width": 0.5},
    "normalise": {"mean": 0.1, "deviation": 0.4},
    "gamma": {"gamma": 0.5},
    "median-filter": {"size_px": 3},
    "gaussian-filter": {"sigma_px": 0.7},
    "resize": {"size_px": [2, 3]},
    "crop": {"size_px": 2},
    "flip": {"axis": "top-bottom"},
    "same-side": {"side": "right"},
    "smooth": {"steps": 3},
    "differences": {"lag": 2},
}


def spec_of(base: dict[str, Any], *steps: Any) -> DataSpec:
    """A `[data]` section with steps."""
    parsed: DataSpec = TypeAdapter(DataSpec).validate_python({**base, "steps": list(steps)})
    return parsed


def ran(base: dict[str, Any], samples: NDArray[Any], *steps: Any) -> NDArray[np.float32]:
    """Samples after steps."""
    return after_steps(samples.astype(np.float32), spec_of(base, *steps))


def samples_for(spec: DataSpec, count: int = 5) -> NDArray[np.float32]:
    """Random samples of a section's own shape."""
    drawn = np.random.default_rng(1).uniform(-1, 1, (count, *spec.input_shape))
    return drawn.astype(np.float32)


@pytest.mark.parametrize("name", sorted(plugins.registry("steps")))
def test_each_step_treats_a_sample_by_itself(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = plugins.load("steps", name).kinds
    base = IMAGES if "arrays" in kinds else SIGNALS
    spec = spec_of(base, {"name": name, **OPTIONS[name]})
    before = samples_for(spec)
    kept = before.copy()
    together = after_steps(before, spec)
    assert together.shape == (5, *spec.model_shape)
    assert together.dtype == np.float32
    assert np.isfinite(together).all()
    assert np.array_equal(before, kept)
    monkeypatch.setattr(apply, "CHUNK_BYTES", 1)  # one at a time
    alone = after_steps(before[::-1], spec)[::-1]
    assert np.array_equal(together, alone)


def test_values() -> None:
    row = np.array([[-1.0, -0.5, 0.0, 0.25, 0.5, 1.0]] * 4)[None, None]
    found = ran(IMAGES, row, {"name": "window", "level": 0.0, "width": 1.0})[0, 0, 0]
    assert found.tolist() == [-1, -1, 0, 0.5, 1, 1]
    found = ran(IMAGES, row, {"name": "gamma", "gamma": 2.0}, {"name": "clip", "minimum": -0.9})
    np.testing.assert_allclose(found[0, 0, 0, :3], [-0.9, -0.875, -0.5], atol=1e-6)
    colour = {**IMAGES, "channels": 3}
    steps = {"name": "normalise", "mean": [0.0, 0.5, 1.0], "deviation": [1.0, 2.0, 4.0]}
    found = ran(colour, np.ones((2, 3, 4, 6)), steps)
    assert found[:, :, 0, 0].tolist() == [[1.0, 0.25, 0.0]] * 2


def test_noise_goes_and_slices_stay_apart() -> None:
    spec = {"kind": "dicom", "image_size": 5, "depth": 3}
    volume = np.full((1, 1, 3, 5, 5), -1.0)
    volume[0, 0, 1, 2, 2] = 1.0
    assert (ran(spec, volume, "median-filter") == -1).all()
    blurred = ran(spec, volume, "gaussian-filter")[0, 0]
    assert (blurred[[0, 2]] == -1).all()
    assert -1 < blurred[1, 2, 2] < 1


def test_places() -> None:
    image = np.arange(24.0).reshape(1, 1, 4, 6)
    assert ran(IMAGES, image, {"name": "crop", "size_px": 2})[0, 0].tolist() == [[8, 9], [14, 15]]
    assert ran(IMAGES, image, "flip")[0, 0, 0].tolist() == [5, 4, 3, 2, 1, 0]
    assert ran(IMAGES, image, "same-side")[0, 0, 0].tolist() == [5, 4, 3, 2, 1, 0]
    right = {"name": "same-side", "side": "right"}
    assert np.array_equal(ran(IMAGES, image, right), image)
    half = ran(IMAGES, image, {"name": "resize", "size_px": [2, 3]})[0, 0]
    assert half.shape == (2, 3)
    assert half.mean() == pytest.approx(image.mean(), abs=0.5)


def test_signals() -> None:
    ramp = np.arange(8.0)[None, :, None] * np.array([1.0, 10.0])
    smooth = ran(SIGNALS, ramp, {"name": "smooth", "steps": 2})[0]
    assert smooth[:, 0].tolist() == [0, 0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 7]
    added = ran(SIGNALS, ramp, {"name": "differences", "lag": 2, "scale": 0.5})[0]
    assert added.shape == (8, 4)
    assert added[:, 3].tolist() == [0, 0, 10, 10, 10, 10, 10, 10]


@pytest.mark.parametrize(
    ("base", "step", "said"),
    [
        (IMAGES, "gama", "Did you mean 'gamma'"),
        (IMAGES, {"name": "nothing-like-it"}, "Known: clip, crop"),
        (IMAGES, {"name": "gamma", "gama": 2}, "Did you mean 'gamma'"),
        (IMAGES, {"name": "gamma", "gamma": 1e9}, "less than or equal to 20"),
        (IMAGES, {"name": "median-filter", "size_px": 4}, "must be odd"),
        (IMAGES, {"name": "crop", "size_px": 5}, "larger than the image, 4 by 6"),
        (IMAGES, {"name": "normalise", "mean": [0.1, 0.2]}, "a sample has 1 channels"),
        (IMAGES, "smooth", "for data of kind series, signals, not arrays"),
        (SIGNALS, "flip", "for data of kind arrays, dicom, not signals"),
        (SIGNALS, {"name": "differences", "lag": 8}, "less than the window's 8 steps"),
    ],
)
def test_what_does_not_fit_is_refused(base: dict[str, Any], step: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        spec_of(base, step)


def study(*steps: Any) -> Study:
    """A study of images with steps."""
    content = tomllib.loads(template("arrays", "x"))
    content["data"]["steps"] = list(steps)
    return parse_study(content, where="x")


def test_the_fingerprint_covers_steps_and_only_those_that_are_there() -> None:
    plain = parse_study(tomllib.loads(template("arrays", "x")), where="x")
    assert study().fingerprint == plain.fingerprint
    assert '"steps"' not in plain.canonical()
    assert study("gamma").fingerprint != plain.fingerprint
    assert study("gamma").fingerprint == study({"name": "gamma", "gamma": 1.0}).fingerprint
    again = parse_study(study("flip", "gamma").content(), where="x")
    assert again.fingerprint == study("flip", "gamma").fingerprint
    assert again.fingerprint != study("gamma", "flip").fingerprint
    with pytest.raises(StudyError, match="Unknown step 'gama'"):
        study("gama")


def test_the_cohort_is_prepared_with_the_steps(
    build: Callable[..., Cohort], tmp_path: Path
) -> None:
    images = np.random.default_rng(0).integers(0, 256, (6, 4, 6)).astype(np.uint8)
    np.savez(tmp_path / "x.npz", images=images, labels=np.arange(6) % 2)
    data = 'kind = "arrays"\npath = "x.npz"'
    cache = tmp_path / "cache"
    plain = build(data, IMAGES, ["a", "b"], cache=cache)
    spec = {**IMAGES, "steps": ["flip", {"name": "crop", "size_px": 2}]}
    for _ in range(2):  # made, then found in the cache
        stepped = build(data, spec, ["a", "b"], cache=cache)
        assert np.array_equal(stepped.inputs, plain.inputs[..., ::-1][..., 1:3, 2:4])


MASKS = {**IMAGES, "labels": "mask", "structures": ["lung", "nodule"]}


@pytest.mark.parametrize("name", ["resize", "crop", "flip", "same-side"])
def test_masks_go_where_their_pixels_go(name: str) -> None:
    spec = spec_of(MASKS, {"name": name, **OPTIONS[name]}, {"name": "gamma", "gamma": 1.0})
    masks = np.random.default_rng(0).integers(0, 3, (9, 2, 3)).astype(np.uint8)
    masks = masks.repeat(2, 1).repeat(2, 2)
    images = masks[:, None].astype(np.float32) - 1
    made, moved = targets_after_steps(images, masks, spec)
    assert moved.dtype == np.uint8
    if name == "resize":
        assert np.array_equal(moved, masks[:, ::2, ::2])
    else:
        assert not np.array_equal(moved, masks)
        np.testing.assert_array_equal(made[:, 0], moved.astype(np.float32) - 1)


def test_classes_are_left_alone_by_steps() -> None:
    classes = np.arange(5)
    spec = spec_of(IMAGES, "flip")
    assert targets_after_steps(samples_for(spec), classes, spec)[1] is classes


def test_points_refuse_steps_that_move_pixels() -> None:
    points = {**IMAGES, "labels": "points", "structures": ["nodule"]}
    assert spec_of(points, "gamma").steps
    with pytest.raises(ValueError, match="'flip' would leave the points where they were"):
        spec_of(points, "flip")
