"""Tells whether this machine's SuperNodes reach their coordinators: `python -m client.service.link_check SITE`.

For the half of a split site that has no agent, and so no `consilium site health`: a container's or a pod's probe.
"""

from __future__ import annotations

import argparse
import http.client
import json
import ssl
import sys
import time
from pathlib import Path
from typing import Any

from client.service.link import EVERYWHERE, LINK_HEADER, LINK_PATH, link_key, listening_host
from client.site import Connection, load_site
from client.site_folder import SiteFolder
from common.errors import ConsiliumError

_SECONDS = 5.0


def problem(connection: Connection, secret: bytes, longest: float) -> str:
    """Return why a SuperNode of this machine is of no use now, or nothing.

    Args:
        connection: which.
        secret: what it shares with the agent.
        longest: seconds since it last reached the coordinator.
    """
    try:
        said = _ask(connection, secret)
        contact = float(said["contact"])
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError) as error:
        return f"its runtime API does not answer ({type(error).__name__})"
    if time.time() - contact <= longest:
        return ""
    return str(said.get("problem") or f"it has not reached {connection.server} for a while")


def main() -> int:
    """Check every connection; 0: all have contact, 1: one has not."""
    parser = argparse.ArgumentParser(prog="python -m client.service.link_check")
    parser.add_argument("site", type=Path, help="the site's folder")
    parser.add_argument("--seconds", type=float, default=60.0, help="longest silence that is fine")
    chosen = parser.parse_args()
    try:
        site = load_site(chosen.site)
        secret = SiteFolder(site.folder).superexec_secret.read_bytes()
    except (ConsiliumError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    found = {name: problem(each, secret, chosen.seconds) for name, each in site.connections.items()}
    for name, text in found.items():
        print(f"{name}: {text or 'in contact'}")
    return int(not found or any(found.values()))


def _ask(connection: Connection, secret: bytes) -> dict[str, Any]:
    """Ask where the SuperNode of this machine listens, whatever name the agent calls it by."""
    name, _, port = connection.runtime.rpartition(":")
    host = listening_host(name).replace(EVERYWHERE, "127.0.0.1")
    made: http.client.HTTPConnection
    if connection.runtime_certificates is None:
        made = http.client.HTTPConnection(host, int(port), timeout=_SECONDS)
    else:
        context = ssl.create_default_context(cafile=str(connection.runtime_certificates))
        context.check_hostname = False
        made = http.client.HTTPSConnection(host, int(port), timeout=_SECONDS, context=context)
    try:
        made.request("GET", LINK_PATH, headers={LINK_HEADER: link_key(secret)})
        answer = made.getresponse()
        if answer.status != 200:
            raise ValueError("no such page")
        content: dict[str, Any] = json.loads(answer.read())
        return content
    finally:
        made.close()


if __name__ == "__main__":
    sys.exit(main())
