"""Proof that an order of ours does not exist, and the times at which the exchange is asked for it.

-2013 ("does not exist") was seen for seconds after an order was taken, so it proves nothing alone. The list
of all orders may be late, too: the one that counts is asked for behind the last of the answers that count.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import msgspec

from brain.execution.record import OrderRecord

#: Least time between two answers -2013 that count (ms).
NOT_FOUND_APART_MS = 5_000
#: An order that was seen is gone once the exchange has denied it for so long (ms).
VANISHED_APART_MS = 60_000
#: Times of queries since the outcome is unknown (seconds); behind them one each 10 s.
_FIRST_QUERIES_SEC = (0.1, 0.3, 1.0, 2.0, 5.0, 10.0)
_QUERY_EACH_SEC = 10.0
#: What lacks where all other evidence may be there.
NO_LIST = "a list of all orders behind the settle time and those answers"


def query_times_sec() -> Iterator[float]:
    """Yield the times of queries, in seconds since the outcome is unknown."""
    yield from _FIRST_QUERIES_SEC
    for number in count(1):
        yield _FIRST_QUERIES_SEC[-1] + number * _QUERY_EACH_SEC


def settled_ms(record: OrderRecord, settle_sec: float) -> int:
    """Return the moment (exchange clock, ms) from which absence can be proven.

    The request is refused after `recv_window_ms`; `settle_sec` covers the exchange's own wait for its engine.
    """
    return record.timestamp_ms + record.recv_window_ms + round(settle_sec * 1000)


class AbsenceEvidence(msgspec.Struct, frozen=True, kw_only=True):
    """Evidence that there is no such order. Times are lower bounds of the exchange's clock (ms), or None.

    `not_found_ms`: requests that were answered with -2013. `not_listed_ms`: the request for all orders since
    `timestamp` that did not list it. `unchanged_ms`: a read of the position that shows nothing but what
    ledger and known fills explain. `stream_since_ms` is an upper bound: begin of the private stream's present
    session, which has shown no event of the order.
    """

    now_ms: int | None = None
    not_found_ms: tuple[int, ...] = ()
    not_listed_ms: int | None = None
    unchanged_ms: int | None = None
    stream_since_ms: int | None = None


def missing_evidence(record: OrderRecord, evidence: AbsenceEvidence, settle_sec: float) -> tuple[str, ...]:
    """Return what still lacks for a proof that there is no order, in words; empty: it is proven."""
    settled = settled_ms(record, settle_sec)
    lacking: list[str] = []
    if evidence.now_ms is None or evidence.now_ms <= settled:
        lacking.append("the settle time has not passed")
    late = [asked_ms for asked_ms in evidence.not_found_ms if asked_ms > settled]
    is_denied = bool(late) and max(late) - min(late) >= NOT_FOUND_APART_MS
    if not is_denied:
        lacking.append("two answers -2013, 5 s apart, behind the settle time")
    listed_from_ms = min(late) + NOT_FOUND_APART_MS if is_denied else settled + 1
    if evidence.not_listed_ms is None or evidence.not_listed_ms < listed_from_ms:
        lacking.append(NO_LIST)
    watched = evidence.stream_since_ms is not None and evidence.stream_since_ms < record.timestamp_ms
    unchanged = evidence.unchanged_ms is not None and evidence.unchanged_ms > settled
    if not (watched or unchanged):
        lacking.append("a private stream since before the request, or a position that the ledger explains")
    return tuple(lacking)


def has_vanished(evidence: AbsenceEvidence) -> bool:
    """Return True if even an order that was seen is gone: the account was reset, or is another one.

    Besides the proof for one that was never seen it takes: nothing but -2013 for a minute, a trusted stream,
    and since then a position that the ledger explains.
    """
    times, unchanged_ms = evidence.not_found_ms, evidence.unchanged_ms
    if not is_long_denied(times) or unchanged_ms is None or evidence.stream_since_ms is None:
        return False
    return unchanged_ms > min(times)


def is_long_denied(not_found_ms: tuple[int, ...]) -> bool:
    """Return True where the answers -2013 to these requests lie a minute apart."""
    return bool(not_found_ms) and max(not_found_ms) - min(not_found_ms) >= VANISHED_APART_MS
