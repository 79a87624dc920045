"""The environment of Flower's own processes: nothing phones home, nothing is installed at run time."""

from __future__ import annotations

import os
from pathlib import Path

FLOWER_VERSION = "1.41.0"
"""The version whose internals the adapters were written against; contract tests name what another one broke."""


def flower_environment(home: Path, **more: str) -> dict[str, str]:
    """Return the environment for a Flower process.

    Args:
        home: its FLWR_HOME, where it may keep settings and unpacked bundles.
        more: further variables.
    """
    return {
        **os.environ,
        "FLWR_HOME": str(home),
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
        "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
        **more,
    }
