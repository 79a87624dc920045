"""server.toml: under which address hospitals find the coordinator, and the limits of its proxy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from common import plugins

FILE_NAME = "server.toml"
ADDRESS = r"^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}$"
NAME = r"^[A-Za-z0-9](?:[A-Za-z0-9-]{0,62}[A-Za-z0-9])?$"


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Server(_Section):
    """The coordinator as others see it.

    Attributes:
        name: letters, digits and dashes.
        address: host:port that hospitals call.
        listen: host:port that the proxy binds; none: every interface, at the port of the address.
        metrics: host:port of the Prometheus page; none: no page.
    """

    name: str = Field(pattern=NAME, description="letters, digits and dashes")
    address: str = Field(pattern=ADDRESS, description="host:port")
    listen: str | None = Field(default=None, pattern=ADDRESS, description="host:port")
    metrics: str | None = Field(default=None, pattern=ADDRESS, description="host:port")

    @property
    def bound(self) -> str:
        """Where the proxy listens."""
        return self.listen or f"0.0.0.0:{split_address(self.address)[1]}"


class SuperLink(_Section):
    """Flower's own processes; they listen on this machine's loopback only.

    Attributes:
        port: of the SuperLink on 127.0.0.1.
        poll_seconds: how often SuperExec looks for a run to start.
        answer_seconds: a SuperLink that does not answer for so long is restarted.
        pending_seconds: a run that nobody starts for so long has SuperExec restarted.
    """

    port: int = Field(default=9091, ge=1, le=65535)
    poll_seconds: float = Field(default=0.2, ge=0.01, le=60.0)
    answer_seconds: float = Field(default=60.0, gt=0.0)
    pending_seconds: float = Field(default=30.0, gt=0.0)


class Proxy(_Section):
    """What one hospital's address may ask of the proxy.

    Attributes:
        max_body_megabytes: of one request; Flower cuts weights of any size into pieces of 5 MB.
        requests_per_second: from one address; more is told to come back later.
        connections: from one address at a time.
        timeout_seconds: for a request or an answer that does not move.
        program: nginx's path; none: found on PATH and in the usual folders.
    """

    max_body_megabytes: int = Field(default=32, ge=6, le=2048)
    requests_per_second: int = Field(default=300, ge=1)
    connections: int = Field(default=64, ge=1)
    timeout_seconds: int = Field(default=300, ge=10)
    program: str | None = None


class ServerFile(_Section):
    """A whole server.toml."""

    server: Server
    superlink: SuperLink = SuperLink()
    proxy: Proxy = Proxy()


def parse_server_file(content: Mapping[str, Any], *, where: str) -> ServerFile:
    """Check the content of a server.toml.

    Raises:
        StudyError: naming the key, what is wrong with it and the nearest known key.
    """
    try:
        return ServerFile.model_validate(content)
    except ValidationError as error:
        raise plugins.explain(error, ServerFile, where=where) from None


def dump_server_file(settings: ServerFile) -> str:
    """Return a server.toml with every value that differs from its default."""
    return tomli_w.dumps(settings.model_dump(exclude_defaults=True, exclude_none=True))


def split_address(address: str) -> tuple[str, int]:
    """Return host and port; an IPv6 host loses its brackets."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)
