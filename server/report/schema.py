"""The records of a run folder, as pydantic models.

A key that is absent, null or NaN becomes None; "inf" becomes infinity; unknown keys are ignored, so
that an older report reads a newer run.
"""

from __future__ import annotations

from pydantic import Field

from server.report.curves import Curves
from server.report.values import Counts, Metrics, Number, Reasons, Record


class Site(Record):
    """What one hospital had, did and spent. `bytes_sent` in bytes; ε over the whole run."""

    patients: Number = None
    samples: Number = None
    quarantined: Number = None
    quarantine_reasons: Counts = Field(default_factory=dict)
    train_patients: Number = None
    test_patients: Number = None
    declared_patients: Number = None
    steps: Number = None
    sigma: Number = None
    epsilon: Number = None
    delta: Number = None
    bytes_sent: Number = None
    auc: Number = None
    accuracy: Number = None
    rmse: Number = None


class Privacy(Record):
    """The study's privacy settings, as far as the report tells them."""

    enabled: bool = False
    unit: str = "patient"
    adjacency: str = "add/remove"
    sampler: str = "Poisson"
    epsilon_target: Number = None
    delta: Number = None
    clip_norm: Number = None
    sampling_rate: str | None = None
    randomness: str = "system"
    statistics: str | None = None


class RunMetrics(Record):
    """`metrics.json`. `seconds` in seconds; `started` and `finished` in ISO 8601.

    `generated`: whether all hospitals of a simulation were generated; older runs do not say.
    """

    study: str
    sites: dict[str, Site]
    title: str = ""
    fingerprint: str = ""
    task: str = "classification"
    headline: str = ""
    unit: str = ""
    classes: list[str] = Field(default_factory=list)
    final: Metrics = Field(default_factory=dict)
    non_private: Metrics = Field(default_factory=dict)
    rounds: int | None = None
    seconds: Number = None
    device: str | None = None
    engine: str | None = None
    versions: dict[str, str | None] = Field(default_factory=dict)
    seed: int | None = None
    parameters: Number = None
    frozen: Number = None
    algorithm: str | None = None
    privacy: Privacy = Privacy()
    curves: Curves = Curves()
    started: str | None = None
    finished: str | None = None
    simulation: bool = True
    generated: bool | None = None


class RoundSite(Record):
    """One hospital in one round; ε is cumulative."""

    epsilon: Number = None
    steps: Number = None
    bytes_sent: Number = None
    seconds: Number = None
    train_loss: Number = None


class Round(Record):
    """One line of `rounds.jsonl`; the metrics are those of the model that entered the round."""

    round: int
    metrics: Metrics = Field(default_factory=dict)
    sites: dict[str, RoundSite] = Field(default_factory=dict)
    bytes_sent: Number = None
    seconds: Number = None
    failures: Reasons = Field(default_factory=dict)
