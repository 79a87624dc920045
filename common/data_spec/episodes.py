"""Decisions and what came of them, in a study's `[data]` section."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from common.data_spec.base import Scalar, Spec
from common.data_spec.quantities import check_names
from common.data_spec.tables import Feature


class EpisodeSpec(Spec):
    """Episodes of decisions: states of shape (D + 1, F), and for each decision its action and reward.

    One row of a site's table is one decision: the state before it, the action that was taken, the reward that
    followed. The next row of the episode holds the next state; after the last row the episode is over. Of a longer
    episode the first D decisions are kept, and the state after them, and it is not over there.

    Targets are [N, D, 4]: number of the action (-1: no decision any more), reward, 1 where the episode is over
    afterwards, and the probability with which the action was taken (0 where it was not logged).

    Attributes:
        features: the columns of a state, in order.
        action: column with the action that was taken.
        actions: name of each action → its values in that column.
        reward: column with the reward.
        reward_minimum: public lower end of a reward; what is below is cut.
        reward_maximum: public upper end of a reward.
        probability: column with the probability with which the action was taken; none: it was not logged.
        decisions: D, of an episode at most.
    """

    kind: Literal["episodes"]
    features: tuple[Feature, ...] = Field(min_length=1)
    action: str = Field(default="action", min_length=1)
    actions: dict[str, tuple[Scalar, ...]] = Field(min_length=2, max_length=64)
    reward: str = Field(default="reward", min_length=1)
    reward_minimum: float
    reward_maximum: float
    probability: str | None = None
    decisions: int = Field(ge=1, le=1000)

    @model_validator(mode="after")
    def _consistent(self) -> EpisodeSpec:
        """Refuse repeated columns, values of two actions, and an empty range of rewards."""
        check_names("column", [feature.name for feature in self.features] + list(self.columns))
        values = [str(value) for group in self.actions.values() for value in group]
        if len(set(values)) != len(values):
            raise ValueError("a value belongs to two actions")
        if self.reward_minimum >= self.reward_maximum:
            raise ValueError("reward_minimum must be less than reward_maximum")
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """The study's names of the columns that are no part of the state."""
        own = (self.action, self.reward)
        return own if self.probability is None else (*own, self.probability)

    @property
    def target_kind(self) -> str:
        """What an episode's target is."""
        return "decisions"

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one sample: (D + 1, F)."""
        return (self.decisions + 1, sum(feature.width for feature in self.features))
