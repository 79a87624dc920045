"""A hospital with keys and secrets, and Flower's runtime API in front of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from runtime_api import RuntimeApi

from client.service.studies import Studies
from client.site import Site, load_site
from client.site_folder import SiteFolder
from common.keys import make_signing_key

SECRET = b"shared secret"


@pytest.fixture
def hospital(make_site: Callable[..., Site]) -> Callable[..., Site]:
    """The function that makes a hospital with its private files: `hospital(runtime="127.0.0.1:…", **policy)`."""

    def make(
        runtime: str = "127.0.0.1:1", *, more: str = "", before: str = "", **policy: Any
    ) -> Site:
        site = make_site(**policy)
        if before:
            site.file.write_text(site.file.read_text().replace("[policy]", before + "\n[policy]"))
        with site.file.open("a") as file:
            file.write(f'[connection.default]\nserver = "coordinator:443"\nruntime = "{runtime}"\n')
            file.write(f"{more}\n[service]\npoll_seconds = 0.02\n")
        folder = SiteFolder(site.folder)
        folder.private.mkdir(mode=0o700, exist_ok=True)
        make_signing_key(folder.signing_key)
        folder.secret.write_bytes(os.urandom(32))
        folder.superexec_secret.write_bytes(SECRET)
        return load_site(site.folder)

    return make


@pytest.fixture
def studies(hospital: Callable[..., Site]) -> Studies:
    """The studies of a hospital that knows none yet."""
    site = hospital()
    return Studies(site, SiteFolder(site.folder))


@pytest.fixture
def api() -> Iterator[RuntimeApi]:
    """Flower's runtime API on a port of the loopback."""
    served = RuntimeApi(SECRET)
    yield served
    served.stop()


@pytest.fixture
def free(tmp_path: Path) -> Path:
    """A folder for whatever a test writes."""
    return tmp_path
