"""Options of the task `policy`, and the public ends of what an episode can be worth."""

from __future__ import annotations

from pydantic import Field

from common.data_spec import EpisodeSpec
from common.errors import StudyError
from common.plugins import Options


class PolicyOptions(Options):
    """Options of the task.

    Attributes:
        discount: of what comes a decision later.
        conservatism: weight of the penalty on values of actions that were not taken; 0: plain fitted Q.
        temperature: of the policy, in units of reward: an action is taken with a probability proportional to
            exp(value / temperature). The smaller, the closer to always taking the best.
        value_minimum: public lower end of what an episode can be worth; none: the least that its rewards can sum to.
        value_maximum: public upper end.
        weight_limit: at which an episode's importance weight is cut.
    """

    discount: float = Field(default=0.99, gt=0, le=1)
    conservatism: float = Field(default=0.1, ge=0, le=100)
    temperature: float = Field(default=0.1, gt=0)
    value_minimum: float | None = None
    value_maximum: float | None = None
    weight_limit: float = Field(default=20.0, ge=1)


def ends_of_worth(options: PolicyOptions, data: EpisodeSpec) -> tuple[float, float]:
    """Return the public ends of what an episode can be worth.

    Raises:
        StudyError: the lower end is not below the upper one.
    """
    most = sum(options.discount**step for step in range(data.decisions))
    low = most * min(0.0, data.reward_minimum)
    high = most * max(0.0, data.reward_maximum)
    low = low if options.value_minimum is None else options.value_minimum
    high = high if options.value_maximum is None else options.value_maximum
    if low >= high:
        raise StudyError(
            f"The values of an episode range from {low:g} to {high:g}.",
            where="[task] value_minimum and value_maximum",
            fix="Give a range that is not empty.",
        )
    return low, high
