"""On the PYTHONPATH of a process under test: changes Consilium's modules there as an attacker would, once imported.

Nothing of the product looks for this file. Which role a process plays is decided by whose PYTHONPATH this folder is on.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

CHANGED = {
    "server.deployed": "hostile_coordinator",
    "client.service.desk": "hostile_hospital",
    "client.agent": "slow_hospital",
}
"""Whose `inject` is called with which module."""


class After:
    """Finds a module as usual, and has it changed after its import."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the usual specification, with a loader that calls `inject`."""
        if name not in CHANGED:
            return None
        attacker = CHANGED.pop(name)
        spec = importlib.util.find_spec(name)
        if spec is None or spec.loader is None:
            return None
        usual = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            usual(module)
            importlib.import_module(attacker).inject(module)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


sys.meta_path.insert(0, After())
