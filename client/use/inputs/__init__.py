"""Reads new cases, one file a kind of data: through the readers that prepare training data, without labels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from client.use.cases import Cases, from_raw
from common import plugins
from common.errors import StudyError

Reading = Callable[[Any, Any], Cases]


def reader_of(kind: str) -> Reading:
    """Return what reads the cases of a kind of data, given the data set's description and the study's `[data]`.

    A source of another package is asked for its method `unlabelled(dataset, spec) -> RawSamples`.

    Raises:
        StudyError: the kind has no reader.
    """
    if kind == "dicom":
        from client.use.inputs.dicom import read
    elif kind == "arrays":
        from client.use.inputs.arrays import read
    elif kind == "table":
        from client.use.inputs.table import read
    elif kind == "series":
        from client.use.inputs.series import read
    elif kind == "signals":
        from client.use.inputs.signals import read
    elif kind == "records":
        from client.use.inputs.records import read
    else:
        return _of_source(kind)
    return read


def _of_source(kind: str) -> Reading:
    source = plugins.load("sources", kind)()
    if not hasattr(source, "unlabelled"):
        raise StudyError(
            f"Data of kind '{kind}' cannot be read without labels.",
            where="[data] kind",
            fix="Give their source a method `unlabelled(dataset, spec)`: docs/use.md.",
        )
    return lambda dataset, spec: from_raw(source.unlabelled(dataset, spec))
