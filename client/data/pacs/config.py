"""How a site describes its PACS in site.toml: the table `[data.NAME.pacs]`."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import Field, model_validator

from client.data.config_base import LocalPath, Part

AE_TITLE = r"^[^\\\s](?:[^\\]{0,14}[^\\\s])?$"


class Select(Part):
    """Which studies and series the site lets in, beside the modality that a study of the federation asks for.

    Attributes:
        patients: "labelled": only those whom the table of labels names; "all": whoever fits the rest.
        modality: of the series; none: the study's, or any.
        from_date, to_date: of the examination, both included.
        study_description, series_description: with `*` and `?` for what may differ.
        body_part: as BodyPartExamined has it.
    """

    patients: Literal["labelled", "all"] = "labelled"
    modality: str | None = Field(default=None, pattern=r"^[A-Z]{2,16}$")
    from_date: date | None = None
    to_date: date | None = None
    study_description: str | None = None
    series_description: str | None = None
    body_part: str | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Select:
        if self.from_date and self.to_date and self.from_date > self.to_date:
            raise ValueError("from_date is later than to_date")
        return self


class _Server(Part):
    """What both protocols need.

    Attributes:
        credentials: file (mode 600) whose first line is `user:password` or `Bearer TOKEN`.
        certificates: PEM file of the authority that signed the server's certificate; none: the system's.
        client_certificate, client_key: PEM files that prove this site to the server.
        megabytes_per_second: take no more than this, so that the clinic does not wait; none: no limit.
        timeout_seconds: without a word for so long, the server counts as gone.
        attempts: tries of one series before the fetch gives up.
        select: what is fetched.
    """

    credentials: LocalPath | None = None
    certificates: LocalPath | None = None
    client_certificate: LocalPath | None = None
    client_key: LocalPath | None = None
    megabytes_per_second: float | None = Field(default=None, gt=0.0)
    timeout_seconds: float = Field(default=30.0, gt=0.0, le=3600.0)
    attempts: int = Field(default=3, ge=1, le=100)
    select: Select = Select()

    @model_validator(mode="after")
    def _both(self) -> _Server:
        if (self.client_certificate is None) != (self.client_key is None):
            raise ValueError("client_certificate and client_key belong together")
        return self


class WebServer(_Server):
    """A server that speaks DICOMweb (QIDO-RS and WADO-RS).

    Attributes:
        url: the root of its services, such as `https://pacs.hospital.example/dicom-web`.
        plain_http: send credentials over unencrypted HTTP, too.
    """

    protocol: Literal["dicomweb"]
    url: str = Field(pattern=r"^https?://[^\s?#]+$", description="https://host/path")
    plain_http: bool = False


class DimseServer(_Server):
    """A server that speaks DIMSE: C-FIND, and C-GET or C-MOVE.

    Attributes:
        host, port: where it listens.
        called_aet, calling_aet: its application entity title, and this site's.
        retrieve: "get" needs nothing from the server's people; for "move" they register this site's title, host and
            listen_port.
        listen_host, listen_port: where images arrive after a C-MOVE.
        tls: encrypt; also the connections that arrive, where client_certificate is given.
    """

    protocol: Literal["dimse"]
    host: str = Field(min_length=1)
    port: int = Field(default=104, ge=1, le=65535)
    called_aet: str = Field(pattern=AE_TITLE)
    calling_aet: str = Field(default="CONSILIUM", pattern=AE_TITLE)
    retrieve: Literal["get", "move"] = "get"
    listen_host: str = "0.0.0.0"
    listen_port: int = Field(default=11112, ge=1, le=65535)
    tls: bool = False


PacsConfig = Annotated[WebServer | DimseServer, Field(discriminator="protocol")]
