"""Brings a fresh network to where a study wants it to start."""

from __future__ import annotations

from torch import nn

from common.errors import StudyError
from common.transfer.fitting import Translate, as_it_is, fill, freeze
from common.transfer.lora import adapt
from common.transfer.places import find
from common.transfer.reading import read_checkpoint
from common.transfer.section import Transfer


def start(network: nn.Module, transfer: Transfer, translated: Translate = as_it_is) -> None:
    """Fill the network from its checkpoint, freeze parts and adapt layers, in this order.

    Args:
        network: changed in place.
        transfer: the study's section.
        translated: see `fill`.

    Raises:
        StudyError: checkpoint and network, or names and network, do not fit, or nothing is left to train.
        MachineError, TamperedError: the checkpoint is not here.
    """
    if transfer.checkpoint is not None:
        fill(network, read_checkpoint(find(transfer)), transfer, translated)
    freeze(network, transfer.freeze)
    if transfer.lora_rank is not None:
        adapt(network, transfer.lora_rank, transfer.lora_layers)
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise StudyError(
            "Everything is frozen: nothing is left to train.",
            where="[transfer] freeze",
            fix="Leave the last layer out of it, or give lora_rank.",
        )
