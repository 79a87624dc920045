"""Convolutions that find waves, and an LSTM that follows their rhythm.

In the manner of Oh et al. (2018, "Automated diagnosis of arrhythmia using combination of CNN and LSTM techniques with
variable length heart beats").
"""

from __future__ import annotations

from torch import Tensor, nn

from common.models.base import Width
from common.models.cnn1d import SignalOptions, convolutions
from common.models.series import SeriesNetwork


class CNNLSTMOptions(SignalOptions):
    """Options of `cnn-lstm`, beside those of its convolutions (`SignalOptions`).

    Attributes:
        hidden_size: width of the LSTM's state.
        pool: steps that become one after each convolution; the LSTM runs over what is left.
    """

    channels: tuple[Width, ...] = (16, 32)
    pool: int = 4
    hidden_size: Width = 32


class RhythmEncoder(nn.Module):
    """Maps of a signal, read in order of time: `[B, T, leads]` to `[B, hidden_size]`."""

    def __init__(self, maps: nn.Module, channels: int, hidden_size: int) -> None:
        super().__init__()
        self.maps = maps
        self.rhythm = nn.LSTM(channels, hidden_size, batch_first=True)

    def forward(self, signals: Tensor) -> Tensor:
        """Return the mean of the LSTM's states, which a rhythm reaches early and keeps."""
        maps = self.maps(signals.transpose(1, 2))
        states, _ = self.rhythm(maps.transpose(1, 2))
        mean: Tensor = states.mean(1)
        return mean


class CNNLSTM:
    """Convolutions over time, an LSTM over their maps, one linear layer."""

    Options = CNNLSTMOptions

    @staticmethod
    def build(options: CNNLSTMOptions, shape: tuple[int, ...], outputs: int) -> nn.Module:
        """Return the network for signals `(T, leads)`; see `convolutions` for what it refuses."""
        maps = convolutions("cnn-lstm", options, shape)
        encoder = RhythmEncoder(maps, options.channels[-1], options.hidden_size)
        return SeriesNetwork(encoder, options.hidden_size, outputs, options.residual)
