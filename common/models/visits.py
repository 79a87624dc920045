"""An LSTM over the visits of a patient that weighs every visit, not the last alone."""

from __future__ import annotations

import torch
from torch import nn

from common.models.base import ModelOptions, Width, require_rank


class VisitsOptions(ModelOptions):
    """Options of `visits-lstm`.

    Attributes:
        width: of a visit's embedding.
        hidden_size: width of the recurrent state.
    """

    width: Width = 16
    hidden_size: Width = 16


class VisitNetwork(nn.Module):
    """`[B, V, F]` to `[B, outputs]`: embed each visit, run an LSTM over them, and read out the states.

    What is read is the last state, and beside it the mean over all states, weighted by a softmax of learned scores
    (after Choi et al. 2016, "RETAIN"; one pass in the order of time instead of two against it).
    """

    def __init__(self, features: int, options: VisitsOptions, outputs: int) -> None:
        super().__init__()
        self.embed = nn.Linear(features, options.width)
        self.encoder = nn.LSTM(options.width, options.hidden_size, batch_first=True)
        self.score = nn.Linear(options.hidden_size, 1)
        self.head = nn.Linear(2 * options.hidden_size, outputs)

    def forward(self, visits: torch.Tensor) -> torch.Tensor:
        """Return `[B, outputs]` for visits `[B, V, F]` in the order of time."""
        states, _ = self.encoder(torch.tanh(self.embed(visits)))
        gathered = (self.shares(states) * states).sum(dim=1)
        outputs: torch.Tensor = self.head(torch.cat([states[:, -1], gathered], dim=1))
        return outputs

    def shares(self, states: torch.Tensor) -> torch.Tensor:
        """Return how much each visit weighs, `[B, V, 1]`, for states `[B, V, hidden_size]`."""
        scores: torch.Tensor = self.score(states)
        return scores.softmax(dim=1)


class VisitsLSTM:
    """Long short-term memory over visits with attention over them."""

    Options = VisitsOptions

    @staticmethod
    def build(options: VisitsOptions, shape: tuple[int, ...], outputs: int) -> nn.Module:
        """Return the network for samples `(V, F)`."""
        require_rank("visits-lstm", shape, 2, "series")
        return VisitNetwork(shape[1], options, outputs)
