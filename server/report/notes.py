"""The notes in plain language: what the figures of this run mean and do not mean."""

from __future__ import annotations

import math
from dataclasses import dataclass

from common.charts.numbers import tiny, upper
from common.charts.scale import finite
from server.report.run_folder import Run
from server.report.schema import RunMetrics
from server.report.shared_patients import jointly
from server.report.sites import largest


@dataclass(frozen=True)
class Note:
    """A heading and a paragraph."""

    title: str
    text: str


def notes(run: Run) -> list[Note]:
    """The plain-language notes that apply to this run."""
    metrics = run.metrics
    found = _privacy_notes(run) if metrics.privacy.enabled else [Note("No privacy", _NO_DP)]
    if metrics.privacy.enabled and (metrics.non_private or run.non_private_rounds):
        found.append(Note("The comparison without privacy", _COMPARISON))
    statistics = _STATISTICS.get(metrics.privacy.statistics or "")
    if statistics:
        found.append(Note("What the test figures reveal", statistics))
    if metrics.privacy.statistics == "noisy" and None in metrics.final.values():
        found.append(Note("Why a figure is missing", _HIDDEN))
    found.append(Note("Pooled, not averaged", _POOLED))
    if metrics.simulation:
        words = _SIMULATION if metrics.generated else f"{_SIMULATION} {_OF_PEOPLE}"
        found.append(Note("Why you see each hospital’s exact figures", words))
    return found


def _privacy_notes(run: Run) -> list[Note]:
    metrics = run.metrics
    fixed_noise = metrics.privacy.randomness == "fixed"
    found = [
        Note("What ε means here", _epsilon_note(metrics)),
        Note("Where the noise comes from", REHEARSAL if fixed_noise else _SYSTEM_NOISE),
    ]
    if metrics.privacy.unit == "sample":
        return [*found, Note("A patient with several samples", _SAMPLES)]
    pair = _two_hospitals(run)
    return [*found, pair] if pair else found


def _epsilon_note(metrics: RunMetrics) -> str:
    unit = metrics.privacy.unit
    text = (
        f"ε limits how much anything a hospital sent can depend on any one {unit}. Someone who "
        f"sees all of it can raise the odds that a given {unit} took part by at most a factor e^ε"
    )
    epsilon = largest(metrics, lambda site: site.epsilon)
    if epsilon is not None and epsilon < 30:
        text += f" (here {upper(math.exp(epsilon), 1 if epsilon < 3 else 0)})"
    delta = largest(metrics, lambda site: site.delta)
    chance = f" δ = {tiny(delta)}" if delta else " δ"
    return (
        f"{text}, up to a small failure probability{chance}. It holds for the worst case, whatever "
        "else the observer knows; smaller is stronger. It says nothing about what the model "
        "teaches on patients in general."
    )


def _two_hospitals(run: Run) -> Note | None:
    """What two hospitals ran, composed exactly; where that is not known, the two largest ε added up."""
    metrics = run.metrics
    spent = sorted(
        ((s.epsilon, s.delta) for s in metrics.sites.values() if s.epsilon is not None),
        key=lambda pair: -(pair[0] or 0.0),
    )[:2]
    if len(spent) < 2:
        return None
    epsilon = sum(pair[0] or 0.0 for pair in spent)
    if math.isinf(epsilon):
        return None
    if (joint := jointly(run)) is not None:
        return Note("A patient of two hospitals", _JOINTLY.format(upper(joint[0]), tiny(joint[1])))
    deltas = finite(pair[1] for pair in spent)
    delta = f", δ {tiny(sum(deltas))}" if len(deltas) == 2 else ""
    text = (
        "Each ε is for a patient known to that hospital alone. For a patient known to two of them "
        f"the losses add: at most ε {upper(epsilon)}{delta} by simple addition."
    )
    return Note("A patient of two hospitals", text)


_SAMPLES = (
    "ε holds for one sample, not for a patient. A patient with several samples, or known to several "
    "hospitals, is protected less than ε says."
)
_JOINTLY = (
    "Each ε is for a patient known to that hospital alone. For a patient known to two of them, "
    "whichever two, the losses compose: at most ε {}, δ {}."
)
REHEARSAL = (
    "The noise of this run came from a fixed seed, so that it can be repeated bit for bit. Whoever "
    "knows the seed can take the noise away: these weights are not protected. The ε shown is what "
    "the same run would guarantee with noise from the operating system."
)
_SYSTEM_NOISE = (
    "Sampling and noise came from a cryptographic generator that each hospital’s operating system "
    "seeded. No seed was written down, so the noise cannot be taken away afterwards."
)
_NO_DP = (
    "This run added no noise. Its weights can reveal who was in the training data and what was "
    "recorded about them; keep them where the patients’ data may be."
)
_COMPARISON = (
    "The same study was run once more without noise, to show what privacy costs. That model and "
    "its figures carry no guarantee; on real patients each hospital’s policy decides whether such "
    "a run may happen at all."
)
_STATISTICS = {
    "exact": (
        "Counts on the test patients left the hospitals exact. They are not covered by ε; the "
        "hospitals’ policies allowed it."
    ),
    "noisy": (
        "Counts on the test patients left the hospitals with noise of their own, charged to the "
        "ledger. The metrics carry that noise."
    ),
    "none": "No statistic on the test patients left the hospitals, so there are no metrics.",
}
_HIDDEN = (
    "The noise on the counts can be larger than the counts themselves, above all with few test "
    "patients or a small ε. A figure that such counts cannot give is left out, not guessed."
)
_POOLED = (
    "Metrics are computed from the sum of the hospitals’ counts, as if all test patients had been "
    "in one place. A mean of the hospitals’ own figures would differ."
)
_SIMULATION = (
    "This was a simulation on one machine, which holds all data anyway: the numbers of patients, "
    "quarantined files and metrics of each hospital are shown as they are. Real hospitals send "
    "the coordinator only what their policy allows, noised where it says so."
)
_OF_PEOPLE = (
    "Where the patients are real, these figures are about them: keep the report with the data."
)
