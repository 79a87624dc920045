"""What a study asks of a hospital's data: the `[data]` section, one model a kind.

Every number that shapes a sample is a *public constant* written in the study (windows, ranges,
fills), never something computed from patients: a normalisation constant that is learned from data
would have to be charged.
All samples are float32 scaled to [-1, 1].
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from common.data_spec.base import Scalar, Spec
from common.data_spec.episodes import EpisodeSpec
from common.data_spec.follow_up import FollowUp
from common.data_spec.fused import FusedSpec, OrdinarySpec
from common.data_spec.images import ArraySpec, ImageSpec
from common.data_spec.molecules import MoleculeSpec
from common.data_spec.quantities import Quantity
from common.data_spec.records import RecordSpec, Variable
from common.data_spec.series import SeriesSpec
from common.data_spec.signals import SignalSpec
from common.data_spec.tables import Feature, TableSpec
from common.data_spec.targets import ClassedSpec, ValueRange

__all__ = [
    "ArraySpec",
    "ClassedSpec",
    "DataSpec",
    "EpisodeSpec",
    "Feature",
    "FollowUp",
    "FusedSpec",
    "ImageSpec",
    "MoleculeSpec",
    "OrdinarySpec",
    "Quantity",
    "RecordSpec",
    "Scalar",
    "SeriesSpec",
    "SignalSpec",
    "Spec",
    "TableSpec",
    "ValueRange",
    "Variable",
]

DataSpec = Annotated[
    ImageSpec
    | ArraySpec
    | TableSpec
    | SeriesSpec
    | SignalSpec
    | RecordSpec
    | EpisodeSpec
    | MoleculeSpec
    | FusedSpec,
    Field(discriminator="kind"),
]
