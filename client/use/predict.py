"""Predicts new cases with a run's final model, and writes what it says."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from client.data.config import DatasetConfig, DicomDataset
from client.data.quarantine import Quarantine
from client.site import Site
from client.use.answers import Columns, answers
from client.use.datasets import Beside, describe
from client.use.forward import by_case, most, outputs_of, pools
from client.use.images import files
from client.use.in_patient import in_patient
from client.use.inputs import reader_of
from client.use.naming import Naming
from client.use.writing import make_folder, write_left_out, write_masks, write_table
from common.data_spec import ImageSpec
from common.errors import DataError
from common.trained import Trained

if TYPE_CHECKING:
    import torch

    from client.use.cases import Cases

TABLE = "predictions.csv"
LEFT_OUT = "left-out.csv"


@dataclass(frozen=True)
class Order:
    """What is wanted.

    Attributes:
        trained: the model.
        out: folder of the results, new or empty.
        device: where the network runs.
        site: the house; none: data are described by the study's own names.
        own_names: write the house's names of cases instead of pseudonyms.
        dicom: write DICOM objects and NIfTI files beside the table.
        beside: files beside the inputs.
    """

    trained: Trained
    out: Path
    device: torch.device
    site: Site | None = None
    own_names: bool = False
    dicom: bool = True
    beside: Beside = field(default_factory=Beside)


@dataclass(frozen=True)
class Outcome:
    """What was done with one input.

    Attributes:
        cases: how many were predicted.
        left_out: what could not be used.
        notes: sentences for the user; no names.
    """

    cases: int
    left_out: Quarantine
    notes: tuple[str, ...] = ()


def predict(order: Order, path: Path | None) -> Outcome:
    """Predict all cases and write `predictions.csv`, and what else there is, into the folder.

    Args:
        order: what is wanted.
        path: where the data are; none: in the order's parts.

    Raises:
        StudyError, DataError: the data cannot be used; nothing was predicted.
        MachineError: the results cannot be written.
    """
    spec = order.trained.study.data
    dataset = describe(path, spec, order.site, order.beside)
    make_folder(order.out)
    naming = Naming(order.site, order.own_names)
    if _draws(order.trained) and isinstance(dataset, DicomDataset):
        outcome = _draw(order, dataset, naming)
    else:
        outcome = _answer(order, dataset, naming)
    write_left_out(order.out / LEFT_OUT, outcome.left_out)
    if not outcome.cases:
        raise DataError(
            f"No case can be predicted. Left out: {outcome.left_out.summary()}.",
            where="--part" if path is None else str(path),
            fix=f"{LEFT_OUT} beside the results says what, and why."
            if outcome.left_out.total
            else "",
        )
    return outcome


def _answer(order: Order, dataset: DatasetConfig, naming: Naming) -> Outcome:
    """Write one row a case, or a sample where samples count on their own."""
    trained = order.trained
    cases = most(
        reader_of(trained.study.data.kind)(dataset, trained.study.data), trained.study.data
    )
    if not len(cases.case):
        return Outcome(0, cases.quarantine)
    outputs = outputs_of(trained, cases.inputs, order.device)
    names = naming.of(cases.names, dataset)
    if _draws(trained):
        return _masks(order, cases, outputs, names)
    problems: list[str] = []
    if pools(trained.study, trained.task):
        found = sorted(set(cases.case.tolist()))
        means = by_case(outputs, cases.case, len(cases.names))[found]
        told = answers(trained.study, trained.task, means)
        counts = Counter(cases.case.tolist())
        about: Columns = {"case": [names[number] for number in found]}
        about |= {"samples": [counts[number] for number in found]}
        if cases.cuts and order.dicom:
            problems = _reports(order, cases, found, told)
    else:
        told = answers(trained.study, trained.task, outputs)
        spec = trained.study.data
        if isinstance(spec, ImageSpec) and "row_1" in told and not _moved(spec):
            told = in_patient(told, cases.cuts, spec)
        about = {"case": [names[number] for number in cases.case]}
        about |= _which(order, cases)
    write_table(order.out / TABLE, about | told)
    return Outcome(len(about["case"]), cases.quarantine, (*cases.notes, *problems))


def _which(order: Order, cases: Cases) -> Columns:
    """Return what tells a case's samples apart; files have names that may identify."""
    named = {"file": files(cases.cuts)} if cases.cuts and order.own_names else {}
    return {name: list(values) for name, values in cases.about.items()} | named


def _draws(trained: Trained) -> bool:
    """Tell whether the model draws masks: a task that learns from them may answer with something else."""
    return trained.study.data.target_kind == "mask" and not hasattr(trained.task, "answers")


def _moved(spec: ImageSpec) -> bool:
    """Tell whether steps move pixels, so that those of a sample are no longer those of the image."""
    return any(hasattr(step.kind()[0], "masks") for step in spec.steps)


def _reports(order: Order, cases: Cases, found: list[int], told: Columns) -> list[str]:
    from client.use.reports import write_reports

    return write_reports(order.out, order.trained, cases, found, told)


def _masks(order: Order, cases: Cases, outputs: torch.Tensor, names: list[str]) -> Outcome:
    """Write the masks of images in an array, and how many pixels each structure has."""
    from client.use.segment import require_in_place

    require_in_place(order.trained.study.data)
    masks = outputs.argmax(1).byte().numpy()
    write_masks(order.out / "masks.npz", masks)
    structures = enumerate(_structures(order.trained), start=1)
    pixels = {
        f"px_{name}": (masks == n).reshape(len(masks), -1).sum(1).tolist() for n, name in structures
    }
    about: Columns = {"case": [names[number] for number in cases.case]}
    write_table(order.out / TABLE, about | _which(order, cases) | pixels)
    return Outcome(len(masks), cases.quarantine, cases.notes)


def _structures(trained: Trained) -> tuple[str, ...]:
    return tuple(getattr(trained.study.data, "structures", ()))


def _draw(order: Order, dataset: DicomDataset, naming: Naming) -> Outcome:
    """Write the masks of every series, and how large each structure is."""
    from client.use.reports import author_of, write_drawn
    from client.use.segment import Drawing

    drawing = Drawing(order.trained, dataset, order.device)
    structures, author = _structures(order.trained), author_of(order.trained)
    columns: Columns = {"case": [], "file": [], "slices": []} | {f"ml_{n}": [] for n in structures}
    problems: list[str] = []
    names: dict[int, str] = {}
    series: Counter[int] = Counter()
    for drawn in drawing.series():
        series[drawn.case] += 1
        names[drawn.case] = drawn.name
        stem = f"case-{drawn.case + 1:04d}-series-{series[drawn.case]}"
        columns["case"].append(drawn.case)
        columns["file"].append(stem)
        columns["slices"].append(len(drawn.slices))
        for number, name in enumerate(structures, start=1):
            columns[f"ml_{name}"].append(_rounded(drawn.millilitres(number)))
        if order.dicom:
            problems += write_drawn(order.out, stem, drawn, structures, author)
    told = dict(zip(names, naming.of(list(names.values()), dataset), strict=True))
    columns["case"] = [told[number] for number in columns["case"]]
    write_table(order.out / TABLE, columns)
    return Outcome(len(columns["file"]), drawing.quarantine, (*problems, *drawing.notes))


def _rounded(value: float) -> float | str:
    return "" if np.isnan(value) else round(value, 3)
