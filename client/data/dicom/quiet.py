"""Keeps pydicom and the decoders from writing header values, which may identify, to logs."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator

import pydicom.config

pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)
with contextlib.suppress(ImportError):
    import gdcm  # type: ignore[import-untyped]

    gdcm.Trace.WarningOff()
    gdcm.Trace.ErrorOff()
    gdcm.Trace.DebugOff()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence Python warnings while DICOM is read: they quote values."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
