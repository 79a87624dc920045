"""One file a model family, behind one registry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from common import plugins

if TYPE_CHECKING:
    from torch import nn

    from common.data_spec import Spec
    from common.study import Study


def build_model(study: Study, outputs: int) -> nn.Module:
    """Return the study's network, initialised from the study's public seed on the CPU, or from its checkpoint.

    Parameters that the study freezes ask for no gradient.

    Args:
        study: names the family and gives its options, the sample shape and the seed.
        outputs: width of the last layer, from the task.

    Raises:
        StudyError: the family cannot take samples of the study's shape, or the checkpoint does not fit.
        MachineError, TamperedError: the checkpoint is not here.
    """
    import torch

    family = plugins.load("models", study.model.name)
    options = plugins.parse_options(family.Options, study.model.options, where="[model]")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(study.study.seed)
        network = _built(family, options, study.data, outputs)
        if study.transfer is not None:
            from common.transfer.fitting import as_it_is
            from common.transfer.start import start

            start(network, study.transfer, getattr(family, "translated", as_it_is))
    return network


def _built(family: Any, options: Any, data: Spec, outputs: int) -> nn.Module:
    """Ask the family; one that needs to know more of the data than their shape has `build_for`."""
    if hasattr(family, "build_for"):
        network: nn.Module = family.build_for(options, data, outputs)
    else:
        network = family.build(options, tuple(data.model_shape), outputs)
    return network
