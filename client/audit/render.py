"""Shows an audit's document: on the terminal or as JSON, and in a file for the ethics board."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from client.audit.document import Document
from common.errors import ConsiliumError


def emit(document: Document, *, as_json: bool, html: Path | None) -> None:
    """Show a document; the caller then ends with its exit code.

    The findings are printed even when the file cannot be written: they may have taken minutes.

    Args:
        document: what was found.
        as_json: print JSON for programs instead of text for people.
        html: where to write the self-contained page, or None.

    Raises:
        StudyError: `html` is a folder, or a file that is no audit report.
        MachineError: the page cannot be written.
    """
    problem = _write(document, html) if html is not None else None
    if as_json:
        _print_json(document)
    else:
        from client.audit.terminal import show

        show(document, written=None if problem else html)
    if problem is not None:
        raise problem


def to_json(document: Document) -> dict[str, Any]:
    """The document's data with its title, verdict, exit code and summary."""
    from common.jsonable import jsonable

    data: dict[str, Any] = jsonable(dict(document.data))
    head = {"title": document.title, "summary": document.summary}
    return head | data | {"verdict": document.verdict, "exit_code": document.exit_code}


def _print_json(document: Document) -> None:
    encoding = (sys.stdout.encoding or "ascii").lower()
    text = json.dumps(to_json(document), indent=2, ensure_ascii=False, allow_nan=False)
    try:
        text.encode(encoding)
    except UnicodeEncodeError:  # another encoding, or a path that is not text
        text = json.dumps(to_json(document), indent=2, allow_nan=False)
    print(text)


def _write(document: Document, path: Path) -> ConsiliumError | None:
    from client.audit.html import write

    try:
        write(document, path)
    except ConsiliumError as error:
        return error
    return None
