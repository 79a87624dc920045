"""Image synthesis: a network that sees images through noise, from which new ones can be drawn.

Ho et al. 2020, "Denoising diffusion probabilistic models"; trained privately as Dockhorn et al. 2023,
"Differentially private diffusion models", with several noise levels for each drawn image (noise multiplicity).
"""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from pydantic import Field
from torch import nn

from common import diffusion, plugins
from common.augmentations.base import unit
from common.errors import StudyError
from common.memory_format import laid_out
from common.plugins import Options
from common.privacy.noise import SecureRandom
from common.tasks.base import Metrics, Tally

if TYPE_CHECKING:
    from common.study import Study

TIMES = (0.1, 0.3, 0.5, 0.7, 0.9)
"""At which the network is examined: from little noise to little image."""
CEILING = 4.0
"""Of an image's mean squared error at a time; v has a mean square of about 1."""


class SynthesisOptions(Options):
    """Options of the task.

    Attributes:
        classes: names, where images of a class are to be drawn; [data] labels = "class" then. None: of no class.
        copies: noise levels of every drawn image in a step; their gradients are averaged before clipping.
    """

    classes: tuple[str, ...] | None = Field(default=None, min_length=2)
    copies: int = Field(default=4, ge=1, le=64)


class Synthesis:
    """The mean squared error of v, for each image by itself.

    Time and noise are drawn outside of the network, from the site's secret stream. In evaluation they are public
    constants, the same for every image: what a patient adds to the tally does not depend on the others.
    """

    Options = SynthesisOptions
    headline = "explained"
    targets = frozenset({"class", "none"})
    pools_patients = False
    described = MappingProxyType(
        {
            "input": "noisy images α·x + σ·noise, α = cos(πt/2), σ = sin(πt/2), x in [-1, 1] as [data] says; then "
            "two constant channels: the time t in [0, 1], and the class number from 1 (0: no classes)",
            "output": "v = α·noise − σ·x; so x = α·input − σ·v",
        }
    )

    def __init__(self, options: SynthesisOptions, study: Study) -> None:
        self.classes, self.copies = options.classes, options.copies
        _require_classes(study, options.classes)
        self.shape = tuple(study.data.model_shape)
        if len(self.shape) != 3:
            raise StudyError(
                f"Task 'synthesis' learns to draw images, but the study's samples have shape {self.shape}.",
                where="[task] name and [data]",
                fix="Use images: [data] kind = 'arrays' or 'dicom', without depth.",
            )
        _require_denoiser(study)
        self.outputs = self.shape[0]
        self.seed = study.study.seed
        self.tally_layout = {"error": (len(TIMES),), "asked": (len(TIMES),), "images": (1,)}
        self.tally_bound = math.sqrt(2 * len(TIMES) + 1)

    def prepare(
        self, inputs: torch.Tensor, targets: torch.Tensor, random: SecureRandom
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return noisy images with their time and class, `[B, C + 2, H, W]`, and v, `[B, C, H, W]`."""
        words = random.integers(2**63, 2 * len(inputs)).reshape(-1, 2)
        times = torch.from_numpy(unit(words[:, 0])).to(inputs)
        noise = [_normals(int(seed), self.shape) for seed in words[:, 1]]
        noisy, asked = diffusion.mixed(inputs, torch.from_numpy(np.stack(noise)).to(inputs), times)
        return diffusion.conditioned(noisy, times, self.numbers(targets)), asked

    def loss(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the mean squared error of every image, `[B]`."""
        return (outputs.float() - targets.float()).square().flatten(1).mean(1)

    def examine(
        self, network: nn.Module, inputs: torch.Tensor, targets: torch.Tensor
    ) -> torch.Tensor:
        """Return for every image and time the mean square of the network's error and of what was asked, `[B, 2, T]`."""
        classes = self.numbers(targets.to(inputs.device))
        found = []
        for number, time in enumerate(TIMES):
            noise = torch.from_numpy(_normals(_public(self.seed, number), self.shape)).to(inputs)
            times = torch.full((len(inputs),), time, device=inputs.device)
            noisy, asked = diffusion.mixed(inputs, noise.expand_as(inputs), times)
            said = network(laid_out(diffusion.conditioned(noisy, times, classes))).float()
            found.append(torch.stack([self.loss(said, asked), self.loss(asked, 0 * asked)], 1))
        return torch.stack(found, 2)

    def numbers(self, targets: torch.Tensor) -> torch.Tensor:
        """Return the class numbers that the network is told, `[B]`."""
        return (
            torch.full_like(targets, diffusion.CLASS_FREE) if self.classes is None else targets + 1
        )

    def tally(
        self,
        outputs: torch.Tensor,
        targets: torch.Tensor,
        inputs: torch.Tensor,
        weights: torch.Tensor,
    ) -> Tally:
        """Sum the errors, as shares of a ceiling at which they are cut."""
        shares = (outputs.double() / CEILING).nan_to_num(1.0).clamp(0.0, 1.0)
        error, asked = torch.einsum("b,bkt->kt", weights.double(), shares).numpy()
        return Tally({"error": error, "asked": asked, "images": np.array([float(weights.sum())])})

    def metrics(self, tally: Tally) -> Metrics:
        """Return the mean error, and the share of v that the network explains.

        `explained` is 1 − error / mean square of v: 0 for a network that always answers 0.
        """
        error, asked, count = (float(tally.arrays[name].sum()) for name in self.tally_layout)
        known = count > 0 and error >= 0 and asked > 0
        loss = CEILING * error / (len(TIMES) * count) if known else math.nan
        explained = 1 - error / asked if known else math.nan
        return {"loss": loss, "explained": explained, "count": max(count, 0.0)}

    def curves(self, tally: Tally) -> dict[str, Any]:
        """Return the errors by the time, which says how much noise there was."""
        count = float(tally.arrays["images"][0])
        if count <= 0:
            return {}
        lines = {"the network": "error", "always 0": "asked"}
        plot = {
            "title": "Error by share of noise",
            "x_label": "time (0: no noise, 1: all noise)",
            "y_label": "mean squared error",
            "lines": [
                {
                    "name": name,
                    "x": list(TIMES),
                    "y": (CEILING * tally.arrays[key] / count).tolist(),
                }
                for name, key in lines.items()
            ],
        }
        return {"plots": [plot]}


def _normals(seed: int, shape: tuple[int, ...]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return standard normals; one random number may seed them, since nobody's privacy rests on them."""
    return np.random.Generator(np.random.Philox(key=seed)).standard_normal(shape, np.float32)


def _public(seed: int, number: int) -> int:
    return int(SecureRandom.fixed(seed, "synthesis", str(number)).integers(2**63, 1)[0])


def _require_classes(study: Study, classes: tuple[str, ...] | None) -> None:
    if (study.data.target_kind == "class") == (classes is not None):
        return
    raise StudyError(
        "The task names classes, but the data have none."
        if classes
        else "The data have classes, but the task does not name them.",
        where="[task] classes and [data] labels",
        fix="Give both classes and labels = 'class' to draw images of a class, or labels = 'none' and no classes.",
    )


def _require_denoiser(study: Study) -> None:
    """Refuse models that answer with classes, masks or anything but v."""
    if getattr(plugins.load("models", study.model.name), "denoises", False):
        return
    raise StudyError(
        f"Model '{study.model.name}' draws no images.",
        where="[model] name",
        fix="Use 'denoiser', or another model whose family says denoises = True.",
    )
