"""Commented study files to start from, one a kind of data."""

from __future__ import annotations

import re

from common import plugins
from common.errors import StudyError

HEAD = """\
# A Consilium study. Check it with: consilium study check FILE
[study]
name = "{name}"                 # lower-case letters, digits, dashes
title = ""
seed = 7                        # of the initial weights; never of noise or sampling
"""

BODIES = {
    "dicom": """
[task]
name = "classification"
classes = ["benign", "malignant"]   # as in the labels; of two, the second is the positive one

[model]
name = "compact-cnn"            # consilium study check names the others if you mistype one

[data]
kind = "dicom"
# dataset = "lung-nodule"       # [data.NAME] in the sites' site.toml; may be left out where they have one
image_size = 28                 # px
spacing_mm = 1.0                # resampled to
centre = "point"                # crop round the labels' x_mm, y_mm, z_mm; or "image"
slices = 3                      # nearest to the point; or "all"
window_centre = -600.0          # HU
window_width = 1500.0           # HU
test_fraction = 0.25            # of the patients, held out
""",
    "arrays": """
[task]
name = "classification"
classes = ["normal", "pneumonia"]

[model]
name = "seed-cnn-28"

[data]
kind = "arrays"                 # .npz files with images and labels
image_size = 28                 # px
value_min = 0.0                 # public constants that map to -1 and 1
value_max = 255.0
test_fraction = 0.25
""",
    "table": """
[task]
name = "classification"
classes = ["healthy", "ill"]

[model]
name = "mlp"
hidden = [32, 16]

[data]
kind = "table"
target = "target"               # column
positive = [1]                  # its values that mean the second class
test_fraction = 0.25

[[data.features]]
name = "age"
type = "number"
minimum = 20.0                  # public range, in the column's unit (years)
maximum = 90.0
fill = 55.0                     # public constant for a missing value

[[data.features]]
name = "sex"
type = "flag"
""",
    "series": """
[task]
name = "forecasting"

[model]
name = "lstm"
hidden_size = 32
residual = true                 # predict the change from the last value

[data]
kind = "series"
step_minutes = 5.0
history_minutes = 120.0
horizons_minutes = [30.0, 60.0]
unit = "mg/dL"
minimum = 40.0                  # public range, in that unit
maximum = 400.0
valid_minimum = 20.0            # readings outside are impossible and count as missing
valid_maximum = 600.0
max_gap_minutes = 15.0          # longer gaps are not bridged
stride_minutes = 30.0           # between the starts of two windows
test_fraction = 0.25
""",
    "records": """
[task]
name = "classification"
classes = ["alive", "dead"]

[model]
name = "gru"
hidden_size = 8

[data]
kind = "records"                # irregular readings on a grid, and a later outcome
target = "outcome"              # column of the sites' table of outcomes
positive = ["dead"]
history_minutes = 1440.0        # of each record, from its time zero (an admission)
step_minutes = 60.0
lead_minutes = 0.0              # the outcome lies at least so long after the window
min_readings = 6                # leave out a record with fewer
test_fraction = 0.25

[[data.variables]]
name = "heart_rate"
unit = "/min"
minimum = 30.0                  # public range, in that unit
maximum = 200.0
valid_minimum = 10.0            # readings outside are impossible and count as missing
valid_maximum = 350.0
combine = "mean"                # of a step's readings; or "last", "minimum", "maximum"
carry_minutes = 120.0           # how long a reading stays good
missing_indicator = true

[[data.features]]               # known from the start
name = "age"
minimum = 18.0
maximum = 90.0
fill = 60.0
""",
    "signals": """
[task]
name = "classification"
classes = ["normal", "arrhythmia"]  # as in the labels; of two, the second is the positive one

[model]
name = "gru"
hidden_size = 16

[data]
kind = "signals"                # WFDB, EDF or text recordings
sampling_hz = 50.0              # every recording is resampled to it
window_seconds = 4.0
stride_seconds = 4.0            # between the starts of two windows
max_gap_seconds = 0.05          # lost samples are bridged up to this
max_samples_per_patient = 200
test_fraction = 0.25

[[data.channels]]
name = "II"
unit = "mV"
minimum = -2.0                  # public range, in that unit
maximum = 2.0
valid_minimum = -20.0           # samples outside are impossible and count as lost
valid_maximum = 20.0
""",
}

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
    return HEAD.format(name=cleaned) + BODIES[kind] + TAIL
