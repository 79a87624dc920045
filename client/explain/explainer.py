"""Explains the samples of cases, one case after another."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from client.explain.choice import samples_shown
from client.explain.figures import figures_of, molecule_figures, of_atoms
from client.explain.methods import METHODS, adds_up, explained, suited
from client.explain.page import CaseShown, SampleShown
from client.explain.parts import parts_shown
from client.explain.question import Question, Unsuited
from client.explain.scores import Score, asked, scores_of, usual
from client.explain.views import View, views_of
from client.site import Site
from client.use.answers import answers
from client.use.cases import Cases
from client.use.datasets import Beside
from client.use.forward import outputs_of, pools
from common.errors import StudyError
from common.trained import Trained

Floats = NDArray[np.float32]
Numbers = NDArray[np.int64]
ANSWERS = 8
"""Columns of the answer that the page shows, at most."""


@dataclass(frozen=True)
class Order:
    """What is wanted.

    Attributes:
        trained: the model.
        out: folder of the page, new or empty.
        device: where the network runs.
        methods: names, in the order of the page.
        cases: the cases' names; none: the first few.
        target: the answer that is explained; none: the usual one.
        samples: of a case, at most.
        site: the house; none: data are described by the study's own names.
        own_names: write the house's names of cases instead of pseudonyms.
        beside: files beside the inputs.
    """

    trained: Trained
    out: Path
    device: torch.device
    methods: list[str]
    cases: tuple[str, ...] = ()
    target: str | None = None
    samples: int = 2
    site: Site | None = None
    own_names: bool = False
    beside: Beside = field(default_factory=Beside)


class Explainer:
    """Explains one case after another.

    Args:
        order: what is wanted.
        cases: all cases.

    Attributes:
        numbers: what was found, by file name and method, and the sample itself.
    """

    def __init__(self, order: Order, cases: Cases) -> None:
        self._order, self._cases = order, cases
        self._study = order.trained.study
        self._scores = scores_of(self._study, order.trained.task)
        self._network = order.trained.network.to(order.device).eval()
        self.numbers: dict[str, dict[str, Floats]] = {}
        self._any = False  # a method has explained a sample
        self._unsuited: dict[str, str] = {}  # why, by method
        self._asked: Question | None = None  # the question that came last

    def case(self, number: int, name: str) -> CaseShown:
        """Explain the samples of a case that say most."""
        rows = np.flatnonzero(self._cases.case == number)
        raw = self._cases.inputs[rows]
        outputs = outputs_of(self._order.trained, raw, self._order.device)
        pooled = pools(self._study, self._order.trained.task)
        whole = outputs.mean(0, keepdim=True)
        wanted = self._order.target
        score = (
            usual(self._study, self._scores, whole)
            if wanted is None
            else asked(self._scores, wanted)
        )
        each = score.of(outputs).double().numpy()
        places = samples_shown(each, self._order.samples, pooled)
        samples = tuple(
            shown
            for place in places
            for shown in self._sample(raw[place : place + 1], score, rows, place)
        )
        row = whole if pooled else outputs[places[-1] :][:1]
        return CaseShown(name, self._answer(row), samples)

    def require_explained(self) -> None:
        """Check that some method has explained some sample.

        Raises:
            StudyError: none of those asked for suits the network; those that do are named.
        """
        if self._any or self._asked is None:
            return
        reasons = "; ".join(f"{METHODS[name].title}: {why}" for name, why in self._unsuited.items())
        raise StudyError(
            f"No method asked for can explain this network ({reasons}).",
            where="--method",
            fix=f"These can: {', '.join(suited(self._asked))}.",
        )

    def _answer(self, outputs: torch.Tensor) -> dict[str, Any]:
        """Return what the model answers, in words; a map has no words."""
        if outputs.ndim > 2:
            return {}
        told = answers(self._study, self._order.trained.task, outputs)
        return {name: values[0] for name, values in list(told.items())[:ANSWERS]}

    def _sample(self, raw: Floats, score: Score, rows: Numbers, place: int) -> list[SampleShown]:
        """Explain a sample; of fused data its parts together, then each of them."""
        row = int(rows[place])
        smiles = {part: each[row] for part, each in self._cases.smiles.items()}
        views = list(
            views_of(self._study.data, self._network, score, raw, smiles, self._order.device)
        )
        stem = f"case-{self._cases.case[rows[0]] + 1:04d}-sample-{place + 1}"
        title = f"Sample {place + 1} of {len(rows)}{self._about(row)}"
        shown = [self._view(view, stem, title) for view in views]
        together = parts_shown(views, self._study.data, stem, title)
        return [*together, *shown]

    def _view(self, view: View, stem: str, title: str) -> SampleShown:
        question = view.question
        sample = question.sample[0].cpu().numpy()
        found: dict[str, Floats] = {}
        notes = []
        for name in self._order.methods:
            try:
                found[name] = explained(name, question)
            except Unsuited as reason:
                self._unsuited[name] = str(reason)
                notes.append(f"No {METHODS[name].title}: {reason}.")
        self._any, self._asked = self._any or bool(found), question
        notes += _remainder(found, question)
        stem = f"{stem}-{view.name}" if view.name else stem
        self.numbers[stem] = found | {"sample": sample}
        if question.molecule is not None:
            atoms = {name: of_atoms(name, found[name], question.molecule) for name in found}
            self.numbers[stem] |= {f"{name}-by-atom": each for name, each in atoms.items()}
            figures = molecule_figures(stem, atoms, question.molecule)
        else:
            figures = figures_of(stem, sample, found, question.fields)
        return SampleShown(
            title=f"{title}: {view.name}" if view.name else title,
            meaning=question.score.meaning,
            score=f"{question.value:.3g}",
            start=f"{question.start:.3g}",
            figures=tuple(figures),
            notes=tuple(notes),
            pictures=question.fields is None or question.molecule is not None,
        )

    def _about(self, row: int) -> str:
        """Return what else is known of a sample, its time, say."""
        return "".join(f", {name} {values[row]}" for name, values in self._cases.about.items())


def _remainder(found: dict[str, Floats], question: Question) -> list[str]:
    """Say so where integrated gradients miss a part of what they should add up to."""
    values = found.get("integrated-gradients")
    if values is None or adds_up(float(values.sum()), question):
        return []
    told = f"{values.sum():.3g} of a difference of {question.value - question.start:.3g}"
    return [f"Integrated gradients add up to {told} only: read them with care."]
