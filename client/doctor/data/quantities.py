"""Some numbers of each column of a data set in the study's unit, before anything is clipped or left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from client.data import cells, tabular
from client.data.units import Conversion, between, conversion
from client.doctor.data import recorded
from client.doctor.data.patients import LEAST_ROWS
from common.data_spec.quantities import Quantity

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from client.data.config import DatasetConfig, OrdinaryDataset, SeriesDataset
    from client.data.config_base import TextFormat
    from client.data.records.config import RecordDataset
    from client.data.signals.config import SignalDataset
    from common.data_spec import (
        ClassedSpec,
        DataSpec,
        EpisodeSpec,
        Feature,
        FusedSpec,
        RecordSpec,
        SeriesSpec,
        SignalSpec,
        TableSpec,
        Variable,
    )

ROWS = 50_000
BLOCKS = 20
"""Of readings that are sorted by variable, so many are looked through for those that come late."""


@dataclass(frozen=True)
class Looked:
    """Values of one quantity.

    Attributes:
        name: the study's; "" for the readings of a series.
        unit: the study's.
        low, high: the study's range.
        values: [N] in what is taken for that unit; NaN where there is none.
        part: of fused data, the part that it belongs to; else "".
    """

    name: str
    unit: str
    low: float
    high: float
    values: NDArray[np.float64] = field(repr=False)
    part: str = ""

    @property
    def key(self) -> str:
        """How the cohort's notes begin that are about it."""
        return f"Part '{self.part}': {self.name}" if self.part else self.name


def looked_at(name: str, config: DatasetConfig, spec: DataSpec) -> Iterator[Looked]:
    """Yield some values of each number that the study wants; images have none.

    Args:
        name: the data set's, for messages.
        config: as site.toml describes it.
        spec: what the study asks for.

    Raises:
        DataError: a table cannot be read, or the site's unit cannot be converted.
    """
    where = f"data set '{name}'"
    if config.kind == "table" and spec.kind == "table":
        yield from _table(config.path, config, _wanted(spec, config.absent), where)
    elif config.kind == "molecules" and spec.kind == "molecules":
        yield from _table(config.path, config, _target(spec), where)
    elif config.kind == "records" and spec.kind == "records":
        variables = [each for each in spec.variables if each.name not in config.absent]
        yield from _records(config, variables, where)
        outcomes = config.model_copy(update={"header": None})
        yield from _table(config.outcomes, outcomes, _wanted(spec, config.absent), where)
    elif config.kind == "series" and spec.kind == "series":
        yield from _series(config, spec, where)
    elif config.kind == "signals" and spec.kind == "signals":
        yield from _signals(config, spec, where)
    elif config.kind == "episodes" and spec.kind == "episodes":
        yield from _table(config.path, config, _decisions(spec, config.absent), where)
    elif config.kind == "fused" and spec.kind == "fused":
        for part, each in config.parts.items():
            if part in spec.parts:
                yield from _part(part, each, spec, f"{name}.parts.{part}")


def _part(part: str, config: OrdinaryDataset, spec: FusedSpec, name: str) -> Iterator[Looked]:
    """Yield the numbers of one part; what a part beside the target would be labelled with is not looked for."""
    wanted = spec.parts[part]
    if part != spec.target and "value" in type(wanted).model_fields:
        wanted = wanted.model_copy(update={"value": None})
    for looked in looked_at(name, config, wanted):
        yield replace(looked, part=part)


def _decisions(spec: EpisodeSpec, absent: Sequence[str]) -> list[Feature | Quantity]:
    """Return the numbers of a state, and the reward."""
    low, high = spec.reward_minimum, spec.reward_maximum
    reward = Quantity(name=spec.reward, minimum=low, maximum=high)
    return [*_numbers(spec.features, absent), reward]


def _wanted(spec: TableSpec | RecordSpec, absent: Sequence[str]) -> list[Feature | Quantity]:
    """Return the features that are numbers, and the target where it is one."""
    return [*_numbers(spec.features, absent), *_target(spec)]


def _numbers(features: Sequence[Feature], absent: Sequence[str]) -> list[Feature | Quantity]:
    return [each for each in features if each.type == "number" and each.name not in absent]


def _target(spec: ClassedSpec) -> list[Quantity]:
    if spec.value is None:
        return []
    span = spec.value
    return [Quantity(name=spec.target, unit=span.unit, minimum=span.minimum, maximum=span.maximum)]


def _table(
    path: Path, text: TextFormat, features: Sequence[Feature | Quantity], where: str
) -> Iterator[Looked]:
    wanted = [text.local(each.name) for each in features]
    if not wanted:
        return
    block = next(iter(tabular.blocks(path, text, wanted, rows=ROWS)))
    for each in features:
        if text.local(each.name) in block.columns:  # else it is joined
            yield _of(each, _converted(block[text.local(each.name)], each, text, where))


def _of(each: Feature | Quantity, values: NDArray[np.float64]) -> Looked:
    return Looked(each.name, each.unit, each.minimum or 0.0, each.maximum or 0.0, values)


def _converted(
    column: Any, each: Feature | Quantity, text: TextFormat, where: str
) -> NDArray[np.float64]:
    unit = conversion(each.name, each.unit, text, where=where)
    words = cells.replaced(column, text.replace.get(each.name, {}))
    return cells.numbers(words, text) * unit.factor + unit.offset


def _records(config: RecordDataset, variables: Sequence[Variable], where: str) -> Iterator[Looked]:
    """Readings are wide, a column a variable, or long, and then often sorted by variable."""
    import numpy as np

    columns = {config.local(each.name) for each in variables}
    if config.variable and config.value:
        columns = {config.variable, config.value}
    found: dict[str, list[NDArray[np.float64]]] = {each.name: [] for each in variables}
    blocks = tabular.blocks(config.path, config, columns, rows=ROWS)
    for _, block in zip(range(BLOCKS), blocks, strict=False):
        for each in variables:
            column = _column(block, config, each)
            if column is not None:
                found[each.name].append(_converted(column, each, config, where))
        if all(_known(parts) >= LEAST_ROWS for parts in found.values()):
            break
    for each in variables:
        yield _of(each, np.concatenate([np.empty(0), *found[each.name]]))


def _column(block: Any, config: RecordDataset, each: Variable) -> Any:
    """Return a variable's readings; nothing where the block has no such column."""
    local = config.local(each.name)
    if not (config.variable and config.value):
        return block[local] if local in block.columns else None
    if not {config.variable, config.value} <= {*block.columns}:
        return None
    return block[config.value][cells.matches(block[config.variable], [local])]


def _known(parts: Sequence[NDArray[np.float64]]) -> int:
    import numpy as np

    return sum(int(np.isfinite(part).sum()) for part in parts)


def _series(config: SeriesDataset, spec: SeriesSpec, where: str) -> Iterator[Looked]:
    import numpy as np

    unit = between(config.units.get("value", ""), spec.unit, name="value", where=where)
    offset = config.offset.get("value", 0.0)
    if config.factor != 1.0 or offset:
        unit = Conversion(config.factor, offset)
    parts = [
        cells.numbers(column, config) * unit.factor + unit.offset
        for column in recorded.readings(config, ROWS)
    ]
    values = np.concatenate([np.empty(0), *parts])
    yield Looked("", spec.unit, spec.minimum, spec.maximum, values)


def _signals(config: SignalDataset, spec: SignalSpec, where: str) -> Iterator[Looked]:
    import numpy as np

    found: dict[str, list[NDArray[np.float64]]] = {each.name: [] for each in spec.channels}
    for name, values in recorded.channels(config, spec, where):
        found[name].append(values)
    for each in spec.channels:
        yield _of(each, np.concatenate([np.empty(0), *found[each.name]]))
