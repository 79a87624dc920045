"""The list of what was left out as a page for people. It names files, so it stays in the site's private folder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from common.files import write_atomically

if TYPE_CHECKING:
    from client.data.quarantine import Quarantine

MOST_NAMES = 200
"""Of one reason on the page; the CSV beside it has all."""
_ADVICE = {
    "duplicate": "The same image lies here twice. Nothing needs to be done: one of them is used.",
    "wrong modality": "The study asks for images of another kind. Nothing needs to be done.",
    "localizer image": "A scout view, not part of the series. Nothing needs to be done.",
    "patient without a label": "Add the patient to the table of labels if the study should use the images.",
    "not DICOM": "Another kind of file lies among the images. Nothing needs to be done.",
    "no pixel data": "A report, a plan or a damaged export. Export the series again if it should be an image.",
    "empty file": "An interrupted copy. Copy or export the file again.",
    "truncated": "An interrupted copy. Copy or export the file again.",
    "damaged header": "Export the file again from the archive.",
    "damaged": "Export the file again from the archive.",
    "archive cannot be read": "The .zip is damaged or incomplete. Copy it again.",
    "encrypted in the archive": "Unpack the archive with its password beside it.",
    "cannot be decoded": "No decoder for this compression is installed: `consilium site doctor` names the one to add.",
    "cannot be read": "The disk or the network share failed, or a permission is missing. It is tried again next time.",
    "takes too long to read": "The file keeps its decoder busy without end: it is damaged. Export it again.",
    "crashed the program that reads it": "The file makes a decoder fail: it is damaged. Export it again.",
    "needs too much memory": "The file unpacks to an impossible size: it is damaged, or made to do harm.",
    "no patient id": "The image does not say whose it is. Correct it in the archive, then export it again.",
    "geometry missing": "The image does not say where it lies in the body, which this study needs.",
    "broken link": "A link in the folder leads nowhere. Remove or mend it.",
    "folder cannot be read": "Give the account that runs Consilium the right to read the folder.",
}
_OTHER = (
    "See the documentation of the data, or ask the coordinator with the reason (not with the file)."
)
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Left out: {{ title }}</title><style>{% include "theme.css" %}{% include "tables.css" %}
main { max-width: 68rem; margin: 0 auto; padding: 0 1.5rem 3rem; } section { padding-top: 1.6rem; }
ul { columns: 2 20rem; font-family: var(--mono); font-size: .84rem; overflow-wrap: anywhere; }
.keep { color: var(--soft); }</style></head><body><main>
<h1>{{ total }} files or rows of “{{ title }}” were left out</h1>
<p class="keep">This page names files. It stays in the hospital: do not send it to anybody outside.</p>
<p>Everything else was used. Nothing here stops a study; mend what is worth mending.</p>
{% for group in groups %}<section><h2>{{ group.count }} × {{ group.reason }}</h2><p>{{ group.advice }}</p>
<details><summary>Names</summary><ul>{% for name in group.names %}<li>{{ name }}</li>{% endfor %}</ul>
{% if group.more %}<p class="keep">and {{ group.more }} more, see {{ csv }}</p>{% endif %}</details></section>
{% endfor %}</main></body></html>
"""


@dataclass(frozen=True)
class Group:
    """What was left out for one reason: how many, what to do, and the first names."""

    reason: str
    count: int
    advice: str
    names: tuple[str, ...]

    @property
    def more(self) -> int:
        """How many names are not listed."""
        return self.count - len(self.names)


def write_page(quarantine: Quarantine, path: Path, title: str) -> None:
    """Write the page, readable by its owner only; the write is atomic.

    Args:
        quarantine: what was left out.
        path: the page; the CSV with all names lies beside it.
        title: the data set's name.

    Raises:
        MachineError: the folder cannot be written.
    """
    from jinja2 import Environment, PackageLoader

    loader = PackageLoader("common.charts", "templates")
    page = Environment(loader=loader, autoescape=True).from_string(_PAGE)
    text = page.render(
        title=title,
        total=quarantine.total,
        groups=list(_groups(quarantine)),
        csv=path.with_suffix(".csv").name,
    )
    write_atomically(path, text.encode("utf-8", "backslashreplace"))


def advice(reason: str) -> str:
    """Return what can be done about a reason."""
    start = reason.partition(":")[0]
    return _ADVICE.get(reason) or _ADVICE.get(start) or _OTHER


def _groups(quarantine: Quarantine) -> Iterator[Group]:
    names: dict[str, list[str]] = {}
    for name, reason in quarantine.details:
        listed = names.setdefault(reason, [])
        if len(listed) < MOST_NAMES:
            listed.append(name)
    for reason, count in sorted(quarantine.counts.items(), key=lambda item: (-item[1], item[0])):
        yield Group(reason, count, advice(reason), tuple(names.get(reason, ())))
