"""The table of results in `benchmarks/RESULTS.md`, between two marks."""

from __future__ import annotations

from pathlib import Path

from benchmarks.tasks.case import Result, saved

PAGE = Path(__file__).parents[1] / "RESULTS.md"
BEGIN, END = "<!-- bench-tasks -->", "<!-- /bench-tasks -->"
HEAD = """\
| study | figure | trivial | without privacy | ε = 8 | ε = 3 | one place: passes | one place: steps | alone | s/round |
|---|---|---|---|---|---|---|---|---|---|"""
INTRO = """\
## Tasks (`make bench-tasks`)
Figures are of the held-out patients of all sites together. *One place*: the same training on all sites' patients in
one house, with as many passes over them as a site makes over its own (so, with four sites, four times as many steps),
and with as many steps as a site takes. *Alone*: each site's own model, tried on all sites' held-out patients; the mean.
ε is for each patient over the whole study, δ as the study says. *Seconds a round*: of a private round, the median."""


def line(result: Result) -> str:
    """Return a row of the table."""
    digits = 3 if result.trivial is None or result.trivial < 2 else 1
    figures = (
        result.trivial,
        result.without,
        result.epsilon_8,
        result.epsilon_3,
        result.in_one_place,
        result.same_steps,
        result.alone,
    )
    shown = ["–" if value is None else f"{value:.{digits}f}" for value in figures]
    if result.target is not None:
        shown[1] += f" (target {result.target:g})"
    return " | ".join([f"| {result.name}", result.metric, *shown, f"{result.seconds:.1f} |"])


def write(page: Path = PAGE) -> None:
    """Put all saved results into the page, in the place of the table that is there."""
    results = saved()
    machines = ", ".join(sorted({result.machine for result in results}))
    rows = "\n".join([HEAD, *map(line, results)])
    section = f"{BEGIN}\n{INTRO}\nMachine: {machines}.\n\n{rows}\n{END}"
    text = page.read_text(encoding="utf-8")
    before, mark, rest = text.partition(BEGIN)
    after = rest.partition(END)[2] if mark else "\n"
    page.write_text(f"{before.rstrip()}\n\n{section}{after}", encoding="utf-8")
