"""Noise and sampling from a cryptographic generator: AES-256 in counter mode.

It is keyed by the operating system. Whoever can predict the noise can subtract it, and whoever
knows the sampling gets no amplification, so neither may come from a seed that others know. A fixed
key exists for simulations; `origin` says so and the ledger records it.

Normals are float64 by Box and Muller (1958) on 64-bit uniforms, so the lattice they fall on is far
below the float32 grid of what is released, and the tail reaches 9.5 σ (mass 2⁻⁶⁵ is cut).
"""

from __future__ import annotations

import hashlib
import math
import os
from fractions import Fraction
from typing import Any, Literal, NoReturn

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from common.errors import StudyError

Origin = Literal["system", "fixed"]
Doubles = npt.NDArray[np.float64]
Words = npt.NDArray[np.uint64]
Integers = npt.NDArray[np.int64]

_PAIRS = 1 << 15  # a chunk of Box–Muller: its arrays stay in the cache
_WORD = 1 << 64


class SecureRandom:
    """A stream of random numbers; the same key and the same calls give the same numbers.

    A stream cannot be copied or pickled, and a system stream takes a new key in a forked process:
    two users of one stream would add the same noise twice.

    Attributes:
        origin: "system" or "fixed"; only the first protects anybody.
    """

    def __init__(self, key: bytes, origin: Origin) -> None:
        self.origin: Origin = origin
        self._start(key)

    @classmethod
    def system(cls) -> SecureRandom:
        """Keyed by 256 bits from the operating system."""
        return cls(os.urandom(32), "system")

    @classmethod
    def fixed(cls, seed: int | bytes, *labels: str) -> SecureRandom:
        """For simulations only: key = HKDF-SHA256 of the seed, with the labels as context.

        Args:
            seed: any integer or bytes.
            labels: what the stream is for, such as site, round and purpose; each list has a stream
                of its own.
        """
        secret = seed if isinstance(seed, bytes) else b"int:" + str(int(seed)).encode()
        context = b"consilium noise v1" + b"".join(
            len(text).to_bytes(8, "big") + text for text in (label.encode() for label in labels)
        )
        kdf = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=context)
        return cls(kdf.derive(hashlib.sha256(secret).digest()), "fixed")

    def normal(self, n: int) -> Doubles:
        """`n` standard normals, shape (n,)."""
        out = np.empty(_require_size("n", n))
        pairs = (n + 1) // 2
        for start in range(0, pairs, _PAIRS):
            count = min(_PAIRS, pairs - start)
            chunk = out[2 * start : 2 * (start + count)]
            first, second = _box_muller(self._words(2 * count), count)
            chunk[:count] = first
            chunk[count:] = second[: chunk.size - count]
        return out

    def uniform(self, n: int) -> Doubles:
        """`n` multiples of 2⁻⁵³ in [0, 1), shape (n,)."""
        words = self._words(_require_size("n", n)) >> np.uint64(11)
        out: Doubles = np.multiply(words, 2.0**-53)
        return out

    def poisson_mask(self, n: int, q: Fraction) -> npt.NDArray[np.bool_]:
        """`n` independent coins, shape (n,), True with probability exactly `q`.

        64 random bits are compared with the first 64 bits of q; only a tie (one in 2⁶⁴) needs the
        remaining ones.

        Raises:
            StudyError: q is not a Fraction in [0, 1].
        """
        if not isinstance(q, Fraction) or not 0 <= q <= 1:
            raise StudyError(f"Expected q to be a Fraction in [0, 1], not {q!r}.", where="q")
        if q == 1:
            return np.ones(_require_size("n", n), dtype=np.bool_)
        threshold, rest = divmod(q.numerator * _WORD, q.denominator)
        words = self._words(_require_size("n", n))
        mask: npt.NDArray[np.bool_] = words < np.uint64(threshold)
        ties = np.flatnonzero(words == np.uint64(threshold))
        if ties.size and rest:
            mask[ties] = self.poisson_mask(ties.size, Fraction(rest, q.denominator))
        return mask

    def integers(self, high: int, size: int) -> Integers:
        """`size` integers in [0, high), each equally likely, shape (size,)."""
        if not 1 <= high <= 2**63:
            raise StudyError(f"Expected high to be 1 to 2**63, not {high!r}.", where="high")
        limits = np.full(_require_size("size", size), high, dtype=np.uint64)
        return self._below(limits).astype(np.int64)

    def choice_without_replacement(self, n: int, k: int) -> Integers:
        """`k` distinct integers in [0, n), every ordered choice equally likely, shape (k,).

        Fisher–Yates on a sparse array, so that it costs k and not n.
        """
        if not 0 <= _require_size("k", k) <= n:
            raise StudyError(f"Expected k to be 0 to n = {n}, not {k}.", where="k")
        ahead = self._below(np.arange(n, n - k, -1).astype(np.uint64))
        moved: dict[int, int] = {}
        chosen = np.empty(k, dtype=np.int64)
        for place, offset in enumerate(ahead.tolist()):
            other = place + offset
            chosen[place] = moved.get(other, other)
            moved[other] = moved.get(place, place)
        return chosen

    def _below(self, limits: Words) -> Words:
        """Words below each limit, unbiased: those past the last full multiple are drawn again."""
        out = np.empty_like(limits)
        open_ = np.arange(limits.size)
        while open_.size:
            words, limit = self._words(open_.size), limits[open_]
            surplus = (np.uint64(_WORD - 1) % limit + np.uint64(1)) % limit  # 2**64 mod limit
            fits = words <= np.uint64(_WORD - 1) - surplus
            out[open_[fits]] = words[fits] % limit[fits]
            open_ = open_[~fits]
        return out

    def _words(self, n: int) -> Words:
        """The next `n` 64-bit words of the key stream; a fresh, writable array."""
        if self.origin == "system" and os.getpid() != self._pid:
            self._start(os.urandom(32))
        out = np.empty(n + 2, dtype="<u8")  # the cipher asks for a block of slack
        self._cipher.update_into(_zeros(8 * n), out.view(np.uint8).data)
        return out[:n].astype(np.uint64, copy=False)

    def _start(self, key: bytes) -> None:
        self._pid = os.getpid()
        self._cipher: Any = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()

    def __copy__(self) -> NoReturn:
        raise TypeError("A SecureRandom cannot be copied: both would give the same noise.")

    def __deepcopy__(self, memo: dict[int, Any]) -> NoReturn:
        self.__copy__()

    def __reduce__(self) -> NoReturn:
        raise TypeError("A SecureRandom cannot be pickled: its key must not leave the process.")


def _box_muller(words: Words, count: int) -> tuple[Doubles, Doubles]:
    """`count` pairs of normals from 2 × `count` words, by the tangent of half the angle.

    One tangent t gives both cos θ = (1 - t²)/(1 + t²) and sin θ = 2t/(1 + t²) and is cheaper than
    either.
    """
    radius = np.multiply(words[:count], 2.0**-64)
    radius += 2.0**-65  # never 0; rounds up to 1 at most
    np.log(radius, out=radius)
    radius *= -2.0
    np.sqrt(radius, out=radius)
    half = np.multiply(words[count:].view(np.int64), math.pi * 2.0**-64)  # (-π/2, π/2)
    np.tan(half, out=half)
    square = np.multiply(half, half)
    square += 1.0
    radius /= square
    half *= radius
    half *= 2.0
    np.subtract(2.0, square, out=square)
    square *= radius
    return square, half


_ZEROS = bytes(1 << 20)


def _zeros(n: int) -> memoryview:
    return memoryview(_ZEROS)[:n] if n <= len(_ZEROS) else memoryview(bytes(n))


def _require_size(name: str, n: int) -> int:
    if n < 0:
        raise StudyError(f"Expected {name} to be 0 or more, not {n}.", where=name)
    return n
