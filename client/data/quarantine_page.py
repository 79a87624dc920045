"""The list of what was left out as a page for people. It names files, so it stays in the site's private folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from client.data.quarantine_advice import advice
from common.files import write_atomically

if TYPE_CHECKING:
    from client.data.quarantine import Quarantine

MOST_NAMES = 200
"""Of one reason on the page; the CSV beside it has all."""
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Left out: {{ title }}</title><style>{% include "theme.css" %}{% include "tables.css" %}
main { max-width: 68rem; margin: 0 auto; padding: 0 1.5rem 3rem; } section { padding-top: 1.6rem; }
ul { columns: 2 20rem; font-family: var(--mono); font-size: .84rem; overflow-wrap: anywhere; }
.keep { color: var(--soft); }</style></head><body><main>
<h1>{{ total }} files or rows of “{{ title }}” were left out</h1>
<p class="keep">This page names files. It stays in the hospital: do not send it to anybody outside.</p>
<p>Everything else was used. Nothing here stops a study; mend what is worth mending.</p>
{% if notes %}<section><h2>Used, but to be looked at</h2>{% for note in notes %}<p>{{ note }}</p>{% endfor %}</section>
{% endif %}{% for group in groups %}<section><h2>{{ group.count }} × {{ group.reason }}</h2><p>{{ group.advice }}</p>
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


def write_page(
    quarantine: Quarantine, path: Path, title: str, notes: Sequence[str] = (), kind: str = ""
) -> None:
    """Write the page, readable by its owner only; the write is atomic.

    Args:
        quarantine: what was left out.
        path: the page; the CSV with all names lies beside it.
        title: the data set's name.
        notes: what to look at among that which was used.
        kind: of the data set.

    Raises:
        MachineError: the folder cannot be written.
    """
    from jinja2 import Environment, PackageLoader

    loader = PackageLoader("common.charts", "templates")
    page = Environment(loader=loader, autoescape=True).from_string(_PAGE)
    text = page.render(
        title=title,
        notes=notes,
        total=quarantine.total,
        groups=list(_groups(quarantine, kind)),
        csv=path.with_suffix(".csv").name,
    )
    write_atomically(path, text.encode("utf-8", "backslashreplace"))


def _groups(quarantine: Quarantine, kind: str) -> Iterator[Group]:
    names: dict[str, list[str]] = {}
    for name, reason in quarantine.details:
        listed = names.setdefault(reason, [])
        if len(listed) < MOST_NAMES:
            listed.append(name)
    for reason, count in sorted(quarantine.counts.items(), key=lambda item: (-item[1], item[0])):
        yield Group(reason, count, advice(reason, kind), tuple(names.get(reason, ())))
