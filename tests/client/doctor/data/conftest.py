"""A site with data."""

from __future__ import annotations

from pathlib import Path

import pytest
from doctor_house import House


@pytest.fixture
def house(tmp_path: Path) -> House:
    """An empty site."""
    return House(tmp_path)
