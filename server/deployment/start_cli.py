"""`consilium server start`: run the coordinator's server in the foreground."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def start(
    coordinator: Annotated[Path, typer.Argument(help="The coordinator's folder.")],
    metrics: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Serve /metrics (Prometheus) and /health there."),
    ] = None,
) -> None:
    """Start SuperLink, SuperExec and proxy, and keep them running until Ctrl-C or SIGTERM."""
    import re
    import sys
    import time

    from common.errors import StudyError
    from server.deployment.config import ADDRESS
    from server.deployment.folder import open_folder
    from server.deployment.service import run_server

    if metrics is not None and not re.match(ADDRESS, metrics):
        raise StudyError("--metrics is not of the form host:port.", where=metrics)

    def say(line: str) -> None:
        print(time.strftime("%Y-%m-%d %H:%M:%S"), line, file=sys.stderr, flush=True)

    run_server(open_folder(coordinator), metrics, say)
