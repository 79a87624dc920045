"""How a site describes molecules in site.toml."""

from __future__ import annotations

from typing import Literal

from client.data.config_base import Dataset, Filtered, Join, TextFormat


class MoleculeDataset(Dataset, TextFormat, Filtered):
    """One table with a row a molecule.

    Attributes:
        patient: column that says from whom the sample or assay came, and is protected; none: each compound is protected
            itself, however often and in whatever spelling it occurs.
        split: column that fixes the split (train or test); none: drawn.
        join: tables whose columns are added before the filter.
    """

    kind: Literal["molecules"]
    patient: str | None = None
    split: str | None = None
    join: tuple[Join, ...] = ()
