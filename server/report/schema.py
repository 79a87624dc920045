"""The records of a run folder, as pydantic models.

A key that is absent, null or NaN becomes None; "inf" becomes infinity; unknown keys are ignored, so
that an older report reads a newer run.
"""

from __future__ import annotations

import math
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict


def _drop_nan(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else value


def _scalars(value: Any) -> Any:
    """Keeps the numbers of a metrics table; nested tables and texts are not for curves."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        return value
    return {key: item for key, item in value.items() if _is_number(item)}


def _is_number(value: Any) -> bool:
    if isinstance(value, str):
        return value.lower().lstrip("+-") in {"inf", "infinity", "nan"}
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _table(value: Any) -> Any:
    return {} if value is None else value


Number = Annotated[float | None, AfterValidator(_drop_nan)]
Metrics = Annotated[dict[str, Number], BeforeValidator(_scalars)]
Counts = Annotated[dict[str, Number], BeforeValidator(_table)]
Reasons = Annotated[dict[str, str], BeforeValidator(_table)]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", coerce_numbers_to_str=True)


class Site(_Record):
    """What one hospital had, did and spent. `bytes_sent` in bytes; ε over the whole run."""

    patients: Number = None
    samples: Number = None
    quarantined: Number = None
    quarantine_reasons: Counts = {}
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


class Privacy(_Record):
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


class Roc(_Record):
    """One ROC curve: rates in [0, 1]."""

    fpr: list[Number] = []
    tpr: list[Number] = []
    auc: Number = None


class Horizons(_Record):
    """Forecast errors by horizon. `minutes` ahead; the errors in `unit`."""

    minutes: list[Number] = []
    rmse: list[Number] = []
    mae: list[Number] = []
    baseline_rmse: list[Number] = []
    unit: str = ""


class Curves(_Record):
    """What is drawn of the final model."""

    roc: dict[str, Roc] | None = None
    confusion: list[list[Number]] | None = None
    horizons: Horizons | None = None


class RunMetrics(_Record):
    """`metrics.json`. `seconds` in seconds; `started` and `finished` in ISO 8601."""

    study: str
    sites: dict[str, Site]
    title: str = ""
    fingerprint: str = ""
    task: str = "classification"
    classes: list[str] = []
    final: Metrics = {}
    non_private: Metrics = {}
    rounds: int | None = None
    seconds: Number = None
    device: str | None = None
    engine: str | None = None
    versions: dict[str, str | None] = {}
    seed: int | None = None
    parameters: Number = None
    algorithm: str | None = None
    privacy: Privacy = Privacy()
    curves: Curves = Curves()
    started: str | None = None
    finished: str | None = None
    simulation: bool = True


class RoundSite(_Record):
    """One hospital in one round; ε is cumulative."""

    epsilon: Number = None
    steps: Number = None
    bytes_sent: Number = None
    seconds: Number = None
    train_loss: Number = None


class Round(_Record):
    """One line of `rounds.jsonl`; the metrics are those of the model that entered the round."""

    round: int
    metrics: Metrics = {}
    sites: dict[str, RoundSite] = {}
    bytes_sent: Number = None
    seconds: Number = None
    failures: Reasons = {}
