"""The study: a federated training job, written in one TOML file that every party reads.

A study carries no code. Its fingerprint, the sha256 of its canonical JSON, is what sites approve and what every
message names. Units stand in the names (`_minutes`, `_mm`, `_px`) or in the description of the field.
"""

from __future__ import annotations

import hashlib
import json
import re
from fractions import Fraction
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from common.augmentations.base import Augmentation
from common.data_spec import DataSpec
from common.later import LATER, drop_later_defaults
from common.subgroups import Subgroup
from common.transfer.section import Transfer

NAME = r"^[a-z0-9][a-z0-9-]{0,63}$"
RATE = re.compile(r"[0-9]{1,12}/[0-9]{1,12}|[0-9]{0,12}\.?[0-9]{1,12}", re.ASCII)
"""Fractions that a ledger can keep exactly; exponents could ask for numbers of any length."""


class Section(BaseModel):
    """A table of the study file: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Header(Section):
    """`[study]`: what the study is called and the seed of its public randomness (the initial weights)."""

    name: str = Field(pattern=NAME, description="lower-case letters, digits and dashes")
    title: str = ""
    description: str = ""
    seed: int = Field(
        default=7, ge=0, lt=2**63, description="of the initial weights; never of noise or sampling"
    )


class Choice(BaseModel):
    """A plug-in chosen by `name`; every other key of the table is one of its options."""

    model_config = ConfigDict(frozen=True, extra="allow")

    name: str

    @property
    def options(self) -> dict[str, Any]:
        """The options as the study gives them."""
        return dict(self.model_extra or {})


class Schedule(Section):
    """What both ways of training, private and not, have in common."""

    learning_rate: float = Field(gt=0)
    local_steps: int | None = Field(
        default=None, ge=1, le=1_000_000, description="optimiser steps a round"
    )
    local_epochs: float | None = Field(
        default=None, gt=0, le=100_000, description="passes over the cohort a round"
    )


class WithoutPrivacy(Section):
    """`[training.without_privacy]`: what changes when the study runs without noise, for comparison."""

    optimizer: Literal["sgd", "adam", "adamw"] | None = None
    learning_rate: float | None = Field(default=None, gt=0)
    momentum: float | None = Field(default=None, ge=0, lt=1)
    local_steps: int | None = Field(default=None, ge=1)
    local_epochs: float | None = Field(default=None, gt=0)
    batch_size: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _one_length(self) -> WithoutPrivacy:
        if self.local_steps is not None and self.local_epochs is not None:
            raise ValueError("give at most one of local_steps and local_epochs")
        return self


class RateSchedule(Section):
    """`[training.schedule]`: how the learning rate changes from round to round, the same at every site."""

    name: Literal["cosine", "linear", "step", "constant"] = "cosine"
    warmup_rounds: int = Field(default=0, ge=0, description="the rate rises to its full value")
    final_share: float = Field(
        default=0.0, ge=0, le=1, description="of the rate, in the last round; cosine and linear"
    )
    every: int = Field(default=10, ge=1, description="rounds between steps")
    factor: float = Field(default=0.5, gt=0, le=1, description="by which a step lowers the rate")


class Training(Schedule):
    """`[training]`: the local optimiser."""

    optimizer: Literal["sgd", "adam", "adamw"] = Field(
        default="sgd", description="adamw is adam: its weight decay is decoupled in any case"
    )
    schedule: RateSchedule | None = Field(default=None, json_schema_extra=LATER)
    ema: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="send an exponential moving average of a round's weights; the share kept a step",
        json_schema_extra=LATER,
    )
    momentum: float = Field(default=0.0, ge=0, lt=1, description="of sgd")
    weight_decay: float = Field(default=0.0, ge=0, description="decoupled, applied after the noise")
    batch_size: int = Field(default=32, ge=1, description="samples a step, without privacy only")
    physical_batch: int | None = Field(
        default=None,
        ge=1,
        description="samples held in memory at once; default: what the memory allows",
    )
    augment: tuple[Augmentation, ...] = Field(
        default=(), max_length=16, description="random changes of training samples, in order"
    )
    views: int = Field(
        default=1, ge=1, le=64, description="augmented views of a sample, averaged inside its unit"
    )
    precision: Literal["full", "mixed"] = Field(
        default="full", description="mixed: bfloat16 where the device gains from it"
    )
    without_privacy: WithoutPrivacy = WithoutPrivacy()

    @model_validator(mode="after")
    def _different_views(self) -> Training:
        if self.views > 1 and not self.augment:
            raise ValueError("views above 1 need augment: views that are all alike teach nothing")
        return self

    @model_validator(mode="after")
    def _one_length(self) -> Training:
        if (self.local_steps is None) == (self.local_epochs is None):
            raise ValueError("give exactly one of local_steps and local_epochs")
        return self


class Privacy(Section):
    """`[privacy]`: the promise made to every patient, and the mechanism that keeps it."""

    enabled: bool = True
    unit: Literal["patient", "sample"] = "patient"
    epsilon: float | None = Field(
        default=None, gt=0, description="target over all rounds, add/remove adjacency"
    )
    noise_multiplier: float | None = Field(default=None, gt=0, description="σ; instead of epsilon")
    delta: float = Field(default=1e-5, gt=0, lt=1)
    clip_norm: float = Field(
        default=1.0, gt=0, description="C, the L2 bound of one unit's gradient"
    )
    sampling_rate: str | None = Field(
        default=None, description="q of Poisson sampling, e.g. '1/20'"
    )
    units_per_step: int | None = Field(
        default=None, ge=1, description="expected; q follows from the declared cohort"
    )
    samples_per_patient: int = Field(
        default=8,
        ge=1,
        description="K: at most so many of a patient in a step; with unit sample, how many a patient has (public)",
    )
    clipping: Literal["flat", "per-layer", "automatic"] = Field(
        default="flat", description="of one unit's gradient; never past clip_norm in all"
    )
    engine: Literal["auto", "bookkeeping", "hooks"] = "auto"

    @field_validator("sampling_rate", mode="before")
    @classmethod
    def _quoted(cls, value: Any) -> Any:
        if isinstance(value, int | float):
            raise ValueError(
                f"expected a fraction in quotes, such as '1/20', got the number {value}"
            )
        return value

    @field_validator("sampling_rate")
    @classmethod
    def _rational(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            rate = Fraction(value) if RATE.fullmatch(value) else None
        except ZeroDivisionError:
            rate = None
        if rate is None:
            raise ValueError(f"expected a fraction such as '1/20', got '{value}'")
        if not 0 < rate <= 1:
            raise ValueError(f"expected 0 < q <= 1, got {value}")
        return str(rate)

    @model_validator(mode="after")
    def _complete(self) -> Privacy:
        if not self.enabled:
            return self
        if (self.epsilon is None) == (self.noise_multiplier is None):
            raise ValueError("give exactly one of epsilon and noise_multiplier")
        if (self.sampling_rate is None) == (self.units_per_step is None):
            raise ValueError("give exactly one of sampling_rate and units_per_step")
        return self


class Federation(Section):
    """`[federation]`: rounds, sites and how their weights are combined."""

    rounds: int = Field(ge=1, le=100_000)
    algorithm: Choice = Choice(name="fedavg")
    min_sites: int = Field(default=2, ge=1, description="a round with fewer replies fails")
    min_patient_share: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="of the declared patients; a round that loses more of them fails",
    )
    sites_per_round: float = Field(
        default=1.0, gt=0, le=1, description="share of the sites asked each round"
    )
    deadline_seconds: float = Field(default=3600.0, gt=0, description="for one round")
    stop_after: int | None = Field(
        default=None,
        ge=1,
        description="end the run after so many evaluations without a better headline figure",
        json_schema_extra=LATER,
    )
    wire: Literal["float32", "bfloat16"] = Field(
        default="float32",
        description="type of the weights that sites send; bfloat16 halves what they upload",
        json_schema_extra=LATER,
    )

    @field_validator("algorithm", mode="before")
    @classmethod
    def _by_name(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value


class Evaluation(Section):
    """`[evaluation]`: the statistics of the global model on held-out patients."""

    per: Literal["patient", "sample"] = "patient"
    every: int = Field(
        default=1, ge=1, description="rounds between evaluations; the last model always is"
    )
    score_bins: int = Field(
        default=200, ge=2, description="of the score histograms that give the AUC"
    )
    epsilon: float | None = Field(
        default=None,
        gt=0,
        description="for held-out patients, over all evaluations; default privacy.epsilon",
    )
    compare_non_private: bool = Field(
        default=False, description="run the same study without privacy as well"
    )
    subgroups: tuple[Subgroup, ...] = Field(
        default=(),
        max_length=8,
        description='whose figures are also given by group: "sex", "age", or groups of a column',
        json_schema_extra=LATER,
    )
    subgroup_bins: int = Field(
        default=20,
        ge=2,
        description="of the score histograms of each subgroup: fewer, so that noise hides less",
        json_schema_extra=LATER,
    )
    smallest_group: int = Field(
        default=10,
        ge=2,
        description="subgroups of fewer patients are not shown, nor what would give them away",
        json_schema_extra=LATER,
    )

    @model_validator(mode="after")
    def _different_subgroups(self) -> Evaluation:
        if len({subgroup.name for subgroup in self.subgroups}) != len(self.subgroups):
            raise ValueError("two subgroups have the same name")
        return self


class Study(Section):
    """A whole study file."""

    study: Header
    task: Choice
    model: Choice
    data: Annotated[DataSpec, Field(discriminator="kind")]
    training: Training
    privacy: Privacy
    federation: Federation
    evaluation: Evaluation = Evaluation()
    transfer: Transfer | None = Field(default=None, json_schema_extra=LATER)

    @model_validator(mode="after")
    def _fitting_augmentations(self) -> Study:
        for each in self.training.augment:
            each.require(self.data.kind, self.data.target_kind)
        return self

    @property
    def name(self) -> str:
        """The study's short name."""
        return self.study.name

    def canonical(self) -> str:
        """Return the canonical JSON: sorted keys, no spaces, every default written out but those of later fields."""
        return json.dumps(self.content(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    def content(self) -> dict[str, Any]:
        """Return the study as nested tables; fields that came later are left out at their default."""
        content: dict[str, Any] = self.model_dump(mode="json")
        drop_later_defaults(self, content)
        return content

    @property
    def fingerprint(self) -> str:
        """The sha256 of the canonical JSON, in hex."""
        return hashlib.sha256(self.canonical().encode()).hexdigest()

    def without_privacy(self) -> Study:
        """Return the same study with neither clipping nor noise, with its `[training.without_privacy]` applied."""
        changes = self.training.without_privacy.model_dump(exclude_none=True)
        if "local_steps" in changes:
            changes.setdefault("local_epochs", None)
        if "local_epochs" in changes:
            changes.setdefault("local_steps", None)
        training = self.training.model_copy(update={**changes, "without_privacy": WithoutPrivacy()})
        privacy = self.privacy.model_copy(update={"enabled": False})
        evaluation = self.evaluation.model_copy(update={"compare_non_private": False})
        return self.model_copy(
            update={"training": training, "privacy": privacy, "evaluation": evaluation}
        )
