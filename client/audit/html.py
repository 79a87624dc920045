"""An audit as one self-contained page for an ethics board: no script, nothing loaded, fit for paper."""

from __future__ import annotations

import shlex
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from client.audit.document import Document, Plot, Table, Text
from client.audit.figures import drawing
from client.audit.legible import harmless, numeric, rewritten
from client.audit.notes import ADJACENCY, MEANINGS, notes
from client.audit.sparkline import figure, points
from common.charts.pages import environment
from common.errors import StudyError
from common.files import explain_os_error, write_atomically

_MARK = b'<meta name="generator" content="Consilium audit">'
_MARK_WITHIN = 2048
_NUMBERS_OF_AT_MOST = 60


def write(document: Document, path: Path) -> None:
    """Write the page, whole or not at all; an earlier audit report in its place is replaced.

    Raises:
        StudyError: `path` is a folder, or a file that is no audit report.
        MachineError: it cannot be written.
    """
    require_free(path)
    write_atomically(path, render(document).encode("utf-8", "replace"), mode=0o644)


def render(document: Document, *, command: str | None = None, now: datetime | None = None) -> str:
    """The page as text; the same document, command and time give the same text.

    Args:
        document: what was found.
        command: the command that made it; None takes this process's own.
        now: when it was made; None is now.
    """
    clean = rewritten(document, harmless)
    adjacency = harmless(str(document.data.get("adjacency", ADJACENCY)))
    context: dict[str, Any] = {
        "document": clean,
        "meaning": MEANINGS[document.verdict],
        "parts": [_shown(part) for part in clean.parts],
        "moment": f"{now or datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "version": version("consilium"),
        "adjacency": adjacency,
        "command": harmless(_command() if command is None else command),
        "notes": notes(adjacency),
    }
    return environment("client.audit").get_template("audit.html.j2").render(context)


def _shown(part: Table | Plot | Text) -> dict[str, Any]:
    if isinstance(part, Text):
        return {"kind": "text", "part": part}
    if isinstance(part, Table):
        columns = zip(*part.rows, strict=False) if part.rows else [()] * len(part.columns)
        return {"kind": "table", "part": part, "right": [numeric(list(each)) for each in columns]}
    return {"kind": "plot", "part": part, "drawing": drawing(part), "numbers": _numbers(part)}


def _numbers(plot: Plot) -> list[tuple[str, list[str]]]:
    """x, and y of each curve at it: the plot for those who read numbers; nothing when that would be long."""
    columns = [dict(points(curve)) for curve in plot.curves]
    places = sorted({x for column in columns for x in column})
    if len(places) > _NUMBERS_OF_AT_MOST:
        return []
    return [
        (figure(x), [figure(column[x]) if x in column else "" for column in columns])
        for x in places
    ]


def _command() -> str:
    return shlex.join(["consilium", *sys.argv[1:]])


def require_free(path: Path) -> None:
    """Refuse a target that is something else: a slip of the hand must not replace a ledger."""
    where = f"--html {path}"
    try:
        if path.is_dir():
            raise StudyError(
                "The report's file is a folder.",
                where=where,
                fix=f"Name a file: {path / 'audit.html'}.",
            )
        if not path.exists():
            return
        if not path.is_file():
            raise StudyError(
                "The report's place is no ordinary file.", where=where, fix="Name a new file."
            )
        with path.open("rb") as file:
            start = file.read(_MARK_WITHIN)
    except OSError as error:
        raise explain_os_error(error, path) from error
    if start and _MARK not in start:
        raise StudyError(
            "The file exists and is no audit report; it was left as it is.",
            where=where,
            fix="Name another file, or move this one away.",
        )
