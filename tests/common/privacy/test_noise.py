"""The generator: distributions, determinism, and no second use of a stream."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from collections import Counter
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from common.errors import StudyError
from common.privacy.noise import SecureRandom

MILLION = 1_000_000


def fixed(*labels: str) -> SecureRandom:
    return SecureRandom.fixed(7, *labels)


def test_normals_are_normal() -> None:
    drawn = fixed("normal").normal(MILLION)
    assert drawn.dtype == np.float64
    assert stats.kstest(drawn, "norm").pvalue > 1e-3
    assert abs(drawn.mean()) < 4e-3
    assert abs(drawn.var() - 1) < 6e-3
    assert abs(stats.kurtosis(drawn)) < 0.02
    assert 4.4 < np.abs(drawn).max() < 6.5


def test_the_two_normals_of_a_pair_are_independent() -> None:
    size = 1 << 15
    pairs = fixed("pairs").normal(20 * 2 * size).reshape(20, 2, size)
    first, second = pairs[:, 0].ravel(), pairs[:, 1].ravel()
    for left, right in ((first, second), (first**2, second**2), (first[1:], first[:-1])):
        assert abs(np.corrcoef(left, right)[0, 1]) < 5 / np.sqrt(len(left))
    angle = np.arctan2(second, first)
    assert stats.kstest(angle / (2 * np.pi) + 0.5, "uniform").pvalue > 1e-3


def test_tails_have_their_mass() -> None:
    drawn = np.abs(fixed("tails").normal(4 * MILLION))
    for far in (3.0, 4.0, 4.5):
        expected = 4 * MILLION * 2 * stats.norm.sf(far)
        assert abs(np.count_nonzero(drawn > far) - expected) < 5 * np.sqrt(expected)


def test_uniforms_are_uniform_with_53_bits() -> None:
    drawn = fixed("uniform").uniform(MILLION)
    assert stats.kstest(drawn, "uniform").pvalue > 1e-3
    assert drawn.min() >= 0
    assert drawn.max() < 1
    scaled = drawn * 2.0**53
    assert (scaled == np.floor(scaled)).all()
    assert (scaled % 2 == 1).any()


@pytest.mark.parametrize("q", [Fraction(1, 30), Fraction(1, 2), Fraction(999, 1000)])
def test_poisson_rate(q: Fraction) -> None:
    hits = np.count_nonzero(fixed("mask", str(q)).poisson_mask(MILLION, q))
    assert stats.binomtest(int(hits), MILLION, float(q)).pvalue > 1e-3


@pytest.mark.parametrize(("q", "expected"), [(Fraction(0), 0), (Fraction(1), 1000)])
def test_certain_coins(q: Fraction, expected: int) -> None:
    assert np.count_nonzero(fixed().poisson_mask(1000, q)) == expected


class Scripted(SecureRandom):
    """Hands out the given words, one call after another."""

    def __init__(self, *calls: list[int]) -> None:
        super().__init__(bytes(32), "fixed")
        self.calls = list(calls)

    def _words(self, n: int) -> Any:
        words = np.array(self.calls.pop(0), dtype=np.uint64)
        assert words.size == n
        return words


@given(st.fractions(min_value=0, max_value=1).filter(lambda q: q < 1), st.integers(-3, 3))
def test_coins_are_exact_to_the_last_bit(q: Fraction, offset: int) -> None:
    threshold, rest = divmod(q.numerator << 64, q.denominator)
    word = min(max(threshold + offset, 0), 2**64 - 1)
    tie = word == threshold and rest > 0
    coin = Scripted([word], [0], [0], [0]).poisson_mask(1, q)[0] if tie else None
    plain = Scripted([word]).poisson_mask(1, q)[0] if not tie else None
    # zeros after a tie fall below the rest, which is above zero
    assert (coin if tie else plain) == (word < threshold or tie)


def test_a_tie_is_decided_by_more_bits() -> None:
    third = (1 << 64) // 3  # 1/3 = 0.0101…: the rest of 1/3 after 64 bits is 1/3 again
    assert Scripted([third], [third - 1]).poisson_mask(1, Fraction(1, 3))[0]
    assert not Scripted([third], [third + 1]).poisson_mask(1, Fraction(1, 3))[0]


@pytest.mark.parametrize("high", [1, 2, 7, 1000])
def test_integers_are_even(high: int) -> None:
    drawn = fixed("integers", str(high)).integers(high, 100_000)
    counts = np.bincount(drawn, minlength=high)
    assert len(counts) == high
    assert high == 1 or stats.chisquare(counts).pvalue > 1e-3


def test_integers_past_the_last_full_multiple_are_drawn_again() -> None:
    last = 2**64 - 1  # 2**64 % 3 = 1, so this one word would favour 0
    assert Scripted([last, 4], [5]).integers(3, 2).tolist() == [2, 1]


def test_choices_are_even_and_distinct() -> None:
    random = fixed("choice")
    counts = Counter(tuple(random.choice_without_replacement(4, 2)) for _ in range(12_000))
    assert len(counts) == 12
    assert stats.chisquare(list(counts.values())).pvalue > 1e-3


@given(st.integers(0, 300), st.data())
def test_choices_stay_in_range(n: int, data: Any) -> None:
    k = data.draw(st.integers(0, n))
    chosen = fixed(str(n), str(k)).choice_without_replacement(n, k)
    assert len(set(chosen.tolist())) == k
    assert all(0 <= one < n for one in chosen)


@settings(max_examples=30)
@given(st.integers(0, 200_000), st.integers(0, 100))
def test_same_key_same_numbers(n: int, seed: int) -> None:
    first, second = SecureRandom.fixed(seed, "a"), SecureRandom.fixed(seed, "a")
    assert (first.normal(n) == second.normal(n)).all()
    assert (first.uniform(3) == second.uniform(3)).all()


def test_other_key_other_numbers() -> None:
    streams = [
        SecureRandom.fixed(1),
        SecureRandom.fixed(2),
        SecureRandom.fixed(b"1"),
        SecureRandom.fixed(1, "ab", "c"),
        SecureRandom.fixed(1, "a", "bc"),
        SecureRandom.fixed(1, "abc"),
        SecureRandom.system(),
        SecureRandom.system(),
    ]
    assert len({stream.normal(1)[0] for stream in streams}) == len(streams)
    stream = streams[0]
    assert not np.intersect1d(stream.normal(1000), stream.normal(1000)).size


def test_known_answer() -> None:
    """A change of these numbers breaks every simulation that must repeat itself."""
    random = SecureRandom.fixed(7, "known")
    assert random.integers(1000, 5).tolist() == KNOWN_INTEGERS
    assert random.normal(3) == pytest.approx(KNOWN_NORMALS, abs=1e-12)


KNOWN_INTEGERS = [855, 208, 299, 223, 490]
KNOWN_NORMALS = [0.45593259394011426, 1.7365446815403585, -0.9197217132132995]


def test_origin_is_told() -> None:
    assert SecureRandom.system().origin == "system"
    assert fixed().origin == "fixed"


def test_a_stream_cannot_be_used_twice() -> None:
    for stream in (SecureRandom.system(), fixed()):
        for duplicate in (copy.copy, copy.deepcopy, pickle.dumps):
            with pytest.raises(TypeError, match="cannot be"):
                duplicate(stream)


FORKS = """
import os, sys
from common.privacy.noise import SecureRandom
stream = SecureRandom.system()
stream.normal(1)
if os.fork() == 0:
    os.write(1, stream.normal(1).tobytes())
    os._exit(0)
os.wait()
os.write(1, stream.normal(1).tobytes())
"""


def test_a_forked_process_gets_noise_of_its_own() -> None:
    said = subprocess.run([sys.executable, "-c", FORKS], stdout=subprocess.PIPE, check=True).stdout
    theirs, ours = np.frombuffer(said)
    assert theirs != ours


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda random: random.normal(-1), "n"),
        (lambda random: random.uniform(-1), "n"),
        (lambda random: random.poisson_mask(3, 0.5), "q"),
        (lambda random: random.poisson_mask(3, Fraction(3, 2)), "q"),
        (lambda random: random.poisson_mask(-3, Fraction(1, 2)), "n"),
        (lambda random: random.integers(0, 3), "high"),
        (lambda random: random.integers(2**63 + 1, 3), "high"),
        (lambda random: random.choice_without_replacement(3, 4), "k"),
    ],
)
def test_nonsense_is_refused_by_name(call: Any, name: str) -> None:
    with pytest.raises(StudyError) as caught:
        call(fixed())
    assert caught.value.where == name
