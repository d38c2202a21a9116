"""One minute of the service's history: its record, and its text in Redis."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Final

import msgspec

from brain.json_text import read_json
from brain.numbers import NotANumberError, parse_decimal, plain
from brain.positions.exposure import Exposure

MINUTE_MS: Final = 60_000
#: Minutes that are kept: a slot for each minute of the day.
MINUTES_KEPT: Final = 1440
#: Longest text of a minute (bytes): all slots together stay below 1 MiB.
LONGEST_TEXT: Final = 700
#: Reasons that a minute names; the rest are counted as `OTHER`.
_NAMED: Final = 12
OTHER: Final = "other"
_LONGEST_REASON = 40
_CENT = Decimal("0.01")
_LARGEST_EXPONENT = 13

Count = Annotated[int, msgspec.Meta(ge=0, le=10**12)]
Age = Annotated[float, msgspec.Meta(ge=0, le=1e9)]
Latency = Annotated[int, msgspec.Meta(ge=0, le=10**9)]


class Minute(msgspec.Struct, frozen=True):
    """Observations of one minute (`number`: epoch minute by Redis's clock) by the holder of the lease.

    `seen_sec`: seconds of the minute that were observed. `latency_ms`: median, 99th percentile and maximum
    from publication to answer. `oldest_age_sec`: the greatest age of a snapshot. `weight`: the most request
    weight of any 60 s. What was not observed is None.
    """

    number: int
    seen_sec: int
    allowed: Mapping[str, int]
    denied: Mapping[str, int]
    latency_ms: tuple[int, int, int] | None
    oldest_age_sec: float | None
    weight: int
    exposure: Exposure | None

    @property
    def slot(self) -> int:
        """Return the slot of the day that the minute has in Redis."""
        return self.number % MINUTES_KEPT


class _Stored(msgspec.Struct, frozen=True, omit_defaults=True):
    """Short names, in the order of the text: the script `write_minute` reads the first."""

    m: Count
    s: Count
    w: Count = 0
    p: tuple[Latency, Latency, Latency] | None = None
    o: Age | None = None
    #: Gross, net, unrealised P&L, unpriced.
    x: tuple[str, str, str, Count] | None = None
    a: dict[str, Count] = {}
    d: dict[str, Count] = {}


def minute_text(minute: Minute) -> str:
    """Return the text of a minute, `LONGEST_TEXT` bytes at most: reasons that do not fit are `other`."""
    exposure = minute.exposure
    for named in (_NAMED, _NAMED // 2, 0):
        stored = _Stored(
            m=minute.number,
            s=minute.seen_sec,
            w=minute.weight,
            p=minute.latency_ms,
            o=None if minute.oldest_age_sec is None else round(minute.oldest_age_sec, 3),
            x=None if exposure is None else _amounts(exposure),
            a=_most_frequent(minute.allowed, named),
            d=_most_frequent(minute.denied, named),
        )
        text = msgspec.json.encode(stored)
        if len(text) <= LONGEST_TEXT:
            break
    return text.decode()


def read_minute(text: bytes) -> Minute | None:
    """Read the text of a minute; None for one that this service did not write."""
    if len(text) > LONGEST_TEXT:
        return None
    try:
        stored = read_json(_DECODER, text)
        exposure = None
        if stored.x is not None:
            *amounts, unpriced = stored.x
            gross, net, profit = map(parse_decimal, amounts)
            exposure = Exposure(gross, net, profit, unpriced)
    except (msgspec.DecodeError, NotANumberError):
        return None
    return Minute(
        number=stored.m,
        seen_sec=stored.s,
        allowed=stored.a,
        denied=stored.d,
        latency_ms=stored.p,
        oldest_age_sec=stored.o,
        weight=stored.w,
        exposure=exposure,
    )


def _most_frequent(counts: Mapping[str, int], named: int) -> dict[str, int]:
    ranked = sorted(counts.items(), key=lambda each: (-each[1], each[0]))
    kept = {reason[:_LONGEST_REASON]: count for reason, count in ranked[:named]}
    rest = sum(count for _, count in ranked[named:])
    if rest:
        kept[OTHER] = kept.get(OTHER, 0) + rest
    return kept


def _amounts(exposure: Exposure) -> tuple[str, str, str, int] | None:
    """Return amounts rounded to cents; None where one is larger than any account."""
    amounts = (exposure.gross, exposure.net, exposure.profit)
    if any(amount and amount.adjusted() > _LARGEST_EXPONENT for amount in amounts):
        return None
    gross, net, profit = (plain(amount.quantize(_CENT)) for amount in amounts)
    return gross, net, profit, exposure.unpriced


_DECODER = msgspec.json.Decoder(_Stored)
