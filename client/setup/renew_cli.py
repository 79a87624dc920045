"""`consilium site renew`: new certificates for the site's own ends."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def renew(
    folder: Annotated[Path, typer.Argument(help="The site's folder.")],
    runtime_host: Annotated[
        list[str] | None, typer.Option(help="Host of the SuperNode; as before if left out.")
    ] = None,
    control_host: Annotated[
        list[str] | None, typer.Option(help="Host of the control plane; as before if left out.")
    ] = None,
) -> None:
    """Renew the certificates between the site's halves and of its control plane; keys stay. Restart the site after."""
    from client.setup.tls import SiteTls
    from client.site import load_site
    from client.site_folder import SiteFolder
    from common.certificates import describe

    site = load_site(folder)
    tls = SiteTls(SiteFolder(site.folder))
    tls.issue(
        site.name,
        runtime_hosts=runtime_host or tls.hosts(tls.runtime),
        control_hosts=control_host or tls.hosts(tls.control_server),
    )
    for files in (tls.runtime, tls.control_server, tls.control_client, tls.authority):
        found = describe(files.certificate)
        typer.echo(f"{found.subject}: valid until {found.expires:%Y-%m-%d}")
    typer.echo("Start the site again to use them.")
