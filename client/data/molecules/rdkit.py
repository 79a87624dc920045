"""Whether RDKit, which reads molecules, is here; it is an extra."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from common.errors import MachineError

PACKAGE = "rdkit"


def installed() -> str:
    """Return the version, since another one may draw molecules otherwise; empty: it is not installed."""
    try:
        return f"{PACKAGE} {version(PACKAGE)}"
    except PackageNotFoundError:
        return ""


def require() -> None:
    """Refuse to go on without it.

    Raises:
        MachineError: it is not installed.
    """
    if find_spec(PACKAGE) is None:
        raise MachineError(
            f"Reading molecules needs the package '{PACKAGE}'.",
            fix="Install consilium[molecules].",
        )
