"""Finding a study: by the path of its file, or by name where an installed package bundles some."""

from __future__ import annotations

from pathlib import Path

from common import plugins
from common.errors import StudyError


def study_path(named: str) -> Path:
    """Return the file of a study.

    Args:
        named: a path, or a name that a finder (entry points of the group `consilium.finders`) knows.

    Raises:
        StudyError: there is neither; the finders say what they know.
    """
    path = Path(named)
    if path.is_file():
        return path
    finders = sorted(plugins.registry("finders"))
    problem = StudyError(
        f"There is no study file '{named}'.", where=named, fix="Give the path of a study file."
    )
    for finder in finders:
        try:
            found = plugins.load("finders", finder)(named)
        except StudyError as error:
            problem = error
        except ImportError:
            continue
        else:
            return Path(found)
    raise problem
