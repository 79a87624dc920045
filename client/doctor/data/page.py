"""The doctor's page: findings, thumbnails and histograms. It shows patients' images, so it stays in the hospital."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from common.files import write_atomically

if TYPE_CHECKING:
    from client.doctor.data.look import StudyLook
    from client.doctor.findings import Finding
    from client.site import Site

FILE_NAME = "doctor.html"
_PAGE = """{% from "plots.j2" import figure %}<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta name="robots" content="noindex"><title>Doctor: {{ site }}</title>
<style>{% include "theme.css" %}{% include "tables.css" %}{% include "charts.css" %}
body { max-width: 72rem; } section { padding-top: 1.8rem; } h3 { margin: 1rem 0 .4rem; }
.keep { margin-top: 1rem; border: 2px solid var(--bad); border-radius: 8px; padding: .7rem 1rem; font-weight: 600; }
th, td { padding: .4rem .8rem .4rem 0; border-bottom: 1px solid var(--fine); text-align: left; vertical-align: top; }
.level { font-weight: 600; white-space: nowrap; } .red { color: var(--bad); } .amber { color: var(--warn-edge); }
.green { color: var(--accent); } .fix { color: var(--soft); } .row { display: flex; flex-wrap: wrap; gap: .5rem; }
.row img { width: 96px; height: 96px; object-fit: contain; image-rendering: pixelated; background: #000; }</style>
</head>
<body>
<h1>What the doctor found at “{{ site }}”</h1>
<p class="keep">This page is made from patients' data. It must not leave the hospital: do not send it to anybody
outside, the coordinator included.</p>
<section><h2>Findings</h2><table><thead><tr><th>check</th><th>state</th><th>what</th></tr></thead><tbody>
{% for heading, finding in findings %}<tr><td>{{ heading }}</td>
<td class="level {{ finding.level }}">{{ finding.level }}</td><td>{{ finding.text }}
{% if finding.fix %}<br><span class="fix">{{ finding.fix }}</span>{% endif %}</td></tr>
{% endfor %}</tbody></table></section>
{% for gallery in galleries %}{% if loop.first %}<section><h2>As the model sees them</h2>{% endif %}
<h3>{{ gallery.title }}</h3><div class="row">
{% for picture in gallery.pictures %}<img src="{{ picture }}" alt="a sample of {{ gallery.title }}">{% endfor %}
</div>{% if loop.last %}</section>{% endif %}{% endfor %}
{% if plots %}<section><h2>How the values are spread</h2><div class="pair">
{% for plot in plots %}{{ figure(plot, "plot-%d" % loop.index) }}{% endfor %}
</div></section>{% endif %}</body></html>
"""


def write_page(
    path: Path, site: Site, findings: Sequence[tuple[str, Finding]], look: StudyLook | None
) -> None:
    """Write the page, readable by its owner only.

    Args:
        path: the file.
        site: the hospital.
        findings: with their headings.
        look: what was found out about a study's data; none: the page has findings alone.

    Raises:
        MachineError: the file cannot be written.
    """
    from common.charts.pages import environment

    pictures, plots = [], []
    if look is not None:
        from client.doctor.data.figures import galleries, histograms

        pictures, plots = list(galleries(look)), list(histograms(look))
    made = environment("common.charts").from_string(_PAGE)
    text = made.render(site=site.name, findings=findings, galleries=pictures, plots=plots)
    write_atomically(path, text.encode("utf-8", "backslashreplace"))
