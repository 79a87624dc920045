"""Which decoders are installed: with another one, images can be read that were left out before."""

from __future__ import annotations

from importlib.util import find_spec

from client.data.dicom import dcmtk

MODULES = ("gdcm", "jpeg_ls", "openjpeg", "PIL")


def installed() -> str:
    """Return the names of the decoders that are there, for the key of prepared data."""
    found = [module for module in MODULES if find_spec(module) is not None]
    return " ".join([*found, *([dcmtk.TOOL] if dcmtk.installed() else [])])
