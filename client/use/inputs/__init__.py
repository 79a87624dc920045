"""Reads new cases, one file a kind of data: through the readers that prepare training data, without labels."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from client.use.cases import Cases, from_raw
from common import plugins
from common.errors import StudyError

Reading = Callable[[Any, Any], Cases]
KINDS = frozenset(
    {
        *("arrays", "dicom", "episodes", "fused", "molecules"),
        *("records", "series", "signals", "table"),
    }
)
"""Kinds of data with a file here, which is imported when it is needed."""


def reader_of(kind: str) -> Reading:
    """Return what reads the cases of a kind of data, given the data set's description and the study's `[data]`.

    A source of another package is asked for its method `unlabelled(dataset, spec) -> RawSamples`.

    Raises:
        StudyError: the kind has no reader.
    """
    if kind not in KINDS:
        return _of_source(kind)
    found: Reading = import_module(f"{__name__}.{kind}").read
    return found


def _of_source(kind: str) -> Reading:
    source = plugins.load("sources", kind)()
    if not hasattr(source, "unlabelled"):
        raise StudyError(
            f"Data of kind '{kind}' cannot be read without labels.",
            where="[data] kind",
            fix="Give their source a method `unlabelled(dataset, spec)`: docs/use.md.",
        )
    return lambda dataset, spec: from_raw(source.unlabelled(dataset, spec))
