"""The run report: one self-contained page that says what was learned and what it cost.

`build(run)` reads a finished run folder and writes `report.html` into it.
"""

from server.report.page import build

__all__ = ["build"]
