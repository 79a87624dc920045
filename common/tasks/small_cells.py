"""Which small groups of patients must not be shown, so that they cannot be worked out by difference either."""

from __future__ import annotations

from collections.abc import Sequence


def hidden_groups(counts: Sequence[int], least: int) -> list[bool]:
    """Tell which groups of one division are hidden.

    A group of 1 to `least` − 1 patients is hidden. All groups together are known, so the hidden ones together are too:
    further groups, the smallest first, are hidden until they are at least two and have `least` patients together.
    A group of nobody looks like a hidden one.

    Args:
        counts: patients by group.
        least: the smallest number that may be shown.
    """
    hidden = [0 < count < least for count in counts]
    rest = sorted(
        (count, number) for number, count in enumerate(counts) if count and not hidden[number]
    )
    for _, number in rest:
        out = [count for count, gone in zip(counts, hidden, strict=True) if gone]
        if not out or (len(out) > 1 and sum(out) >= least):
            break
        hidden[number] = True
    return hidden
