"""Makes a new site: keys, secrets and certificates that never leave it, and its site.toml."""

from __future__ import annotations

import os

from client.setup.answers import Answers
from client.setup.keys import make_all, make_missing
from client.setup.site_text import AUTHORITY_NAME, site_text
from client.site import FILE_NAME, Site, load_site
from client.site_folder import SiteFolder
from common.errors import RunError
from common.files import explain_os_error, write_atomically


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
            raise _there_already(str(existing))
    try:
        folder.path.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise explain_os_error(error, folder.path) from error
    draft = folder.path / f".{FILE_NAME}.draft"
    try:
        split = not is_loopback(answers.runtime)
        write_atomically(draft, site_text(answers, split=split), mode=0o600)
        load_site(draft)  # refuses what makes no site before any key is made
        make_all(folder, str(answers.name), [_host(answers.runtime)])
        if answers.certificates is not None:
            authority = answers.certificates.read_bytes()
            write_atomically(folder.path / AUTHORITY_NAME, authority, mode=0o644)
        os.replace(draft, file)
    finally:
        draft.unlink(missing_ok=True)
    return load_site(folder.path)


def complete_site(folder: SiteFolder) -> tuple[Site, list[str]]:
    """Make what a site lacks whose site.toml was written by hand; the file stays as it is.

    Returns:
        The site, and what was made.

    Raises:
        RunError: nothing is missing, or something was lost that has to be restored.
        StudyError: the file makes no site.
        MachineError: the folder cannot be written.
    """
    site = load_site(folder.path)
    hosts = [_host(connection.runtime) for connection in site.connections.values()]
    try:
        made = make_missing(folder, site.name, hosts)
    except OSError as error:
        raise explain_os_error(error, folder.path) from error
    if not made:
        raise _there_already(str(site.file))
    return site, made


def _there_already(where: str) -> RunError:
    return RunError(
        "There is a site in this folder already; nothing was changed.",
        where=where,
        fix="Choose another folder. To change this site, edit its site.toml.",
    )


def is_loopback(address: str) -> bool:
    """Return whether host:port is of this machine."""
    host = _host(address)
    return host in ("localhost", "::1") or host.startswith("127.")


def _host(address: str) -> str:
    return address.rpartition(":")[0].strip("[]")
