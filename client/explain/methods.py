"""The methods that explain an answer. Where Captum has one, it does the work (Kokhlikyan et al. 2020)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from client.explain.attention import attention
from client.explain.grad_cam import grad_cam
from client.explain.molecules import Molecule, without_each_atom
from client.explain.question import Question, Unsuited, differentiable
from common import plugins
from common.errors import MachineError, StudyError

STEPS = (64, 300)
"""Points on the way from the baseline to the sample; more where the parts do not add up with fewer."""
ADDS_UP = 0.05
"""Share of the whole difference by which the parts may miss it."""
BATCH = 16
"""Samples that a network is given at once."""
BLOCKS = 12
"""Parts that a window of time is cut into, at most, to be covered one by one."""
SQUARES = 8
"""Parts that an image's side is cut into, at most."""


@dataclass(frozen=True)
class Method:
    """A way to explain.

    Attributes:
        title: for people.
        reading: how its picture is read.
        signed: values above 0 raise the score, below lower it; else they say how much alone.
        work: from a question to values, `[*shape]` as the sample, or without the channels or fields.
        above_least: pictures show how far values are above the smallest, since nothing has none.
        picky: does not suit every network.
    """

    title: str
    reading: str
    signed: bool
    work: Callable[[Question], Tensor]
    above_least: bool = False
    picky: bool = False

    def shown(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return values as pictures and curves show them."""
        return values - values.min() if self.above_least else values


def explained(name: str, question: Question) -> NDArray[np.float32]:
    """Return what a method says of each part of the sample.

    Of images `[*spatial]`, of tables `[fields]`, of series, signals and records `[T, fields]`, or `[T]` where a method
    looks at time alone. Occlusion of molecules: `[atoms]`.

    Raises:
        Unsuited: the method cannot explain this network.
    """
    method = METHODS[name]
    values = method.work(question).detach().float().cpu()
    shape = question.sample.shape[1:]
    if values.shape != shape:  # the method has put channels or fields together
        return values.numpy()
    if question.fields is None:
        return (values.sum(0) if method.signed else values.amax(0)).numpy()
    return _by_field(values, question, additive=name == "integrated-gradients").numpy()


def _by_field(values: Tensor, question: Question, additive: bool) -> Tensor:
    """Put the columns of each field together: sums of what adds up, else the largest, `[..., F]` to `[..., fields]`."""
    assert question.fields is not None
    columns = [values[..., question.fields.columns(n)] for n in range(len(question.fields.fields))]
    own = [part.sum(-1) if additive else _largest(part) for part in columns]
    return torch.stack(own, dim=-1)


def _largest(values: Tensor) -> Tensor:
    where = values.abs().argmax(-1, keepdim=True)
    return values.gather(-1, where).squeeze(-1)


def _saliency(question: Question) -> Tensor:
    """How fast the score changes with each input (Simonyan et al. 2014)."""
    from captum.attr import Saliency

    with differentiable(question):
        found: Tensor = Saliency(question.forward).attribute(_fresh(question.sample), abs=True)
    return found[0]


def _integrated_gradients(question: Question) -> Tensor:
    """Each input's part of the difference to the baseline (Sundararajan et al. 2017); the parts add up to it.

    A normalisation makes the score change almost at once where the way starts from a flat sample, so that a sum over
    few points misses it.
    """
    from captum.attr import IntegratedGradients

    found = torch.zeros_like(question.sample)
    for steps in STEPS:
        with differentiable(question):
            found = IntegratedGradients(question.forward).attribute(
                _fresh(question.sample),
                baselines=question.baseline,
                n_steps=steps,
                internal_batch_size=BATCH,
            )
        if adds_up(float(found.detach().sum()), question):
            break
    return found[0]


def adds_up(total: float, question: Question) -> bool:
    """Tell whether parts of the difference to the baseline are the whole of it, nearly."""
    difference = question.value - question.start
    return abs(total - difference) <= ADDS_UP * abs(difference)


def _occlusion(question: Question) -> Tensor:
    """How much the score falls when a part becomes the baseline's (Zeiler and Fergus 2014)."""
    from captum.attr import FeatureAblation

    if question.molecule is not None:
        return _atoms_gone(question, question.molecule)
    if question.fields is None:
        return _covered_squares(question)
    with torch.no_grad():
        found: Tensor = FeatureAblation(question.forward).attribute(
            question.sample,
            baselines=question.baseline,
            feature_mask=_parts(question).to(question.sample.device),
            perturbations_per_eval=BATCH,
        )
    return found[0]


def _atoms_gone(question: Question, molecule: Molecule) -> Tensor:
    """Take one atom of a molecule away after the other; what is left need not be a molecule."""
    with torch.no_grad():
        parts = without_each_atom(molecule, question.sample[0]).split(BATCH)
        return question.value - torch.cat([question.forward(part) for part in parts])


def _covered_squares(question: Question) -> Tensor:
    """Cover an image square by square, half over each other; a volume cube by cube beside each other, for the time."""
    from captum.attr import Occlusion

    channels, *sides = question.sample.shape[1:]
    window = [max(1, -(-side // SQUARES)) for side in sides]
    step = window if len(sides) > 2 else [max(1, side // 2) for side in window]
    with torch.no_grad():
        found: Tensor = Occlusion(question.forward).attribute(
            question.sample,
            baselines=question.baseline,
            sliding_window_shapes=(channels, *window),
            strides=(channels, *step),
            perturbations_per_eval=BATCH,
        )
    return found[0] / channels  # every channel holds the whole


def _parts(question: Question) -> Tensor:
    """Number the parts that are covered together, `[1, *shape]`: a field, over time a stretch of a field."""
    assert question.fields is not None
    owner = torch.from_numpy(question.fields.owners)
    if question.sample.ndim == 2:
        return owner[None]
    steps = question.sample.shape[1]
    block = torch.arange(steps) * min(BLOCKS, steps) // steps
    return (block[:, None] * len(question.fields.fields) + owner[None, :])[None]


def _fresh(sample: Tensor) -> Tensor:
    return sample.clone().requires_grad_()


UP_AND_DOWN = "Orange raises it, blue lowers it."
METHODS = {
    "saliency": Method(
        "Saliency", "How strongly it answers to a small change here.", False, _saliency
    ),
    "integrated-gradients": Method(
        "Integrated gradients",
        f"Each part's share in the difference between this case and the comparison. {UP_AND_DOWN}",
        True,
        _integrated_gradients,
    ),
    "grad-cam": Method(
        "Grad-CAM",
        "Where the last maps of the network raise it; coarse.",
        False,
        grad_cam,
        picky=True,
    ),
    "occlusion": Method(
        "Occlusion",
        f"How much it falls when this part becomes that of the comparison. {UP_AND_DOWN}",
        True,
        _occlusion,
    ),
    "attention": Method(
        "Attention",
        "Where the network gathered from, whatever it then answered; shown above the least.",
        False,
        attention,
        above_least=True,
        picky=True,
    ),
}
"""All methods by the name that the command line knows."""


def suited(question: Question) -> list[str]:
    """Return the methods that can explain a network; only those that may not are tried."""
    return [name for name, method in METHODS.items() if not method.picky or _works(name, question)]


def _works(name: str, question: Question) -> bool:
    try:
        explained(name, question)
    except Unsuited:
        return False
    return True


def require_methods(names: list[str]) -> list[str]:
    """Return the methods asked for, in order; all of them where none is.

    Raises:
        StudyError: one is unknown; the known ones are listed.
        MachineError: Captum is not installed.
    """
    for name in names:
        if name not in METHODS:
            raise StudyError(
                f"Unknown method '{name}'.",
                where="--method",
                fix=f"{plugins.nearest(name, METHODS)}Known: {', '.join(METHODS)}.",
            )
    try:
        import captum  # noqa: F401
    except ImportError:
        raise MachineError(
            "Explanations need the package Captum, which is not installed.",
            where="captum",
            fix="Install it: pip install 'consilium[explain]'.",
        ) from None
    return list(dict.fromkeys(names)) or list(METHODS)
