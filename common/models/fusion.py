"""Networks for fused data: one network a part, joined late or in the middle; a missing part counts for nothing.

Late fusion weighs the answers of the parts that are there; intermediate fusion lets one head see the features of all
(Huang et al. 2020, "Fusion of medical imaging and electronic health records using deep learning: a systematic review").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from common import plugins
from common.data_spec import FusedSpec, Spec
from common.data_spec.fused import Place
from common.errors import StudyError
from common.models.base import ModelOptions, Width


class PartModel(BaseModel):
    """The network of one part: `name`, and that family's own options.

    Attributes:
        name: of a model family.
        weight: of its answer in late fusion; public.
    """

    model_config = ConfigDict(frozen=True, extra="allow", allow_inf_nan=False)

    name: str
    weight: float = Field(default=1.0, gt=0.0, le=1e6)


class FusionOptions(ModelOptions):
    """Options of `fusion`.

    Attributes:
        parts: the network of every part of the data.
        join: "intermediate": features are joined and one head answers; "late": the mean of the parts' answers.
        width: features of a part, in intermediate fusion.
        hidden: widths of the head's hidden layers, in intermediate fusion.
    """

    parts: dict[str, PartModel] = Field(min_length=1)
    join: Literal["intermediate", "late"] = "intermediate"
    width: Width = 8
    hidden: tuple[Width, ...] = ()

    @model_validator(mode="after")
    def _used(self) -> FusionOptions:
        """Refuse what the other way of joining takes: it would do nothing here."""
        if self.join == "late" and self.hidden:
            raise ValueError("hidden is of join = 'intermediate': late fusion has no head")
        if self.join == "intermediate" and any(part.weight != 1 for part in self.parts.values()):
            raise ValueError("a part's weight is of join = 'late'")
        return self


class Parts(nn.Module):
    """Takes samples `[B, W]` apart and asks each part's network; what a missing part says is set to 0."""

    def __init__(self, layout: Sequence[Place], networks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.layout = tuple(layout)
        self.networks = nn.ModuleList(networks)

    def forward(self, samples: Tensor) -> tuple[Tensor, Tensor]:
        """Return the answers `[B, parts, width]` and which parts are there, `[B, parts]` of 0 and 1."""
        answers = [
            network(samples[:, place.start : place.end].reshape(-1, *place.shape))
            for place, network in zip(self.layout, self.networks, strict=True)
        ]
        there = samples[:, : len(self.layout)]
        return torch.stack(answers, 1) * there.unsqueeze(2), there


class LateFusion(nn.Module):
    """The weighted mean of the outputs of the parts that are there: `[B, W]` to `[B, outputs]`."""

    weights: Tensor

    def __init__(self, parts: Parts, weights: Sequence[float]) -> None:
        super().__init__()
        self.parts = parts
        # Not persistent: the weights stand in the study, so they are not part of what sites exchange.
        self.register_buffer("weights", torch.tensor(weights), persistent=False)

    def forward(self, samples: Tensor) -> Tensor:
        """Return the outputs; 0 of a sample that has no part."""
        answers, there = self.parts(samples)
        weights = there * self.weights
        total: Tensor = (answers * weights.unsqueeze(2)).sum(1)
        share: Tensor = weights.sum(1, keepdim=True).clamp(min=torch.finfo(total.dtype).tiny)
        return total / share


class IntermediateFusion(nn.Module):
    """Bounded features of the parts and their flags, and one head for all of them: `[B, W]` to `[B, outputs]`."""

    def __init__(self, parts: Parts, head: nn.Module) -> None:
        super().__init__()
        self.parts = parts
        self.head = head

    def forward(self, samples: Tensor) -> Tensor:
        """Return the outputs."""
        features, there = self.parts(samples)
        joined = torch.cat([features.tanh().flatten(1), there], 1)
        outputs: Tensor = self.head(joined)
        return outputs


class Fusion:
    """A network a part, joined."""

    Options = FusionOptions

    @staticmethod
    def build_for(options: FusionOptions, data: Spec, outputs: int) -> nn.Module:
        """Return the network for fused data.

        Raises:
            StudyError: the data are not fused, a part has no network or one that does not fit it.
        """
        if not isinstance(data, FusedSpec):
            raise StudyError(
                "Model 'fusion' takes fused data.",
                where="[model] name",
                fix="Use [data] kind = 'fused', or a model made for this kind of data.",
            )
        layout = data.layout
        _require_all(options.parts, [place.name for place in layout])
        late = options.join == "late"
        answers = outputs if late else options.width
        chosen = [options.parts[place.name] for place in layout]
        networks = [
            _network(part, place.name, data.parts[place.name], answers)
            for part, place in zip(chosen, layout, strict=True)
        ]
        parts = Parts(layout, networks)
        if late:
            return LateFusion(parts, [part.weight for part in chosen])
        return IntermediateFusion(parts, _head(options, len(layout), outputs))


def _network(part: PartModel, name: str, data: Spec, outputs: int) -> nn.Module:
    """Return the network of one part."""
    where = f"[model.parts.{name}]"
    try:
        family = plugins.load("models", part.name)
        if not hasattr(family, "build") and not getattr(family, "of_parts", False):
            raise StudyError(f"Model '{part.name}' is not for one part.")
        options: Any = plugins.parse_options(family.Options, dict(part.model_extra or {}), where="")
        if hasattr(family, "build"):
            network: nn.Module = family.build(options, tuple(data.model_shape), outputs)
        else:
            network = family.build_for(options, data, outputs)
    except StudyError as error:
        raise StudyError(error.what, where=where, fix=error.fix) from None
    return network


def _head(options: FusionOptions, parts: int, outputs: int) -> nn.Module:
    layers: list[nn.Module] = []
    features = parts * (options.width + 1)
    for width in options.hidden:
        layers += [nn.Linear(features, width), nn.Tanh()]
        features = width
    return nn.Sequential(*layers, nn.Linear(features, outputs))


def _require_all(given: Mapping[str, PartModel], wanted: Sequence[str]) -> None:
    for name in given:
        if name not in wanted:
            raise StudyError(
                f"The data have no part '{name}'.",
                where="[model.parts]",
                fix=f"{plugins.nearest(name, wanted)}They have: {', '.join(wanted)}.",
            )
    for name in wanted:
        if name not in given:
            raise StudyError(
                f"The part '{name}' of the data has no network.",
                where="[model.parts]",
                fix=f'Add [model.parts.{name}] with name = "…".',
            )
