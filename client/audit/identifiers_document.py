"""A search for identifiers as a document: what was looked for, and where something was found."""

from __future__ import annotations

from client.audit.document import Document, Table, Text, Verdict
from client.audit.identifiers_report import Looked
from client.guard.phi_scan import Scan

_READING = (
    "Identifiers are read from the site's own data: patient numbers and names, dates of birth, accession numbers and "
    "DICOM UIDs. They are searched for as they are, in any case, in UTF-16, inside zip and gzip, in file names, and as "
    "unkeyed MD5, SHA-1 and SHA-256.",
    "A hit is told by its kind and place only. Numbers of fewer than six digits and texts of fewer than four letters "
    "would be found everywhere; they are not looked for. A longer number can agree with another one by accident: look "
    "at the place before you raise an alarm.",
    "Nothing found is no proof: names alone, pictures of text and other encodings are not seen.",
)


def document(looked: Looked) -> Document:
    """Everything that a search found."""
    found = looked.scan
    parts: list[Table | Text] = [_overview(looked)]
    if found.hits:
        rows = tuple((hit.kind, hit.file, _place(hit.offset)) for hit in found.hits)
        parts.append(Table("Found", ("kind", "file", "byte"), rows))
    if found.unread or looked.unread:
        named = [f"Not read: {name}." for name in (*looked.unread, *found.unread)]
        parts.append(Text("Not looked at", tuple(named)))
    return Document(
        f"Identifiers of {looked.site} outside its data",
        _verdict(found),
        _summary(looked),
        (*parts, Text("How to read this", _READING)),
        {
            "site": looked.site,
            "sources": looked.sources,
            "identifiers": found.identifiers,
            "too_short": found.too_short,
            "files": found.files,
            "bytes": found.bytes,
            "hits": [{"kind": x.kind, "file": x.file, "byte": x.offset} for x in found.hits],
            "unread": [*looked.unread, *found.unread],
        },
    )


def _verdict(found: Scan) -> Verdict:
    if not found.identifiers:
        return "nothing to look for"
    return "leaking" if found.hits else "sound"


def _place(offset: int) -> str:
    return "in its name" if offset < 0 else f"{offset:,}"


def _summary(looked: Looked) -> str:
    found = looked.scan
    where = f"{found.files:,} files, {found.bytes:,} bytes"
    if not found.identifiers:
        short = (
            f" but {found.too_short:,} that are too short to look for" if found.too_short else ""
        )
        return (
            f"{looked.sources:,} files of the data sets hold no identifier{short}: there was nothing to look for, so "
            f"nothing is known about {where}."
        )
    if not found.hits:
        return f"None of {found.identifiers:,} identifiers was found in {where}."
    files = len({hit.file for hit in found.hits})
    return f"{len(found.hits):,} places in {files:,} of {where} hold an identifier."


def _overview(looked: Looked) -> Table:
    found = looked.scan
    rows = (
        ("read for identifiers", f"{looked.sources:,} files"),
        ("looked for", f"{found.identifiers:,} identifiers"),
        ("too short to look for", f"{found.too_short:,}"),
        ("looked through", f"{found.files:,} files, {found.bytes:,} bytes"),
    )
    return Table("What was done", ("step", "extent"), rows)
