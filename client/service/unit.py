"""The systemd unit that runs a site as a service."""

from __future__ import annotations

import getpass
import shutil
import sys
from pathlib import Path

from client.site import Site

_UNIT = """\
# /etc/systemd/system/consilium-{name}.service
# Enable it with:  systemctl daemon-reload && systemctl enable --now consilium-{name}

[Unit]
Description=Consilium: site {name}
Wants=network-online.target
After=network-online.target

[Service]
User={user}
ExecStart="{command}" site start "{folder}"{only}
KillMode=mixed
TimeoutStopSec=120
Restart=always
RestartSec=10
UMask=0077
NoNewPrivileges=yes
ProtectSystem=strict
ReadWritePaths="{folder}"
PrivateTmp=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectControlGroups=yes
RestrictSUIDSGID=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
LockPersonality=yes

[Install]
WantedBy=multi-user.target
"""


def unit_text(site: Site, only: str | None) -> str:
    """Return the unit of a site, for the user and the installation that ask."""
    installed = Path(sys.executable).with_name("consilium")
    command = installed if installed.exists() else shutil.which("consilium") or "consilium"
    return _UNIT.format(
        name=site.name,
        user=getpass.getuser(),
        command=command,
        folder=site.folder,
        only=f" --only {only}" if only else "",
    )
