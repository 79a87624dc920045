"""Where a site's noise and sampling come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from common.privacy.noise import SecureRandom


@dataclass(frozen=True)
class Randomness:
    """The site's own choice of generator; never taken from a study or a message.

    Attributes:
        seed: None draws from the operating system, as every hospital must. A number makes runs repeatable and gives
            no protection: it is for simulations, and the ledger records it as "fixed".
    """

    seed: int | None = None

    @property
    def origin(self) -> Literal["system", "fixed"]:
        """The word that the ledger records."""
        return "system" if self.seed is None else "fixed"

    def stream(self, site: str, request: str, purpose: str) -> SecureRandom:
        """Return an independent stream for one purpose of one request."""
        if self.seed is None:
            return SecureRandom.system()
        return SecureRandom.fixed(self.seed, site, request, purpose)
