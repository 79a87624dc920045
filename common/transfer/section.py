"""`[transfer]` of a study file."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

FILE_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"

Pattern = Annotated[str, Field(min_length=1, max_length=200)]
"""Of parameter names, as in a shell: `features.*`."""


class Transfer(BaseModel):
    """`[transfer]`: what a network knows before its first round, and which part of it learns.

    What is frozen is neither trained nor exchanged, and gets no noise: under privacy fewer weights mean less noise in
    all. Everybody who builds the network needs the checkpoint, and nobody takes another file for it.

    Attributes:
        checkpoint: name of the file, in the folder `pretrained` of a site or coordinator, or beside the study file.
        sha256: of the file, in hex.
        rename: beginnings of names in the checkpoint, and what they are called in the network.
        skip: parameters that the checkpoint does not give: a new last layer, say.
        freeze: parameters that stay as they are.
        lora_rank: train low-rank changes of the layers in `lora_layers` instead of the layers (Hu et al. 2022).
        lora_layers: names of linear and convolutional layers.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    checkpoint: str | None = Field(default=None, pattern=FILE_NAME)
    sha256: str | None = Field(default=None, pattern=re.compile(r"^[0-9a-f]{64}$"))
    rename: dict[str, str] = Field(default_factory=dict, max_length=64)
    skip: tuple[Pattern, ...] = Field(default=(), max_length=64)
    freeze: tuple[Pattern, ...] = Field(default=(), max_length=64)
    lora_rank: int | None = Field(default=None, ge=1, le=1024)
    lora_layers: tuple[Pattern, ...] = Field(default=("*",), min_length=1, max_length=64)

    @model_validator(mode="after")
    def _complete(self) -> Transfer:
        if (self.checkpoint is None) != (self.sha256 is None):
            raise ValueError("checkpoint and sha256 belong together: sha256sum FILE prints it")
        if self.checkpoint is None and (self.rename or self.skip):
            raise ValueError("rename and skip belong to a checkpoint")
        if self.checkpoint is None and not self.freeze and self.lora_rank is None:
            raise ValueError("give a checkpoint, freeze or lora_rank; or leave [transfer] out")
        return self
