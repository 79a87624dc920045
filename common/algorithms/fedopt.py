"""Options that the adaptive server optimisers share: Reddi et al. 2021, "Adaptive federated optimization"."""

from __future__ import annotations

from pydantic import Field

from common.plugins import Options


class FedOptOptions(Options):
    """Options of FedAdagrad.

    Attributes:
        eta: the server's learning rate.
        tau: degree of adaptivity, added to the root of the second moment.
    """

    eta: float = Field(default=0.01, gt=0)
    tau: float = Field(default=1e-3, gt=0)


class MomentOptions(FedOptOptions):
    """Options of FedAdam and FedYogi.

    Attributes:
        beta_1: decay of the first moment.
        beta_2: decay of the second moment.
    """

    beta_1: float = Field(default=0.9, ge=0, lt=1)
    beta_2: float = Field(default=0.99, ge=0, lt=1)
