"""What somebody states about a run of DP-SGD, read from the command line."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from fractions import Fraction

from common.errors import StudyError
from common.privacy.runs import MOST_STEPS, Batches, StatedRun

_RATE = re.compile(r"[0-9]{1,12}/[0-9]{1,12}|[0-9]{0,12}\.?[0-9]{1,15}(e-?[0-9]{1,2})?", re.ASCII)


@dataclass(frozen=True)
class Claim:
    """What somebody states about a run.

    Attributes:
        run: how it sampled, how much noise it added and how often.
        claimed: the ε that was published, or None.
        best_of: how many runs the published one was chosen from, in expectation; 1 if it was the only one.
        derived: what was worked out from the statement, in sentences.
    """

    run: StatedRun
    claimed: float | None = None
    best_of: int = 1
    derived: tuple[str, ...] = ()


def read_claim(
    *,
    sampler: str,
    sigma: float,
    delta: float,
    q: str | None = None,
    n: int | None = None,
    batch: int | None = None,
    steps: int | None = None,
    epochs: float | None = None,
    max_batch: int | None = None,
    claimed: float | None = None,
    best_of: int = 1,
) -> Claim:
    """Build a claim from what the command line says.

    Raises:
        StudyError: a value is missing, out of range, or given twice in different words.
    """
    if claimed is not None and not 0 < claimed < math.inf:
        raise _bad("--claimed", claimed, "above 0 and finite")
    rate, how = _rate(q, n, batch)
    count, steps_from = _steps(steps, epochs, rate)
    batches: Batches = sampler  # type: ignore[assignment]  # checked by StatedRun
    run = StatedRun(batches, rate, sigma, count, delta, n, max_batch)
    return Claim(run, claimed, best_of, tuple(filter(None, (how, steps_from))))


def _rate(q: str | None, n: int | None, batch: int | None) -> tuple[Fraction, str]:
    """The exact q, and how it was found."""
    if (q is None) == (n is None and batch is None):
        raise StudyError(
            "Give the sampling rate either as --q, or as --n and --batch.",
            where="--q, --n, --batch",
            fix="For example: --q 1/50, or --n 200 --batch 4.",
        )
    if q is not None:
        return _fraction(q), ""
    if n is None or batch is None:
        raise StudyError(
            "--n and --batch go together.", where="--n, --batch", fix="Give both, or --q."
        )
    for name, value in (("--n", n), ("--batch", batch)):
        if value < 1:
            raise _bad(name, value, "1 or more")
    if batch > n:
        raise StudyError(
            f"A batch of {batch:,} is more than the {n:,} units there are.",
            where="--batch",
            fix="Swap them?",
        )
    return Fraction(batch, n), f"q = {batch:,}/{n:,} from the batch and the number of units."


def _fraction(text: str) -> Fraction:
    try:
        rate = Fraction(text) if _RATE.fullmatch(text.strip()) else None
    except ZeroDivisionError:
        rate = None
    if rate is None or not 0 < rate <= 1:
        raise StudyError(
            f"Expected q to be a decimal or a fraction, above 0 and at most 1, not '{text}'.",
            where="--q",
            fix="For example: --q 1/50 or --q 0.02.",
        )
    return rate


def _steps(steps: int | None, epochs: float | None, rate: Fraction) -> tuple[int, str]:
    """The number of steps, and how it was found."""
    if (steps is None) == (epochs is None):
        raise StudyError(
            "Give the length either as --steps or as --epochs.",
            where="--steps, --epochs",
            fix="Give one of them.",
        )
    if steps is not None:
        return steps, ""
    length = float(epochs or 0)
    if not 0 < length <= MOST_STEPS:
        raise _bad("--epochs", epochs, f"above 0 and at most {MOST_STEPS:,}")
    count = math.ceil(Fraction(str(length)) / rate)
    return count, f"{count:,} steps from {length:g} epoch(s): rounded up from {length:g}/q."


def _bad(name: str, value: object, rule: str) -> StudyError:
    return StudyError(f"Expected {name} to be {rule}, not {value}.", where=name)
