"""The lung-nodule archive: targeted CT round a nodule that a reader has marked; benign or malignant?"""

from __future__ import annotations

from simulations.hospitals.dicom_archive import DicomArchive, patient_coordinates
from simulations.hospitals.nodule_case import draw_case
from simulations.hospitals.plan import Archive, HospitalPlan, shuffled_labels

NAME = "lung-nodule"
MALIGNANT_SHARE = (0.50, 0.44, 0.56, 0.48)  # mild: who knows the hospital should learn little


def write(plan: HospitalPlan) -> Archive:
    """Write DICOM files and labels.csv (patient_id, label 0|1, x_mm, y_mm, z_mm of the mark)."""
    archive = DicomArchive(plan, NAME)
    share = MALIGNANT_SHARE[plan.index % len(MALIGNANT_SHARE)]
    labels = shuffled_labels(plan.random(NAME + "/labels"), plan.patients, (1 - share, share))
    rows = []
    for number, label in enumerate(labels):
        rng = plan.random(NAME, number)
        case = draw_case(rng, bool(label), plan.scanner)
        series = archive.add(number, case.volume, rng)
        rows.append([series.patient, str(label), *patient_coordinates(series, case.candidate)])
    return archive.finish(["patient_id", "label", "x_mm", "y_mm", "z_mm"], rows)
