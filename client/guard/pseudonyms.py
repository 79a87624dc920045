"""Keyed pseudonyms: the same for the same input, and nobody without the site's secret can undo or even test them.

Every pseudonym is HMAC-SHA256(site secret, purpose and value): a plain hash of a patient number would be undone by
hashing all numbers.
"""

from __future__ import annotations

import hmac
import secrets
from pathlib import Path

from common.errors import MachineError
from common.files import make_private, write_atomically

SECRET_BYTES = 32
_MOST_DAYS = 3650


class Pseudonyms:
    """Names that stand for identifiers.

    Args:
        secret: the site's; it never leaves.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def patient(self, identifier: str) -> str:
        """Return what stands for a patient: 16 letters and digits."""
        return self.name("patient", identifier)

    def name(self, purpose: str, value: str) -> str:
        """Return 16 hexadecimal digits that stand for a value."""
        return self._digest(purpose, value)[:8].hex()

    def uid(self, uid: str) -> str:
        """Return the UID (under 2.25, from 122 bits) that stands for another one."""
        number = int.from_bytes(self._digest("uid", uid)[:16], "big") >> 6
        return f"2.25.{number}"

    def days(self, patient: str) -> int:
        """Return by how many days a patient's dates are moved back: 1 to 3650, one number a patient."""
        return 1 + int.from_bytes(self._digest("days", patient)[:8], "big") % _MOST_DAYS

    def _digest(self, purpose: str, value: str) -> bytes:
        text = f"pseudonym/{purpose}:{value}"
        return hmac.digest(self._secret, text.encode("utf-8", "surrogatepass"), "sha256")


def pseudonyms_of(secret_file: Path) -> Pseudonyms:
    """Return a site's pseudonyms; a site without a secret gets one.

    Raises:
        MachineError: the secret cannot be read or made, or is damaged.
    """
    try:
        secret = secret_file.read_bytes()
    except FileNotFoundError:
        make_private(secret_file.parent)
        secret = secrets.token_bytes(SECRET_BYTES)
        write_atomically(secret_file, secret, durable=True)
    except OSError as error:
        raise MachineError(
            f"The site's secret cannot be read ({error.strerror}).", where=str(secret_file)
        ) from None
    if len(secret) != SECRET_BYTES:
        raise MachineError(
            "The site's secret is damaged.",
            where=str(secret_file),
            fix="Restore it from the site's backup: with another secret every pseudonym changes.",
        )
    return Pseudonyms(secret)
