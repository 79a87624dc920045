"""Shows what a site does while it does it."""

from __future__ import annotations

import json
from collections.abc import Iterable

import typer
from rich.console import Console
from rich.live import Live

from client.control.messages import plain
from client.control.view import console, event_line, status_view
from common.proto import site_control_pb2 as pb


def print_lines(replies: Iterable[pb.WatchReply]) -> None:
    """Print each status and each event as one line of JSON."""
    for reply in replies:
        typer.echo(json.dumps(plain(reply)))


def show_live(replies: Iterable[pb.WatchReply]) -> None:
    """Let events scroll by above the newest status; where the output is no terminal, events and first status only."""
    screen = console()
    if not screen.is_terminal:
        _show_lines(replies, screen)
        return
    with Live(console=screen, auto_refresh=False, vertical_overflow="visible") as live:
        for reply in replies:
            if reply.HasField("event"):
                live.console.print(event_line(reply.event))
            else:
                live.update(status_view(reply.status), refresh=True)


def _show_lines(replies: Iterable[pb.WatchReply], screen: Console) -> None:
    shown = False
    for reply in replies:
        if reply.HasField("event"):
            screen.print(event_line(reply.event), soft_wrap=True)
        elif not shown:
            screen.print(status_view(reply.status))
            shown = True
