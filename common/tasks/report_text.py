"""Report text: the sentence that describes an image, in the words of a public vocabulary."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from pydantic import Field, model_validator

from common import plugins
from common.data_spec.reports import sentence_of, until_end
from common.errors import StudyError
from common.plugins import Options
from common.tasks.base import Floats, Metrics, Tally
from common.tasks.figures.bleu import ORDERS, bleu, most_runs, runs
from common.tasks.figures.confusion import of_two
from common.tasks.figures.phrases import reader
from common.tasks.next_words import is_read, log_losses, written

if TYPE_CHECKING:
    from common.study import Study

LOSS_CEILING = 10.0
"""Nats a word at which a report's log loss is cut in the tally, so that its contribution is bounded."""


class ReportTextOptions(Options):
    """Options of the task.

    Attributes:
        findings: what a clinic reads from a report: for each finding the phrases that state it.
        negations: words that deny a phrase right after them.
    """

    findings: dict[str, tuple[str, ...]] = Field(default={}, max_length=64)
    negations: tuple[str, ...] = ("no", "without")

    @model_validator(mode="after")
    def _stated(self) -> ReportTextOptions:
        if not all(self.findings.values()):
            raise ValueError("every finding needs a phrase that states it")
        return self


class ReportText:
    """Log loss of the true next word at every place; BLEU and findings of the written report.

    Outputs are log odds `[B, places, words, words]` of the next word after each word, targets `[B, places]` numbers of
    words. The loss reads the outputs at the true word before (teacher forcing), and so is minus the log of the report's
    own probability; evaluation follows the words that were written, the likeliest at every place (greedy decoding).
    Word 0 is the end, and before the first word the beginning.
    """

    Options = ReportTextOptions
    classes: tuple[str, ...] | None = None
    headline = "bleu"
    targets = frozenset({"text"})
    pools_patients = False

    def __init__(self, options: ReportTextOptions, study: Study) -> None:
        self.vocabulary: tuple[str, ...] = study.data.vocabulary  # type: ignore[union-attr]
        self.places: int = study.data.report_words  # type: ignore[union-attr]
        _require_writer(study, self.places)
        self.outputs = len(self.vocabulary) + 1
        self.findings = tuple(options.findings)
        self.reader = reader(options.findings, options.negations, self.vocabulary)
        self.tally_layout = {
            "shared": (ORDERS,),
            "written": (ORDERS,),
            "reference": (1,),
            "findings": (len(self.findings), 2, 2),
            "exact": (1,),
            "log_loss": (1,),
            "reports": (1,),
        }
        # Runs and words are counted in shares of the longest report's; each finding is one count.
        both = 2 * float(((most_runs(self.places) / self.places) ** 2).sum())
        self.tally_bound = math.sqrt(both + 1 + len(self.findings) + 3)

    def loss(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return every report's loss in nats, `[B]`: the sum over its words and its end, by the places of all reports.

        The divisor is the public number of places: how long a report is does not change its scale.
        """
        return log_losses(outputs, targets).sum(1) / self.places

    def tally(
        self,
        outputs: torch.Tensor,
        targets: torch.Tensor,
        inputs: torch.Tensor,
        weights: torch.Tensor,
    ) -> Tally:
        """Sum each report's runs of words, findings `[finding, true, written]` and cut log loss, at most 1 each."""
        total = Tally.zeros(self.tally_layout)
        losses = log_losses(outputs.double(), targets).sum(1) / is_read(targets).sum(1)
        cut = (losses.clamp(max=LOSS_CEILING) / LOSS_CEILING).tolist()
        pairs = zip(written(outputs).tolist(), targets.tolist(), strict=True)
        for (ours, truth), loss, weight in zip(pairs, cut, weights.tolist(), strict=True):
            own = self._of_report(until_end(ours), until_end(truth))
            own["log_loss"] = np.array([loss])
            for name, value in own.items():
                total.arrays[name][...] += weight * value
        return total

    def _of_report(self, ours: list[int], truth: list[int]) -> dict[str, Floats]:
        """Return what one report adds to the tally."""
        shared, proposed = runs(ours, truth)
        findings = np.zeros(self.tally_layout["findings"])
        both = zip(self.reader.stated(truth), self.reader.stated(ours), strict=True)
        for number, (true, said) in enumerate(both):
            findings[number, int(true), int(said)] = 1.0
        return {
            "shared": shared / self.places,
            "written": proposed / self.places,
            "reference": np.array([len(truth) / self.places]),
            "findings": findings,
            "exact": np.array([float(ours == truth)]),
            "reports": np.ones(1),
        }

    def metrics(self, tally: Tally) -> Metrics:
        """Return BLEU, the share of reports written word for word, and how right the findings in them are.

        `baseline_label_accuracy` is that of saying of each finding what is more frequent.
        """
        sums = tally.arrays
        reports, reference = float(sums["reports"][0]), float(sums["reference"][0])
        figures = {
            "loss": LOSS_CEILING * _share(float(sums["log_loss"][0]), reports),
            "bleu": bleu(sums["shared"], sums["written"], reference),
            "bleu_1": bleu(sums["shared"], sums["written"], reference, 1),
            "exact": _share(float(sums["exact"][0]), reports),
        }
        return figures | self._clinical(tally) | {"count": max(reports, 0.0)}

    def _clinical(self, tally: Tally) -> Metrics:
        """Return means over the findings, and each finding's F1; nothing where the study names no findings."""
        if not self.findings:
            return {}
        counts = np.clip(tally.arrays["findings"], 0, None)
        whole = counts.sum((1, 2))
        right = counts[:, 0, 0] + counts[:, 1, 1]
        usual = counts.sum(2).max(1)
        each = {
            name: of_two(confusion, tally.variance)["f1"]
            for name, confusion in zip(self.findings, tally.arrays["findings"], strict=True)
        }
        figures = {
            "label_accuracy": _mean([_share(r, w) for r, w in zip(right, whole, strict=True)]),
            "baseline_label_accuracy": _mean(
                [_share(u, w) for u, w in zip(usual, whole, strict=True)]
            ),
            "label_f1": _mean(list(each.values())),
        }
        return figures | {f"f1_{name.replace(' ', '_')}": value for name, value in each.items()}

    def curves(self, tally: Tally) -> dict[str, Any]:
        """Return the table of findings."""
        if not self.findings:
            return {}
        columns = ["sensitivity", "specificity", "precision", "f1"]
        tests = [of_two(confusion, tally.variance) for confusion in tally.arrays["findings"]]
        rows = [
            {"name": name, "values": [test[column] for column in columns]}
            for name, test in zip(self.findings, tests, strict=True)
        ]
        title = "Findings that the written reports state"
        return {"tables": [{"title": title, "first": "finding", "columns": columns, "rows": rows}]}

    def answers(self, outputs: torch.Tensor) -> dict[str, list[Any]]:
        """Return the written reports, and the findings that they state (1 or 0), one value a sample."""
        reports = [until_end(report) for report in written(outputs).tolist()]
        stated = [self.reader.stated(report) for report in reports]
        findings = {
            f"states_{name.replace(' ', '_')}": [int(each[number]) for each in stated]
            for number, name in enumerate(self.findings)
        }
        return {"report": [sentence_of(r, self.vocabulary) for r in reports], **findings}


def _require_writer(study: Study, places: int) -> None:
    """Refuse models that write no reports, or reports of another length."""
    family = plugins.load("models", study.model.name)
    options = plugins.parse_options(family.Options, study.model.options, where="[model]")
    given = getattr(options, "report_words", None)
    if given is None:
        raise StudyError(
            f"Model '{study.model.name}' writes no reports.",
            where="[model] name",
            fix="Use 'captioner', or another model with report_words.",
        )
    if given != places:
        raise StudyError(
            f"[model] report_words is {given}, but [data] report_words is {places}.",
            where="[model] report_words",
            fix=f"Set report_words = {places} in [model].",
        )


def _share(part: float, whole: float) -> float:
    """Divide; NaN where there is nobody, or where noise made the part impossible."""
    return part / whole if whole > 0 and 0 <= part <= whole * (1 + 1e-9) else math.nan


def _mean(values: list[float]) -> float:
    """Return the mean of what is a number; NaN of nothing."""
    found = [value for value in values if not math.isnan(value)]
    return float(np.mean(found)) if found else math.nan
