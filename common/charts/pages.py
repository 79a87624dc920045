"""The template environment of every report page: escaped, strict, with the shared plots and the shared look."""

from __future__ import annotations

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from common.charts import numbers

_FILTERS = ("fixed", "count", "upper", "size", "duration", "percent", "moment")


def environment(package: str) -> Environment:
    """Return the environment of a package with a `templates` folder.

    Beside the package's own templates it finds `plots.j2` (plots as figures), `theme.css` (colours and type) and
    `charts.css` (how plots look). Every string is escaped; an undefined name is an error.
    """
    made = Environment(
        loader=ChoiceLoader(
            [PackageLoader(package, "templates"), PackageLoader("common.charts", "templates")]
        ),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update({name: getattr(numbers, name) for name in _FILTERS})
    return made
