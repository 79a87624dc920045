"""Makes a new site: keys, secrets and certificates that never leave it, and its site.toml."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
from pathlib import Path

from client.setup.answers import Answers
from client.setup.site_text import AUTHORITY_NAME, site_text
from client.setup.tls import SiteTls
from client.site import FILE_NAME, Site, load_site
from client.site_folder import SiteFolder
from common.errors import RunError
from common.files import explain_os_error, write_atomically
from common.keys import make_node_key, make_signing_key


def create_site(folder: SiteFolder, answers: Answers) -> Site:
    """Make a site in a folder, which may exist but must hold no site.

    Raises:
        RunError: a site is there already; it is left as it is.
        StudyError: the answers make no site.
        MachineError: the folder cannot be written.
    """
    file = folder.path / FILE_NAME
    for existing in (file, folder.private):
        if existing.exists():
            raise RunError(
                "There is a site in this folder already; nothing was changed.",
                where=str(existing),
                fix="Choose another folder. To change this site, edit its site.toml.",
            )
    try:
        folder.path.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise explain_os_error(error, folder.path) from error
    draft = folder.path / f".{FILE_NAME}.draft"
    try:
        split = not is_loopback(answers.runtime)
        write_atomically(draft, site_text(answers, split=split), mode=0o600)
        load_site(draft)  # refuses what makes no site before any key is made
        _make_private(folder, answers)
        if answers.certificates is not None:
            authority = answers.certificates.read_bytes()
            write_atomically(folder.path / AUTHORITY_NAME, authority, mode=0o644)
        os.replace(draft, file)
    finally:
        draft.unlink(missing_ok=True)
    return load_site(folder.path)


def is_loopback(address: str) -> bool:
    """Return whether host:port is of this machine."""
    host = address.rpartition(":")[0].strip("[]")
    return host in ("localhost", "::1") or host.startswith("127.")


def _make_private(folder: SiteFolder, answers: Answers) -> None:
    """Fill the private folder under another name, so that it is there as a whole or not at all."""
    new = _Draft(folder.path)
    shutil.rmtree(new.private, ignore_errors=True)
    new.private.mkdir(mode=0o700)
    for inner in (new.tls, new.logs, new.running, new.inbox, new.states, new.cohorts):
        inner.mkdir(mode=0o700)
    name = str(answers.name)
    make_node_key(new.node_key, new.node_key_public, name)
    make_signing_key(new.signing_key)
    write_atomically(new.secret, secrets.token_bytes(32), durable=True)
    write_atomically(new.superexec_secret, secrets.token_hex(32), durable=True)
    here = ("localhost", "127.0.0.1")
    host = answers.runtime.rpartition(":")[0].strip("[]")
    SiteTls(new).issue(
        name,
        runtime_hosts=tuple(dict.fromkeys((host, *here))),
        control_hosts=tuple(dict.fromkeys((*here, socket.gethostname()))),
    )
    os.replace(new.private, folder.private)


class _Draft(SiteFolder):
    """The same folder, whose private part is not finished yet."""

    @property
    def private(self) -> Path:
        return self.path / ".consilium.new"
