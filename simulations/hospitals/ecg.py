"""The ecg archive: ten-second recordings of three leads in WFDB, of hearts in one of four rhythms.

Hospitals differ as they do: in the recorder's rate and gain, in the mains that hum along, and in who comes to them.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from simulations.hospitals.ecg_waves import LEADS, RHYTHMS, draw_heart, draw_signal
from simulations.hospitals.plan import Archive, HospitalPlan, shuffled_labels

NAME = "ecg"
SECONDS = 10.0
MOST_RECORDINGS = 2


@dataclass(frozen=True)
class Recorder:
    """One hospital's machine.

    Attributes:
        rate_hz: samples a second.
        gain: steps of the converter in one `unit`.
        unit: that the header states.
        mains_hz: of the hum.
        hum: its height, mV.
        shares: of the rhythms, in the order of `RHYTHMS`.
    """

    rate_hz: int
    gain: float
    unit: str
    mains_hz: float
    hum: float
    shares: tuple[float, ...]


RECORDERS = (
    Recorder(360, 200.0, "mV", 60.0, 0.010, (0.40, 0.25, 0.20, 0.15)),
    Recorder(250, 400.0, "mV", 50.0, 0.030, (0.30, 0.40, 0.20, 0.10)),
    Recorder(500, 1.0, "uV", 50.0, 0.015, (0.45, 0.15, 0.20, 0.20)),
    Recorder(257, 1000.0, "mV", 50.0, 0.005, (0.35, 0.25, 0.30, 0.10)),
)


def write(plan: HospitalPlan) -> Archive:
    """Write one WFDB record a recording, and labels.csv: record, patient_id, label."""
    records = plan.folder / NAME / "records"
    records.mkdir(parents=True)
    recorder = RECORDERS[plan.index % len(RECORDERS)]
    labels = shuffled_labels(plan.random(NAME), plan.patients, recorder.shares)
    path = plan.folder / NAME / "labels.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["record", "patient_id", "label"])
        for number, label in enumerate(labels):
            for record in _write_patient(plan, number, RHYTHMS[label], recorder, records):
                writer.writerow([record, plan.identifier(NAME, number), RHYTHMS[label]])
    return Archive(NAME, "signals", f"{NAME}/records", plan.patients, labels=f"{NAME}/labels.csv")


def _write_patient(
    plan: HospitalPlan, number: int, rhythm: str, recorder: Recorder, folder: Path
) -> list[str]:
    """Write a patient's recordings; return their names."""
    rng = plan.random(NAME, number + 1)  # number 0 drew the rhythms
    heart = draw_heart(rng)
    names = [f"{number:05d}-{visit}" for visit in range(int(rng.integers(1, MOST_RECORDINGS + 1)))]
    for name in names:
        signal = draw_signal(rhythm, heart, rng, SECONDS, recorder.rate_hz)
        write_record(folder, name, signal + _hum(rng, len(signal), recorder), recorder)
    return names


def _hum(rng: np.random.Generator, samples: int, recorder: Recorder) -> NDArray[np.float64]:
    """Return the hum of the mains, `[T, 1]` in mV."""
    turns = recorder.mains_hz * np.arange(samples) / recorder.rate_hz + rng.random()
    hum: NDArray[np.float64] = recorder.hum * np.sin(2 * np.pi * turns)[:, None]
    return hum


def write_record(folder: Path, name: str, signal: NDArray[np.float64], recorder: Recorder) -> None:
    """Write a header and its samples in format 16 (header(5), signal(5) of the WFDB manual).

    Args:
        folder: where.
        name: of the record.
        signal: `[T, leads]` in mV.
        recorder: gives rate, gain and unit.
    """
    per_unit = 1.0 if recorder.unit == "mV" else 1000.0
    limit = np.iinfo(np.int16).max
    steps = np.clip(np.rint(signal * per_unit * recorder.gain), -limit, limit).astype("<i2")
    (folder / f"{name}.dat").write_bytes(steps.tobytes())
    lines = [f"{name} {len(LEADS)} {recorder.rate_hz} {len(steps)}"]
    for lead, column in zip(LEADS, steps.T, strict=True):
        checksum = np.sum(column, dtype=np.int16)
        gain = f"{recorder.gain:g}(0)/{recorder.unit}"
        lines.append(f"{name}.dat 16 {gain} 16 0 {column[0]} {checksum} 0 {lead}")
    (folder / f"{name}.hea").write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
