"""Augmentations: each sample by itself, masks with their images, and the arithmetic that MONAI has, too."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from client.training.augment import augment
from common import plugins
from common.augmentations.base import Augmentation, Words, spread, unit
from common.augmentations.geometry import Affine, AffineOptions, Crop, CropOptions
from common.augmentations.values import Blur, BlurOptions, Intensity, IntensityOptions
from common.errors import StudyError
from common.privacy.noise import SecureRandom
from common.study import Study
from common.study_file import dump_study, parse_study

IMAGES = ["flip", "rotate", "mirror", "affine", "crop", "noise", "intensity", "blur", "erase"]
SEQUENCES = ["jitter", "scale", "time-shift", "mask-time", "mask-channel"]
SERIES: dict[str, Any] = {"kind": "series", "minimum": 40.0, "maximum": 400.0, "image_size": None}


def always(name: str, **options: Any) -> Augmentation:
    """An augmentation that changes every sample."""
    sure = {} if name in ("flip", "rotate") else {"probability": 1.0}
    return Augmentation.model_validate({"name": name, **sure, **options})


def samples_for(name: str, count: int = 6, volume: bool = False) -> torch.Tensor:
    """Random samples of a shape that it takes."""
    shape = (12, 3) if name in SEQUENCES else (2, 4, 8, 8) if volume else (2, 8, 8)
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(1)).clamp(-1, 1)


def words(count: int, each: int, seed: int = 1) -> Words:
    """Random numbers."""
    return SecureRandom.fixed(seed).integers(2**63, count * each).reshape(count, each)


def test_every_augmentation_is_tried_here() -> None:
    assert set(plugins.registry("augmentations")) == {*IMAGES, *SEQUENCES}


@pytest.mark.parametrize("volume", [False, True])
@pytest.mark.parametrize("name", [*IMAGES, *SEQUENCES])
def test_a_sample_changes_by_itself(name: str, volume: bool) -> None:
    if volume and name in SEQUENCES:
        pytest.skip("sequences are no volumes")
    inputs, kind = samples_for(name, 16, volume), always(name)
    targets = torch.arange(16)
    before = inputs.clone()
    changed, kept = augment(inputs, targets, [kind], SecureRandom.fixed(3))
    assert torch.equal(inputs, before), "samples of the cohort stay"
    assert torch.equal(kept, targets)
    assert changed.shape == inputs.shape
    assert changed.isfinite().all()
    assert sum(not torch.equal(a, b) for a, b in zip(changed, inputs, strict=True)) >= 8

    plug_in, options = kind.kind()
    drawn = words(16, plug_in.words)
    others = torch.cat([inputs[:3], 9 * torch.randn_like(inputs[3:])])
    whole, _ = plug_in.apply(options, inputs, targets, drawn)
    alone, _ = plug_in.apply(options, others[:3], targets[:3], drawn[:3])
    torch.testing.assert_close(whole[:3], alone, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", [*IMAGES, *SEQUENCES])
def test_the_pieces_of_a_step_do_not_matter(name: str) -> None:
    inputs, targets = samples_for(name), torch.arange(6)
    kinds = [always(name), Augmentation(name=name)]
    kinds += [] if name in SEQUENCES else [always("flip"), always("rotate")]
    whole, _ = augment(inputs, targets, kinds, SecureRandom.fixed(2))
    stream = SecureRandom.fixed(2)
    parts = [augment(inputs[a:b], targets[a:b], kinds, stream)[0] for a, b in ((0, 1), (1, 6))]
    torch.testing.assert_close(whole, torch.cat(parts), rtol=0, atol=1e-6)


@pytest.mark.parametrize("volume", [False, True])
@pytest.mark.parametrize("name", IMAGES)
def test_masks_move_with_their_images(name: str, volume: bool) -> None:
    generator = torch.Generator().manual_seed(1)
    masks = torch.randint(0, 4, (8, *((4, 16, 16) if volume else (16, 16))), generator=generator)
    masks = masks.repeat_interleave(4, -1).repeat_interleave(4, -2).to(torch.uint8)
    images = masks[:, None].float()
    moved_images, moved = augment(images, masks, [always(name)], SecureRandom.fixed(1))
    assert moved.dtype == torch.uint8
    assert set(moved.unique().tolist()) <= {0, 1, 2, 3}
    if name in ("flip", "rotate", "mirror", "affine", "crop"):
        assert not torch.equal(moved, masks)
        whole = (moved_images - moved_images.round()).abs() < 1e-3
        agree = moved_images.round()[:, 0][whole[:, 0]] == moved.float()[whole[:, 0]]
        assert whole.float().mean() > 0.2
        assert agree.float().mean() > 0.97, "the same map for both"
    else:
        assert torch.equal(moved, masks)


def test_the_affine_map_is_that_of_monai() -> None:
    from monai.transforms import Affine as Reference

    image = torch.rand(1, 1, 20, 33, generator=torch.Generator().manual_seed(1))
    options = AffineOptions(degrees=25.0, shift=0.1, scale=0.2)
    drawn = words(1, 5)
    made, _ = Affine.apply(options, image, torch.zeros(1), drawn)
    angle = np.deg2rad(spread(drawn[0, 0], 25.0))
    zoom = 1 / (1 + spread(drawn[0, 1], 0.2))
    columns, rows = spread(drawn[0, 2:4], 0.1) * (33, 20)
    turned = [
        [zoom * np.cos(angle), zoom * np.sin(angle), rows],
        [-zoom * np.sin(angle), zoom * np.cos(angle), columns],
        [0, 0, 1],
    ]
    expected, _ = Reference(affine=np.array(turned), padding_mode="border")(image[0])
    torch.testing.assert_close(made[0], torch.as_tensor(expected), rtol=0, atol=1e-3)


def test_a_crop_shows_a_piece_of_the_image_and_nothing_beyond_it() -> None:
    ramp = torch.arange(40.0).expand(1, 1, 40, 40).repeat(50, 1, 1, 1)
    made, _ = Crop.apply(CropOptions(smallest=0.5), ramp, torch.zeros(50), words(50, 4))
    steps = made.diff(dim=-1)
    inner = steps[..., 2:-2]
    assert (inner > 0.49).all()
    assert (inner < 1.001).all(), "enlarged, never reduced"
    assert (made[..., 0] < made[..., -1]).all()


def test_blur_and_gamma_are_those_of_monai() -> None:
    from monai.transforms import AdjustContrast, GaussianSmooth

    image = torch.rand(1, 1, 24, 24, generator=torch.Generator().manual_seed(2))
    drawn = words(1, 3)
    blurred, _ = Blur.apply(BlurOptions(sigma_px=1.5), image, torch.zeros(1), drawn[:, :1])
    expected = GaussianSmooth(sigma=float(1.5 * unit(drawn[0, :1])[0]), approx="sampled")(image[0])
    inner = (slice(None), slice(7, -7), slice(7, -7))
    torch.testing.assert_close(
        blurred[0][inner], torch.as_tensor(expected)[inner], rtol=0, atol=1e-3
    )
    options = IntensityOptions(scale=0.0, shift=0.0, gamma=1.0)
    bent, _ = Intensity.apply(options, image, torch.zeros(1), drawn)
    power = float(np.exp(spread(drawn[0, :1], np.log(2))[0]))
    expected = AdjustContrast(gamma=power)(image[0])
    torch.testing.assert_close(bent[0], torch.as_tensor(expected), rtol=0, atol=1e-4)


def test_sequences_keep_what_a_forecast_starts_from() -> None:
    inputs = samples_for("jitter", 200)
    hidden, _ = augment(
        inputs, torch.zeros(200), [always("mask-time", longest=0.9)], SecureRandom.fixed(1)
    )
    assert torch.equal(hidden[:, -1], inputs[:, -1])
    assert (hidden[:, :-1] == 0).all(-1).any()
    shifted, _ = augment(
        inputs, torch.zeros(200), [always("time-shift", steps=3)], SecureRandom.fixed(1)
    )
    offsets = [
        next(later for later in range(-3, 4) if torch.equal(made[3:-3], given.roll(later, 0)[3:-3]))
        for made, given in zip(shifted, inputs, strict=True)
    ]
    assert set(offsets) == set(range(-3, 4))
    off, _ = augment(inputs, torch.zeros(200), [always("mask-channel")], SecureRandom.fixed(1))
    assert ((off == 0).all(1).sum(1) == 1).all()


def test_an_erased_box_is_no_larger_than_said() -> None:
    images = torch.ones(400, 2, 20, 30)
    kind = always("erase", largest=0.2, value=-1.0)
    made, _ = augment(images, torch.zeros(400), [kind], SecureRandom.fixed(1))
    erased = made == -1
    assert torch.equal(erased[:, 0], erased[:, 1])
    assert erased.any(-1).sum(-1).max() <= 4
    assert erased.any(-2).sum(-1).max() <= 6
    assert erased[:, 0].any(0).float().mean() > 0.9, "anywhere"


def test_some_samples_are_left_as_they_are() -> None:
    images = torch.ones(400, 1, 4, 4)
    kind = always("noise", probability=0.25)
    made, _ = augment(images, torch.zeros(400), [kind], SecureRandom.fixed(1))
    assert (made != 1).any(-1).any(-1).float().mean().item() == pytest.approx(0.25, abs=0.07)


@pytest.mark.parametrize("text", ["flip", "rotate"])
def test_names_of_old_studies_are_written_as_they_were(
    make_study: Callable[..., Study], text: str
) -> None:
    study = make_study(training={"augment": [text]})
    assert study.content()["training"]["augment"] == [text]
    assert study.fingerprint == make_study(training={"augment": [{"name": text}]}).fingerprint


def test_options_are_written_out(make_study: Callable[..., Study]) -> None:
    short = make_study(training={"augment": ["flip", "affine"]})
    full = {"name": "affine", "degrees": 10.0, "shift": 0.05, "scale": 0.1, "probability": 0.5}
    assert short.content()["training"]["augment"] == ["flip", full]
    assert short.fingerprint == make_study(training={"augment": ["flip", full]}).fingerprint
    other = make_study(training={"augment": ["flip", {**full, "degrees": 11}]})
    assert other.fingerprint != short.fingerprint
    again = parse_study(tomllib.loads(dump_study(short)), where="x")
    assert again.fingerprint == short.fingerprint


@pytest.mark.parametrize(
    ("data", "augmentations", "words"),
    [
        ({}, ["flipp"], "Did you mean 'flip'"),
        ({}, [{"name": "affine", "degree": 3}], "Did you mean 'degrees'"),
        ({}, [{"name": "affine", "degrees": 300}], "degrees"),
        ({}, ["jitter"], "'jitter' is for data of kind records, series, signals, not arrays"),
        (SERIES, ["flip"], "'flip' is for data of kind arrays, dicom, not series"),
        (SERIES, ["time-shift"], "'time-shift' is for data of kind records, signals, not series"),
        (
            {"labels": "points", "structures": ["nodule"]},
            ["affine"],
            "would leave the points where they were",
        ),
    ],
)
def test_what_does_not_fit_is_refused(
    content: Callable[..., dict[str, Any]],
    data: dict[str, Any],
    augmentations: list[Any],
    words: str,
) -> None:
    with pytest.raises(StudyError, match=words):
        parse_study(content(data=data, training={"augment": augmentations}), where="x")
