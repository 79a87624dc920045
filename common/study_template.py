"""Commented study files to start from, one a kind of data."""

from __future__ import annotations

import re
from pathlib import Path

from common import plugins
from common.errors import StudyError

HEAD = """\
# A Consilium study. Check it with: consilium study check FILE
[study]
name = "{name}"                 # lower-case letters, digits, dashes
title = ""
seed = 7                        # of the initial weights; never of noise or sampling
"""

FOLDER = Path(__file__).parent / "study_templates"
BODIES = {path.stem: path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.toml"))}
"""By kind of data, a task, a model and the data: a file a kind."""

TAIL = """
[training]
optimizer = "sgd"               # or "adam"
learning_rate = 0.1
momentum = 0.9
local_steps = 10                # a round; or local_epochs
# augment = ["flip", "rotate"]  # images only

[privacy]
enabled = true
unit = "patient"
epsilon = 8.0                   # over all rounds; or noise_multiplier
delta = 1e-3                    # at most 1 / (2 × patients of the smallest site)
clip_norm = 1.0
sampling_rate = "1/10"          # of Poisson sampling; or units_per_step
samples_per_patient = 4         # at most, in one step

[federation]
rounds = 10
algorithm = "fedavg"            # or { name = "fedprox", proximal_mu = 0.01 }, fedadam, median, krum …
min_sites = 2

[evaluation]
per = "patient"
every = 1                       # rounds
"""


def template(kind: str, name: str) -> str:
    """Return a commented study file.

    Raises:
        StudyError: there is no such kind of data.
    """
    if kind not in BODIES:
        raise StudyError(
            f"There is no kind of data '{kind}'.",
            where="--kind",
            fix=f"{plugins.nearest(kind, BODIES)}Known: {', '.join(BODIES)}.",
        )
    cleaned = re.sub(r"[^a-z0-9-]+", "-", name.lower()).strip("-") or "my-study"
    return "\n".join([HEAD.format(name=cleaned), BODIES[kind]]) + TAIL
