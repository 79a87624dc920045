"""Takes images that arrive by C-STORE, after a C-GET or a C-MOVE, into the archive."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pydicom.uid import (
    JPEG2000,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)
from pynetdicom import sop_class
from pynetdicom.presentation import PresentationContext, build_context, build_role

from client.data.pacs.archive import Archive, Spoilt
from client.data.pacs.throttle import Throttle
from common.errors import ConsiliumError

STORED = 0x0000
NOT_WANTED = 0x0124  # refused: not authorised
CANNOT = 0xC000
NO_ROOM = 0xA700
_PLAIN = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
_COMPRESSED = (
    *(JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless, RLELossless),
    *(JPEGBaseline8Bit, JPEGExtended12Bit, JPEG2000),
)
CLASSES = [
    sop_class.CTImageStorage,  # type: ignore[attr-defined]
    sop_class.EnhancedCTImageStorage,  # type: ignore[attr-defined]
    sop_class.MRImageStorage,  # type: ignore[attr-defined]
    sop_class.EnhancedMRImageStorage,  # type: ignore[attr-defined]
    sop_class.ComputedRadiographyImageStorage,  # type: ignore[attr-defined]
    sop_class.DigitalXRayImageStorageForPresentation,  # type: ignore[attr-defined]
    sop_class.DigitalMammographyXRayImageStorageForPresentation,  # type: ignore[attr-defined]
    sop_class.UltrasoundImageStorage,  # type: ignore[attr-defined]
    sop_class.UltrasoundMultiFrameImageStorage,  # type: ignore[attr-defined]
    sop_class.NuclearMedicineImageStorage,  # type: ignore[attr-defined]
    sop_class.PositronEmissionTomographyImageStorage,  # type: ignore[attr-defined]
    sop_class.SecondaryCaptureImageStorage,  # type: ignore[attr-defined]
    sop_class.SegmentationStorage,  # type: ignore[attr-defined]
    sop_class.RTStructureSetStorage,  # type: ignore[attr-defined]
]


def offered_contexts() -> list[PresentationContext]:
    """Return what a C-GET offers to take: each compression on its own, so that the server need convert nothing."""
    plain = [build_context(each, list(_PLAIN)) for each in CLASSES]
    packed = [build_context(each, [syntax]) for each in CLASSES for syntax in _COMPRESSED]
    return plain + packed


def supported_contexts() -> list[PresentationContext]:
    """Return what is taken after a C-MOVE, where the server chooses."""
    return [build_context(each, [*_PLAIN, *_COMPRESSED]) for each in CLASSES]


def storage_roles() -> list[Any]:
    """Return the negotiation by which the server may store on the association that asked."""
    return [build_role(each, scp_role=True) for each in CLASSES]


class Receiver:
    """Writes what arrives, if it was asked for.

    Args:
        archive: takes the images.
        throttle: makes the sender wait.

    Attributes:
        failure: the disk is full or the like, while the last images arrived.
    """

    def __init__(self, archive: Archive, throttle: Throttle) -> None:
        self.failure: ConsiliumError | None = None
        self._archive = archive
        self._throttle = throttle
        self._series = ""
        self._wanted: frozenset[str] = frozenset()
        self._lock = threading.Lock()

    @contextmanager
    def expecting(self, series: str, instances: Sequence[str]) -> Iterator[None]:
        """Take these images of a series, and no others, inside the block.

        Raises:
            ConsiliumError: the archive could not take one.
        """
        with self._lock:
            self._series, self._wanted, self.failure = series, frozenset(instances), None
        try:
            yield
        finally:
            with self._lock:
                self._wanted = frozenset()
        if self.failure is not None:
            raise self.failure

    def store(self, event: Any) -> int:
        """Handle one C-STORE; returns its status."""
        instance = str(event.request.AffectedSOPInstanceUID)
        with self._lock:
            series, wanted = self._series, instance in self._wanted
        if not wanted or self.failure is not None:
            return NOT_WANTED
        content = event.encoded_dataset()
        self._throttle.passed(len(content))
        try:
            with self._archive.incoming(series, instance) as file:
                file.write(content)
        except Spoilt:
            return CANNOT
        except ConsiliumError as error:
            self.failure = error
            return NO_ROOM
        return STORED
