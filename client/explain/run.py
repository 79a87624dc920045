"""Explains cases with a run's final model, and writes the page and the pictures."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from client.data.config import DatasetConfig
from client.data.quarantine import Quarantine
from client.explain import baselines
from client.explain.choice import cases_named
from client.explain.explainer import Explainer, Order
from client.explain.page import CaseShown, write_page
from client.use.datasets import describe
from client.use.forward import most
from client.use.inputs import reader_of
from client.use.naming import Naming
from client.use.writing import make_folder
from common.errors import DataError, StudyError
from common.files import write_atomically


@dataclass(frozen=True)
class Outcome:
    """How many cases were explained, and what could not be used."""

    cases: int
    left_out: Quarantine


def explain(order: Order, path: Path | None) -> Outcome:
    """Explain cases of the data at a path, or in the order's parts; neither: of the site's own data set.

    Raises:
        StudyError, DataError: the data cannot be used, a case or an answer is not there, or no method suits the
            network; nothing was written.
        MachineError: the pages cannot be written.
    """
    spec = order.trained.study.data
    own = path is None and not order.beside.parts
    dataset = _own_data(order) if own else describe(path, spec, order.site, order.beside)
    cases = most(reader_of(spec.kind)(dataset, spec), spec)
    told = Naming(order.site, order.own_names).of(cases.names, dataset)
    usable = sorted(set(cases.case.tolist()))
    chosen = cases_named(order.cases, [cases.names[n] for n in usable], [told[n] for n in usable])
    if not chosen:
        raise DataError(f"No case is usable. Left out: {cases.quarantine.summary()}.")
    explainer = Explainer(order, cases)
    shown = [explainer.case(usable[place], told[usable[place]]) for place in chosen]
    explainer.require_explained()
    make_folder(order.out)
    _write(order, shown, explainer)
    return Outcome(len(shown), cases.quarantine)


def _own_data(order: Order) -> DatasetConfig:
    if order.site is None:
        raise StudyError(
            "There is nothing to explain.",
            where="INPUT",
            fix="Give the path of the data, or the site's folder with --site.",
        )
    return order.site.dataset(order.trained.study.data)


def _write(order: Order, shown: list[CaseShown], explainer: Explainer) -> None:
    study = order.trained.study
    for stem, arrays in explainer.numbers.items():
        content = io.BytesIO()
        np.savez_compressed(content, **arrays)  # type: ignore[arg-type]
        write_atomically(order.out / f"{stem}.npz", content.getvalue())
    write_page(
        order.out,
        shown,
        study=study.study.title or study.name,
        version=order.trained.version,
        baseline=baselines.words(study.data),
    )
