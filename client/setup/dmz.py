"""The half of a site that runs in the demilitarised zone: a SuperNode, and nothing that knows patients."""

from __future__ import annotations

import shutil
from pathlib import Path

from client.setup.site_text import AUTHORITY_NAME
from client.setup.tls import SiteTls
from client.site import FILE_NAME
from client.site_folder import SiteFolder
from common.errors import RunError


def write_dmz_half(site: SiteFolder, target: Path) -> None:
    """Copy what the SuperNode needs into a folder to be moved to its machine.

    It gets the node key, the secret that both halves share and its certificate; not the site's secret, signing key,
    ledger or authority key.

    Raises:
        RunError: the folder exists.
    """
    if target.exists():
        raise RunError("The folder exists already; nothing was changed.", where=str(target))
    half, tls = SiteFolder(target), SiteTls(site)
    for folder in (target, half.private, half.tls, half.logs, half.running):
        folder.mkdir(mode=0o700)
    copied = [site.path / FILE_NAME, site.path / AUTHORITY_NAME]
    copied += [site.node_key, site.node_key_public, site.superexec_secret]
    copied += [tls.runtime.certificate, tls.runtime.key, tls.authority.certificate]
    for each in copied:
        if each.exists():
            shutil.copy(each, target / each.relative_to(site.path))
