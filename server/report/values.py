"""The values of a run's records: what is absent, null or NaN is None, and "inf" is infinity."""

from __future__ import annotations

import math
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict


def drop_nan(value: float | None) -> float | None:
    """Return the value, or nothing for NaN."""
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


def numbers(values: list[Any]) -> list[float | None]:
    """Keeps numbers; whatever else stands there is missing."""
    return [drop_nan(float(v)) if isinstance(v, int | float) else None for v in values]


def _table(value: Any) -> Any:
    return {} if value is None else value


Number = Annotated[float | None, AfterValidator(drop_nan)]
Metrics = Annotated[dict[str, Number], BeforeValidator(_scalars)]
Counts = Annotated[dict[str, Number], BeforeValidator(_table)]
Reasons = Annotated[dict[str, str], BeforeValidator(_table)]


class Record(BaseModel):
    """A record of a run; unknown keys are ignored, so that an older report reads a newer run."""

    model_config = ConfigDict(frozen=True, extra="ignore", coerce_numbers_to_str=True)
