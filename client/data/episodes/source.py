"""Episodes: a table with a row a decision becomes states, actions and rewards in the order of time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from client.data import cells, tabular
from client.data.episodes.config import EpisodeDataset
from client.data.features import Columns, encode
from client.data.quarantine import QuarantineLog
from client.data.samples import RawSamples
from client.data.split import declared_splits
from client.data.units import conversion
from common.data_spec import EpisodeSpec

Floats = NDArray[np.float64]


class EpisodeSource:
    """Reads `kind = "episodes"`."""

    def load(
        self, dataset: EpisodeDataset, spec: EpisodeSpec, classes: Sequence[str] | None
    ) -> RawSamples:
        """Read the table, put each episode's decisions in order and encode them (see `Source.load`)."""
        frame, log = _rows(dataset, spec, spec.columns), QuarantineLog()
        order = cells.numbers(frame[dataset.order], dataset)
        decided = _decided(frame, dataset, spec)
        keep = _usable(frame, dataset, spec, order, decided, log)
        frame, order, decided = frame[keep].reset_index(drop=True), order[keep], decided[keep]
        episode = _episodes(frame, dataset)
        states, notes = _states(frame, dataset, spec)
        sorted_rows = np.lexsort((order, episode))
        inputs, targets, first = _cut(
            states[sorted_rows], decided[sorted_rows], episode[sorted_rows], spec
        )
        patients = frame[dataset.patient].iloc[sorted_rows].iloc[first].tolist()
        return RawSamples(
            inputs=inputs,
            targets=targets,
            patients=patients,
            splits=_splits(frame, dataset),
            quarantine=log.result(),
            notes=notes,
        )


def new_states(dataset: EpisodeDataset, spec: EpisodeSpec) -> tuple[RawSamples, NDArray[np.int64]]:
    """Read states to decide in: every row is one, at the start of an episode of its own; and their rows, from 1.

    Raises:
        DataError: the table cannot be read or lacks a column.
    """
    frame, log = _rows(dataset, spec, ()), QuarantineLog()
    usable = _owned(frame, dataset, log)
    for reason, bad in _lacking(frame, dataset, spec).items():
        for row in np.flatnonzero(bad & usable):
            log.add(f"{dataset.path.name} row {row + 1}", reason)
        usable &= ~bad
    rows: NDArray[np.int64] = np.flatnonzero(usable) + 1
    frame = frame[usable].reset_index(drop=True)
    states, notes = _states(frame, dataset, spec)
    inputs = np.zeros((len(frame), *spec.input_shape), np.float32)
    inputs[:, 0] = states
    raw = RawSamples(
        inputs=inputs,
        targets=np.zeros(len(frame)),
        patients=frame[dataset.patient].tolist(),
        quarantine=log.result(),
        notes=notes,
    )
    return raw, rows


def _rows(dataset: EpisodeDataset, spec: EpisodeSpec, decided: Sequence[str]) -> pd.DataFrame:
    """Read the table with its joins and its filter, and check that all columns are there.

    Args:
        dataset: the site's description.
        spec: the study's `[data]`.
        decided: the study's columns besides those of a state.
    """
    where = str(dataset.path)
    frame = tabular.joined(tabular.read_table(dataset.path, dataset), dataset.join, dataset)
    frame = tabular.kept(frame, dataset.filter, where=where, text=dataset)
    names = [f.name for f in spec.features if f.name not in dataset.absent]
    local = [dataset.local(name) for name in [*names, *decided]]
    own = [dataset.order, dataset.episode, dataset.split] if decided else []
    keys = [dataset.patient, *(name for name in own if name)]
    tabular.require(frame, [*local, *keys], where=where, text=dataset)
    return frame.reset_index(drop=True)


def _states(
    frame: pd.DataFrame, dataset: EpisodeDataset, spec: EpisodeSpec
) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """Return the state of each row, [rows, F], and notes about columns that look wrong."""
    return encode(frame, Columns(dataset, str(dataset.path), dataset.absent), spec.features)


def _owned(frame: pd.DataFrame, dataset: EpisodeDataset, log: QuarantineLog) -> NDArray[np.bool_]:
    """Tell which rows say whose they are, and note the others."""
    known = ~cells.is_missing(frame[dataset.patient], dataset)
    for row in np.flatnonzero(~known):
        log.add(f"{dataset.path.name} row {row + 1}", "no patient id")
    return np.asarray(known)


def _decided(frame: pd.DataFrame, dataset: EpisodeDataset, spec: EpisodeSpec) -> Floats:
    """Return each row's action, reward and probability, [rows, 3]; what is not known is NaN."""
    text = frame[dataset.local(spec.action)]
    text = cells.replaced(text, dataset.replace.get(spec.action, {}))
    action = np.full(len(frame), np.nan)
    for number, values in enumerate(spec.actions.values()):
        action[cells.matches(text, values)] = number
    reward = np.clip(
        _numbers(frame, dataset, spec.reward), spec.reward_minimum, spec.reward_maximum
    )
    probability = np.zeros(len(frame))
    if spec.probability is not None:
        probability = _numbers(frame, dataset, spec.probability)
        probability[(probability <= 0) | (probability > 1)] = np.nan
    return np.stack([action, reward, probability], axis=1)


def _numbers(frame: pd.DataFrame, dataset: EpisodeDataset, name: str) -> Floats:
    unit = conversion(name, "", dataset, where=str(dataset.path))
    return cells.numbers(frame[dataset.local(name)], dataset) * unit.factor + unit.offset


def _usable(
    frame: pd.DataFrame,
    dataset: EpisodeDataset,
    spec: EpisodeSpec,
    order: Floats,
    decided: Floats,
    log: QuarantineLog,
) -> NDArray[np.bool_]:
    """Leave out the whole episode of an unusable row: what follows a hole was not caused by what precedes it."""
    missing = np.isnan(decided)
    reasons = {
        "no place in the order": np.isnan(order),
        "no action of the study": missing[:, 0],
        "no reward": missing[:, 1],
        "no probability between 0 and 1": missing[:, 2],
        **_lacking(frame, dataset, spec),
    }
    usable = _owned(frame, dataset, log)
    episode = _episodes(frame, dataset)
    for reason, bad in reasons.items():
        spoilt = np.unique(episode[bad & usable])
        for _ in spoilt:
            log.add("an episode", reason)
        usable &= ~np.isin(episode, spoilt)
    return usable


def _lacking(
    frame: pd.DataFrame, dataset: EpisodeDataset, spec: EpisodeSpec
) -> dict[str, NDArray[np.bool_]]:
    """Tell by reason which rows lack a feature that the study requires."""
    needed = [f.name for f in spec.features if f.required and f.name not in dataset.absent]
    return {
        f"no {name}": np.asarray(cells.is_missing(frame[dataset.local(name)], dataset))
        for name in needed
    }


def _episodes(frame: pd.DataFrame, dataset: EpisodeDataset) -> NDArray[np.int64]:
    """Return the number of each row's episode."""
    keys = [dataset.patient] + ([dataset.episode] if dataset.episode else [])
    return np.asarray(frame.groupby(keys, sort=False).ngroup(), dtype=np.int64)


def _cut(
    states: NDArray[np.float32], decided: Floats, episode: NDArray[np.int64], spec: EpisodeSpec
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
    """Return inputs [N, D + 1, F], targets [N, D, 4] and each episode's first row, of rows in order."""
    _, first, number, length = np.unique(
        episode, return_index=True, return_inverse=True, return_counts=True
    )
    place = np.arange(len(episode)) - first[number]
    inputs = np.zeros((len(first), *spec.input_shape), np.float32)
    seen = place <= spec.decisions
    inputs[number[seen], place[seen]] = states[seen]
    targets = np.zeros((len(first), spec.decisions, 4), np.float32)
    targets[:, :, 0] = -1
    kept = place < spec.decisions
    over = (place == length[number] - 1).astype(float)
    rows: Any = np.column_stack([decided[:, :2], over, decided[:, 2]])
    targets[number[kept], place[kept]] = rows[kept]
    return inputs, targets, first


def _splits(frame: pd.DataFrame, dataset: EpisodeDataset) -> dict[str, str] | None:
    if dataset.split is None:
        return None
    pairs = zip(frame[dataset.patient], frame[dataset.split], strict=True)
    return dict(declared_splits(pairs, where=f"{dataset.path}, column '{dataset.split}'"))
