"""The kill score in exact arithmetic: integers alone, with the rounding of binary64 after each operation.

A number is a pair (m, e) of the value m x 2^e. Each operation is exact, then rounded to 53 bits, to nearest,
ties to even, as IEEE 754 asks.
"""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

Number = tuple[int, int]

ZERO: Number = (0, 0)
ONE: Number = (1, 0)


def exactly(value: float | Decimal) -> Number:
    """The number nearest to a value: a float itself."""
    if isinstance(value, float):
        numerator, denominator = value.as_integer_ratio()  # a power of two
        return numerator, 1 - denominator.bit_length()
    fraction = Fraction(value)
    return _divided(fraction.numerator, fraction.denominator)


def as_float(number: Number) -> float:
    """The number as Python's float, which holds it exactly."""
    return math.ldexp(number[0], number[1])


def add(a: Number, b: Number) -> Number:
    """a + b."""
    (m, e), (n, f) = a, b
    return _rounded((m << (e - f)) + n, f) if e > f else _rounded(m + (n << (f - e)), e)


def subtract(a: Number, b: Number) -> Number:
    """a - b."""
    return add(a, (-b[0], b[1]))


def multiply(a: Number, b: Number) -> Number:
    """a x b."""
    return _rounded(a[0] * b[0], a[1] + b[1])


def divide(a: Number, b: Number) -> Number:
    """a / b."""
    quotient = _divided(a[0], b[0]) if b[0] > 0 else _divided(-a[0], -b[0])
    return quotient[0], quotient[1] + a[1] - b[1]


def root(a: Number) -> Number:
    """The square root of a number that is not negative."""
    m, e = a
    if not m:
        return ZERO
    up = 120 + (e & 1)
    m, e = m << up, e - up
    whole = math.isqrt(m)
    return _rounded(2 * whole + (whole * whole != m), e // 2 - 1)


def at_least(a: Number, b: Number) -> bool:
    """a >= b."""
    return subtract(a, b)[0] >= 0


class Stats(NamedTuple):
    """Mean and variance after n observations."""

    n: int
    mean: Number
    var: Number


def observed(stats: Stats | None, score: Number, alpha: Number) -> Stats:
    """The statistics after one more observation: the mean first, and the variance by it."""
    if stats is None:
        return Stats(1, score, ZERO)
    kept = _kept(alpha)
    mean = add(multiply(alpha, score), multiply(kept, stats.mean))
    off = subtract(score, mean)
    var = add(multiply(alpha, multiply(off, off)), multiply(kept, stats.var))
    return Stats(stats.n + 1, mean, var)


def z(stats: Stats, score: Number) -> Number:
    """The deviation of the last observation."""
    return divide(subtract(score, stats.mean), add(root(stats.var), MILLIONTH))


def cutoff(weights: tuple[float, float, float], heat: Number, drawdown: Number) -> Number:
    """A cut-off from its base, its weights of heat and drawdown, and these."""
    base, by_heat, by_drawdown = weights
    kept = multiply(subtract(ONE, drawdown), exactly(by_drawdown))
    return subtract(add(exactly(base), multiply(heat, exactly(by_heat))), kept)


def within_one(number: Number) -> Number:
    """The number, at least 0 and at most 1."""
    if number[0] < 0:
        return ZERO
    return ONE if at_least(number, ONE) else number


@lru_cache
def _kept(alpha: Number) -> Number:
    return subtract(ONE, alpha)


def _divided(a: int, b: int) -> Number:
    """a / b for b > 0."""
    up = max(0, 60 + b.bit_length() - abs(a).bit_length())
    whole, rest = divmod(abs(a) << up, b)
    return _rounded((2 * whole + (rest != 0)) * (-1 if a < 0 else 1), -up - 1)


def _rounded(m: int, e: int) -> Number:
    size = abs(m)
    spare = size.bit_length() - 53
    if spare <= 0:
        return (m, e) if m else ZERO
    whole, rest, half = size >> spare, size & ((1 << spare) - 1), 1 << (spare - 1)
    if rest > half or (rest == half and whole & 1):
        whole += 1
    return (-whole if m < 0 else whole), e + spare


MILLIONTH = exactly(1e-6)
