"""A PACS through DICOMweb: QIDO-RS to search, WADO-RS to retrieve."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import quote_plus, urlsplit

import requests
from dicomweb_client.api import DICOMwebClient
from pydicom.datadict import tag_for_keyword

from client.data.pacs.archive import Archive, Spoilt
from client.data.pacs.config import WebServer
from client.data.pacs.credentials import Credentials
from client.data.pacs.multipart import write_part
from client.data.pacs.server import Keys, Lost, Series
from client.data.pacs.throttle import Throttle
from common.errors import MachineError, StudyError

PAGE = 200
CHUNK = 1 << 16
_STUDY, _SERIES, _INSTANCE = "0020000D", "0020000E", "00080018"
_ACCEPT = 'multipart/related; type="application/dicom"; transfer-syntax=*'
_HERE = ("localhost", "127.0.0.1", "::1")
_NO_SUCH_IMAGE = (404, 406, 410)
for _name in ("dicomweb_client", "urllib3"):  # they log addresses, which hold patients' numbers
    logging.getLogger(_name).setLevel(logging.CRITICAL + 1)


class _Gone(Exception):
    """The server lists an image that it does not give."""


class WebPacs:
    """Speaks DICOMweb; see `Pacs`.

    Args:
        server: its address and how to prove who asks.
        credentials: of basic or bearer authentication.
        archive: takes what is retrieved.
        throttle: counts every byte of an image.

    Raises:
        StudyError: credentials would travel unencrypted.
    """

    def __init__(
        self,
        server: WebServer,
        credentials: Credentials | None,
        archive: Archive,
        throttle: Throttle,
    ) -> None:
        self._url = server.url.rstrip("/")
        self._timeout = server.timeout_seconds
        self._archive = archive
        self._throttle = throttle
        self._refuse_plain(server, credentials)
        self._session = _session(server, credentials)
        self._client = DICOMwebClient(
            self._url, session=self._session, permissive_uid=True, timeout=self._timeout
        )
        self._client.set_http_retry_params(False)  # the fetch tries again by itself
        self._client.host = urlsplit(self._url).netloc.rpartition("@")[
            2
        ]  # its Host header lacks the port

    def studies(self, keys: Keys) -> Iterator[str]:
        """Yield the UIDs of the studies that match."""
        for found in self._matching(self._client.search_for_studies, _STUDY, keys):
            wanted = keys.get("PatientID")
            if wanted is None or _value(found, "00100020").strip() == wanted:
                yield _value(found, _STUDY)

    def series(self, study: str, keys: Keys) -> Iterator[Series]:
        """Yield the matching series of a study."""
        search = self._client.search_for_series
        for found in self._matching(search, _SERIES, keys, study_instance_uid=study):
            yield Series(study, _value(found, _SERIES), _value(found, "00080060"))

    def instances(self, series: Series) -> list[str]:
        """Return the UIDs of all images of a series."""
        search = self._client.search_for_instances
        place = {"study_instance_uid": series.study, "series_instance_uid": series.uid}
        return [_value(found, _INSTANCE) for found in self._pages(search, _INSTANCE, {}, **place)]

    def retrieve(self, series: Series, wanted: Sequence[str], whole: bool) -> None:
        """Take images into the archive, one request an image."""
        for instance in wanted:
            path = f"studies/{series.study}/series/{series.uid}/instances/{instance}"
            with (
                suppress(_Gone, Spoilt),  # the count will tell that it is missing
                self._archive.incoming(series.uid, instance) as file,
                self._told(),
            ):
                self._stream(f"{self._url}/{path}", file)

    def close(self) -> None:
        """End the connection."""
        self._session.close()

    def _stream(self, url: str, file: Any) -> None:
        headers = {"Accept": _ACCEPT}
        with self._session.get(url, headers=headers, stream=True, timeout=self._timeout) as answer:
            if answer.status_code in _NO_SUCH_IMAGE:
                raise _Gone
            answer.raise_for_status()
            write_part(answer.headers.get("Content-Type", ""), self._chunks(answer), file)

    def _chunks(self, answer: requests.Response) -> Iterator[bytes]:
        for chunk in answer.iter_content(CHUNK):
            self._throttle.passed(len(chunk))
            yield chunk

    def _matching(self, search: Any, key: str, keys: Keys, **place: str) -> Iterator[Any]:
        """Match patterns here: some servers take an escaped `*` for a letter. Identifiers are always sent."""
        here = {k: v for k, v in keys.items() if quote_plus(v) != v and k != "PatientID"}
        sent = {k: v for k, v in keys.items() if k not in here}
        for found in self._pages(search, key, sent, *here, **place):
            if all(_fits(_value(found, _tag(word)), here[word]) for word in here):
                yield found

    def _pages(
        self, search: Any, key: str, keys: Keys, *fields: str, **place: str
    ) -> Iterator[Any]:
        """Yield the answers page by page, each once, also from servers that do not page."""
        seen: set[str] = set()
        while True:
            with self._told():
                page = search(
                    **place,
                    limit=PAGE,
                    offset=len(seen),
                    fields=list(fields) or None,
                    search_filters=dict(keys) or None,
                )
            fresh = [found for found in page if _value(found, key) not in seen]
            for found in fresh:
                seen.add(_value(found, key))
                yield found
            if not fresh or len(page) < PAGE:
                return

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Say in plain words what went wrong; addresses, which hold identifiers, are left out."""
        try:
            yield
        except requests.exceptions.SSLError:
            raise StudyError(
                "The PACS's certificate is not trusted, or it does not trust this site's.",
                where=self._url,
                fix="Set certificates in [data.NAME.pacs] to the PEM file of the hospital's authority.",
            ) from None
        except requests.HTTPError as error:
            status = error.response.status_code if error.response is not None else 0
            raise self._status(status) from None
        except json.JSONDecodeError:
            raise StudyError(
                "The address answers, but not as DICOMweb.",
                where=self._url,
                fix="The url must end where /studies begins, such as https://host/dicom-web.",
            ) from None
        except requests.RequestException as error:
            slow = isinstance(error, requests.Timeout)
            raise Lost("the PACS does not answer in time" if slow else "no connection") from None

    def _status(self, status: int) -> Exception:
        if status in (401, 403):
            return StudyError(
                f"The PACS refuses these credentials (HTTP {status}).",
                where=self._url,
                fix="Correct the credentials file, or ask the PACS's people for the right to query and retrieve.",
            )
        if status == 429 or status >= 500:
            return Lost(f"the PACS answers with HTTP {status}")
        return MachineError(
            f"The PACS answers with HTTP {status}.",
            where=self._url,
            fix="Check the url in [data.NAME.pacs]; 404 means that no DICOMweb is served there.",
        )

    def _refuse_plain(self, server: WebServer, credentials: Credentials | None) -> None:
        address = urlsplit(server.url)
        if credentials and address.scheme == "http" and not server.plain_http:
            if address.hostname in _HERE:
                return
            raise StudyError(
                "The credentials would cross the network unencrypted.",
                where=self._url,
                fix="Use https, or set plain_http = true in [data.NAME.pacs] if the network is trusted.",
            )


def _session(server: WebServer, credentials: Credentials | None) -> requests.Session:
    session = requests.Session()
    session.trust_env = False  # images must not pass a proxy that happens to be set
    if server.certificates:
        session.verify = str(server.certificates)
    if server.client_certificate:
        session.cert = (str(server.client_certificate), str(server.client_key))
    if credentials:
        session.headers["Authorization"] = _authorization(credentials)
    return session


def _authorization(credentials: Credentials) -> str:
    if credentials.token:
        return f"Bearer {credentials.token}"
    pair = f"{credentials.user}:{credentials.password}".encode()
    return f"Basic {base64.b64encode(pair).decode()}"


def _fits(value: str, pattern: str) -> bool:
    return fnmatchcase(value.strip().casefold(), pattern.strip().casefold())


def _tag(keyword: str) -> str:
    return f"{tag_for_keyword(keyword) or 0:08X}"


def _value(found: Any, tag: str) -> str:
    values = found.get(tag, {}).get("Value") or [""]
    return str(values[0] if values[0] is not None else "")
