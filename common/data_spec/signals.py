"""Waveforms in a study's `[data]` section."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from common.data_spec.base import Spec
from common.data_spec.quantities import Quantity, check_names, whole


class SignalSpec(Spec):
    """Windows of waveforms such as ECG or EEG, shape (T, channels); the task's classes are the labels.

    Every recording is resampled to one rate. A window lies inside one recording and, where labels hold for parts of
    a recording, inside one part.

    Attributes:
        channels: what is read, in order.
        sampling_hz: samples a second after resampling.
        window_seconds: length of a window; T = window_seconds × sampling_hz.
        stride_seconds: distance between the starts of two windows; none: they follow each other.
        max_gap_seconds: lost samples are bridged by a straight line up to this; longer gaps end a window.
    """

    kind: Literal["signals"]
    channels: tuple[Quantity, ...] = Field(min_length=1)
    sampling_hz: float = Field(gt=0.0, le=100_000.0)
    window_seconds: float = Field(gt=0.0)
    stride_seconds: float | None = Field(default=None, gt=0.0)
    max_gap_seconds: float = Field(default=0.0, ge=0.0)

    @model_validator(mode="after")
    def _on_grid(self) -> SignalSpec:
        """Refuse repeated channels and durations off the grid."""
        check_names("channel", [channel.name for channel in self.channels])
        whole("window_seconds × sampling_hz", self.window_seconds * self.sampling_hz)
        if self.stride_seconds is not None:
            whole("stride_seconds × sampling_hz", self.stride_seconds * self.sampling_hz, 10**9)
        return self

    @property
    def stride(self) -> int:
        """Samples between the starts of two windows."""
        return round((self.stride_seconds or self.window_seconds) * self.sampling_hz)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one sample: (T, channels)."""
        return (round(self.window_seconds * self.sampling_hz), len(self.channels))
