"""A PACS through DIMSE: C-FIND to search, C-GET or C-MOVE to retrieve."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom import evt, sop_class
from pynetdicom.presentation import build_context

from client.data.pacs.archive import Archive
from client.data.pacs.association import (
    PROMPT,
    application_entity,
    associate,
    listening_context,
    unsupported,
)
from client.data.pacs.config import DimseServer
from client.data.pacs.credentials import Credentials
from client.data.pacs.receive import (
    Receiver,
    offered_contexts,
    storage_roles,
    supported_contexts,
)
from client.data.pacs.server import Keys, Lost, Series
from client.data.pacs.throttle import Throttle
from common.errors import MachineError, StudyError

FIND = sop_class.StudyRootQueryRetrieveInformationModelFind  # type: ignore[attr-defined]
GET = sop_class.StudyRootQueryRetrieveInformationModelGet  # type: ignore[attr-defined]
MOVE = sop_class.StudyRootQueryRetrieveInformationModelMove  # type: ignore[attr-defined]
_PENDING = (0xFF00, 0xFF01)
_NOT_AUTHORISED = 0x0124
_UNKNOWN_DESTINATION = 0xA801
_CANNOT_PROCESS = 0xC


class DimsePacs:
    """Speaks DIMSE; see `Pacs`.

    Args:
        server: its address and titles.
        credentials: offered as user identity, where there are some.
        archive: takes what is retrieved.
        throttle: counts every byte of an image.

    Raises:
        MachineError: after a C-MOVE images arrive at a port of this machine, and it is taken.
    """

    def __init__(
        self,
        server: DimseServer,
        credentials: Credentials | None,
        archive: Archive,
        throttle: Throttle,
    ) -> None:
        self._server = server
        self._credentials = credentials
        self._where = f"{server.host}:{server.port}"
        self._receiver = Receiver(archive, throttle)
        self._entity = application_entity(server)
        self._finder: Any = None
        self._listener = self._listen() if server.retrieve == "move" else None

    def studies(self, keys: Keys) -> Iterator[str]:
        """Yield the UIDs of the studies that match."""
        asked = {"StudyInstanceUID": "", "PatientID": "", **keys}
        for found in self._find("STUDY", asked):
            wanted = keys.get("PatientID")
            if wanted is None or str(found.get("PatientID", "")).strip() == wanted:
                yield str(found.StudyInstanceUID)

    def series(self, study: str, keys: Keys) -> Iterator[Series]:
        """Yield the matching series of a study."""
        asked = {"SeriesInstanceUID": "", "Modality": "", **keys, "StudyInstanceUID": study}
        for found in self._find("SERIES", asked):
            yield Series(study, str(found.SeriesInstanceUID), str(found.get("Modality", "")))

    def instances(self, series: Series) -> list[str]:
        """Return the UIDs of all images of a series."""
        place = {"StudyInstanceUID": series.study, "SeriesInstanceUID": series.uid}
        return [str(x.SOPInstanceUID) for x in self._find("IMAGE", {"SOPInstanceUID": "", **place})]

    def retrieve(self, series: Series, wanted: Sequence[str], whole: bool) -> None:
        """Take images into the archive: the series at once, or image by image where some are there."""
        query = _identifier("SERIES" if whole else "IMAGE", _place(series))
        with self._receiver.expecting(series.uid, wanted):
            if self._listener is not None:
                self._retrieve(query, [] if whole else wanted, self._move)
            else:
                self._retrieve(query, [] if whole else wanted, self._get)

    def close(self) -> None:
        """End the connection."""
        if self._finder is not None and self._finder.is_established:
            self._finder.release()
        if self._listener is not None:
            self._listener.shutdown()

    def _find(self, level: str, keys: Keys) -> list[Dataset]:
        association = self._finding()
        found = []
        for status, identifier in association.send_c_find(_identifier(level, keys), FIND):
            self._check(status, "queries")
            if int(status.Status) in _PENDING and identifier is not None:
                found.append(identifier)
        return found

    def _finding(self) -> Any:
        if self._finder is None or not self._finder.is_established:
            self._finder = associate(
                self._entity, self._server, self._credentials, [build_context(FIND)]
            )
            self._need(self._finder, FIND, "queries by study (C-FIND)")
        return self._finder

    def _retrieve(self, query: Dataset, images: Sequence[str], send: Any) -> None:
        contexts = [build_context(MOVE)]
        extra: dict[str, Any] = {}
        if self._listener is None:
            contexts = [build_context(GET), *offered_contexts()]
            handlers = [(evt.EVT_C_STORE, self._receiver.store)]
            extra = {"negotiate": storage_roles(), "handlers": handlers}
        association = associate(self._entity, self._server, self._credentials, contexts, **extra)
        try:
            for image in images or [""]:
                if image:
                    query.SOPInstanceUID = image
                for status, _ in send(association, query):
                    self._check_sending(status)
                    self._check(status, "retrieval")
        finally:
            association.release() if association.is_established else association.abort()

    def _get(self, association: Any, query: Dataset) -> Any:
        self._need(association, GET, "retrieval by C-GET")
        return association.send_c_get(query, GET)

    def _move(self, association: Any, query: Dataset) -> Any:
        self._need(association, MOVE, "retrieval by C-MOVE")
        return association.send_c_move(query, self._server.calling_aet, MOVE)

    def _need(self, association: Any, syntax: str, what: str) -> None:
        if not any(context.abstract_syntax == syntax for context in association.accepted_contexts):
            raise unsupported(what, self._where)

    def _check(self, status: Dataset, what: str) -> None:
        """Read a status; failed images are found by their absence, not here."""
        code = int(status.Status) if "Status" in status else None
        if code is None:
            raise Lost("the PACS does not answer in time, or hung up")
        if code == _NOT_AUTHORISED:
            raise StudyError(f"The PACS does not allow {what}.", where=self._where)
        if code >> 12 == _CANNOT_PROCESS or code >> 8 == 0xA9:
            raise Lost(f"the PACS answers with status {code:04X}")

    def _check_sending(self, status: Dataset) -> None:
        """Read the status of a C-MOVE; some servers answer with a general failure when they do not know us."""
        code = int(status.Status) if "Status" in status else 0
        failed = code == _UNKNOWN_DESTINATION or code >> 12 == _CANNOT_PROCESS
        if self._listener is not None and failed:
            raise StudyError(
                f"The PACS does not send to '{self._server.calling_aet}' (status {code:04X}).",
                where=self._where,
                fix="Ask its people to register this title with this machine's host and listen_port.",
            )

    def _listen(self) -> Any:
        entity = application_entity(self._server)
        entity.supported_contexts = supported_contexts()
        entity.require_called_aet = True
        try:
            return entity.start_server(
                (self._server.listen_host, self._server.listen_port),
                block=False,
                ssl_context=listening_context(self._server),
                evt_handlers=[(evt.EVT_C_STORE, self._receiver.store), PROMPT],
            )
        except OSError as error:
            raise MachineError(
                f"This machine cannot listen for images: {error.strerror}.",
                where=f"{self._server.listen_host}:{self._server.listen_port}",
                fix="Choose a free listen_port, and tell it to the PACS's people.",
            ) from None


def _place(series: Series) -> dict[str, str]:
    return {"StudyInstanceUID": series.study, "SeriesInstanceUID": series.uid}


def _identifier(level: str, keys: Keys) -> Dataset:
    dataset = Dataset()
    dataset.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(dataset, keyword, value)
    return dataset
