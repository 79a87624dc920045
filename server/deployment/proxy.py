"""The reverse proxy between hospitals and the SuperLink: nginx's configuration, and whether it answers."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import ssl
import subprocess
from pathlib import Path

from common.errors import MachineError
from common.files import write_atomically
from server.deployment.config import split_address
from server.deployment.folder import CoordinatorFolder

HEADERS = (
    "content-type",
    "accept",
    "flwr-public-key",
    "flwr-signature",
    "flwr-timestamp",
    "flwr-package-name",
    "flwr-package-version",
    "flwr-component-name",
    "traceparent",
)
"""What is handed on of a request's headers; the contract test compares them with those that Flower sends."""

_FOLDERS = ("/usr/sbin", "/usr/local/sbin", "/usr/local/bin", "/usr/bin")


def nginx(program: str | None) -> str:
    """Return the path of nginx.

    Args:
        program: as server.toml names it, or None to look for it.

    Raises:
        MachineError: there is none.
    """
    path = os.pathsep.join([os.environ.get("PATH", ""), *_FOLDERS])
    found = shutil.which(program or "nginx", path=path)
    if found is None:
        raise MachineError(
            "nginx is not installed.",
            where=program or "nginx",
            fix="Install it ('apt install nginx-light' on Debian), or name it in server.toml as [proxy] program.",
        )
    return found


def write_config(folder: CoordinatorFolder) -> None:
    """Write nginx.conf from server.toml, and make the folders that nginx needs."""
    folder.running.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.logs.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_atomically(folder.proxy_config, render(folder), mode=0o600)


def render(folder: CoordinatorFolder) -> str:
    """Return nginx.conf.

    Raises:
        MachineError: the folder's path cannot be written in it.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    path = str(folder.path)
    if any(letter in path for letter in " \t\n\"'\\;{}$#"):
        raise MachineError(
            "nginx cannot work in a folder of this name.",
            where=path,
            fix="Choose a path without spaces, quotes, braces, '$', '#' and ';'.",
        )
    settings = folder.settings()
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # not a page
    )
    return environment.get_template("nginx.conf.j2").render(
        user="root" if os.geteuid() == 0 else "",  # else its workers could not read the folder
        run=folder.running,
        bound=settings.server.bound,
        certificate=folder.certificate,
        key=folder.key,
        authority=folder.authority,
        headers=HEADERS,
        proxy=settings.proxy,
        superlink=settings.superlink,
    )


def command(folder: CoordinatorFolder) -> list[str]:
    """Return the command that runs nginx in the foreground."""
    program = nginx(folder.settings().proxy.program)
    # What it complains of goes to its log, which the supervisor keeps small: a file of nginx's own only grows.
    return [program, "-e", "stderr", "-p", str(folder.running), "-c", str(folder.proxy_config)]


def check(folder: CoordinatorFolder) -> None:
    """Have nginx check its configuration.

    Raises:
        MachineError: nginx says what is wrong.
    """
    ended = subprocess.run(
        [*command(folder), "-t", "-q"], capture_output=True, text=True, timeout=30, check=False
    )
    if ended.returncode:
        said = ended.stderr.strip().splitlines() or ["it says nothing"]
        raise MachineError(
            f"nginx does not accept its configuration: {said[-1]}.",
            where=str(folder.proxy_config),
            fix="Mend server.toml or the certificates; the file itself is written from them.",
        )


def answers(bound: str, seconds: float = 2.0) -> bool:
    """Return whether something on the proxy's port shakes hands over TLS and speaks HTTP.

    Args:
        bound: host:port that the proxy listens on.
        seconds: that it may take.
    """
    host, port = split_address(bound)
    here = {"0.0.0.0": "127.0.0.1", "::": "::1", "*": "127.0.0.1"}.get(host, host)
    context = ssl.create_default_context()
    context.check_hostname = False  # who it is does not matter here, only that it answers
    context.verify_mode = ssl.CERT_NONE
    try:
        with (
            socket.create_connection((here, port), timeout=seconds) as plain,
            context.wrap_socket(plain) as connection,
        ):
            connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            return connection.recv(12).startswith(b"HTTP/1.1")
    except OSError:
        return False


def reload(folder: CoordinatorFolder) -> bool:
    """Have a running proxy take over a new configuration or certificate; return whether one runs."""
    from common.supervise import holder

    if holder(folder.lock) is None:
        return False
    try:
        os.kill(int((folder.running / "nginx.pid").read_text()), signal.SIGHUP)
    except (OSError, ValueError):
        return False
    return True
