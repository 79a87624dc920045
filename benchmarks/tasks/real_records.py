"""Real records: mortality in intensive care (eICU, four regions) and heart disease (UCI, four hospitals).

Study and site files are those of docs/real-data.md, word by word: what a reader copies is what is measured. Nothing in
them was chosen by looking at held-out patients.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from benchmarks.tasks.case import Case

PAGE = Path(__file__).parents[2] / "docs" / "real-data.md"
COLLECTIONS = {
    "eicu-mortality": (
        "Mortality in intensive care",
        {"Midwest": 500, "South": 450, "West": 300, "Northeast": 110},
        0.82,
    ),
    "heart-disease": (
        "Heart disease",
        {"cleveland": 300, "hungarian": 300, "switzerland": 120, "va": 200},
        None,
    ),
}
"""Study: its section of the page, patients a site as the page declares them, the AUC to reach without privacy."""
SITE = re.compile(r"REGION|HOUSE")


def cases(folder: Path, data: Path) -> Iterator[Case]:
    """Yield the studies after writing their files.

    Args:
        folder: where to.
        data: the collections.
    """
    for name, (section, sites, target) in COLLECTIONS.items():
        place = folder / name
        files = _files(section)
        (study,) = (text for file, text in files.items() if file == f"{name}.toml")
        (template,) = (text for file, text in files.items() if file.endswith("-site.toml"))
        for site, count in sites.items():
            own = place / "sites" / site
            own.mkdir(parents=True)
            text = SITE.sub(site, template).replace("COUNT", str(count))
            (own / "site.toml").write_text(text.replace("../../data", str(data)), encoding="utf-8")
        (place / f"{name}.toml").write_text(study, encoding="utf-8")
        yield Case(name, place / f"{name}.toml", place / "sites", target)


def _files(section: str) -> dict[str, str]:
    """Return the files that a section of the page shows, by name."""
    (text,) = (
        part
        for part in PAGE.read_text(encoding="utf-8").split("\n## ")[1:]
        if part.startswith(section)
    )
    return dict(re.findall(r"```toml\n# (\S+)\n(.*?)```", text, re.DOTALL))
