"""Makes figures fit for JSON, which knows neither infinity nor not-a-number."""

from __future__ import annotations

import math
from typing import Any


def jsonable(content: Any) -> Any:
    """Return the content with NaN as null and infinities as the strings "inf" and "-inf"."""
    if isinstance(content, float):
        if math.isnan(content):
            return None
        return content if math.isfinite(content) else ("inf" if content > 0 else "-inf")
    if isinstance(content, dict):
        return {str(key): jsonable(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [jsonable(value) for value in content]
    return content
