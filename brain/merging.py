"""How REST reads and pushed events of one symbol become one position, and when it is known to be that.

Rows are ordered by the exchange's time of change alone; when something was asked for, or came, never makes
an older row win. For each leg two moments are kept, both on this host's clocks: `since`, when the row
became true (at the latest), and `until`, the latest moment at which it is known to have been true still. A
snapshot claims a moment that lies within that span for every leg, and where there is none, there is no
snapshot.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

import msgspec

from brain.moment import Moment
from brain.position import Leg, LegPosition, Snapshot, VerifiedBy

#: The legs that make up a position, in one-way and in hedge mode.
_WHOLE = (frozenset({Leg.BOTH}), frozenset({Leg.LONG, Leg.SHORT}))


class LegState(msgspec.Struct, frozen=True):
    """A leg's newest row and what is known of it.

    `learnt` is when it came to be known (arrival of the push, sending of the read). `grounded` is the latest
    moment from which an unbroken stream tells the whole truth of the leg. `pushed` is the newest row that the
    stream has told.
    """

    row: LegPosition
    since: Moment
    until: Moment
    verified_by: VerifiedBy
    learnt: Moment
    grounded: Moment
    pushed: LegPosition | None = None


class SymbolState(msgspec.Struct, frozen=True):
    """All that is known of a symbol's position. `leverage` and mark price are None until they are known.

    `read`: a REST read has shown all of its legs; pushes alone may have told it by half.
    """

    symbol: str
    legs: tuple[LegState, ...] = ()
    leverage: Decimal | None = None
    mark_price: Decimal | None = None
    mark_ts_ms: int = 0
    read: bool = False

    def leg(self, leg: Leg) -> LegState | None:
        """What is known of one leg; None where nothing is."""
        return next((known for known in self.legs if known.row.leg is leg), None)

    def grounded_since(self, since: Moment) -> bool:
        """Whether a stream that missed nothing since then has told, or built on, each leg's whole truth."""
        grounded = self.grounded
        return grounded is not None and grounded >= since

    @property
    def grounded(self) -> Moment | None:
        """The latest moment since which a stream that missed nothing has told each leg's whole truth."""
        return min((known.grounded for known in self.legs), default=None)


class StreamProof(msgspec.Struct, frozen=True):
    """The stream has missed nothing since `since`, and all it had to tell until `as_of` has been applied."""

    since: Moment
    as_of: Moment


class Disagreement(msgspec.Struct, frozen=True):
    """A read showed of a leg what a trusted stream had not told. Explained if the stream tells it yet."""

    symbol: str
    held: LegPosition
    read: LegPosition
    sent: Moment
    received: Moment


def apply_push(
    state: SymbolState,
    row: LegPosition,
    received: Moment,
    *,
    stream_since: Moment | None = None,
    exchange_ahead_ms: int | None = 0,
) -> SymbolState:
    """Merge one entry of `ACCOUNT_UPDATE`; a row older than the known one changes nothing.

    Account updates come in the order in which they happened: so one that comes over a stream that missed
    nothing since `stream_since` says of the other legs that they did not change before it. (Apply all
    that came together before looking.) `exchange_ahead_ms` is by how much the exchange's clock is ahead, at
    least; None where nothing is known of it.
    """
    known = state.leg(row.leg)
    if known is not None and row.update_time_ms < known.row.update_time_ms:
        return state
    since = _since(row, known, _on_this_host(row.update_time_ms, received, exchange_ahead_ms))
    told = LegState(row, since, since, VerifiedBy.STREAM, received, received, pushed=row)
    if known is not None and _same(known.row, row):
        kept = msgspec.structs.replace(known, learnt=received, grounded=received, pushed=row)
        told = _true_until(kept, since, VerifiedBy.STREAM)
    others = (other for other in state.legs if other.row.leg is not row.leg)
    if stream_since is not None:
        others = (
            _true_until(other, since, VerifiedBy.STREAM) if other.grounded >= stream_since else other
            for other in others
        )
    return _with_legs(state, (told, *others))


def apply_rest(
    state: SymbolState,
    rows: Iterable[LegPosition],
    *,
    leverage: Decimal | None,
    mark_price: Decimal | None,
    sent: Moment,
    received: Moment,
    verified_by: VerifiedBy = VerifiedBy.REST,
    stream_since: Moment | None = None,
    exchange_ahead_ms: int | None = 0,
) -> tuple[SymbolState, tuple[Disagreement, ...]]:
    """Merge a read of the symbol: `rows` are all of its legs; others are gone (the account's mode changed).

    A row older than the known one never replaces it, and proves nothing, unless it shows the same amount and
    was asked for after that was learnt (rows and events may be dated differently). At equal times and
    different amounts the read wins only if it was sent after the known row was learnt. Accepted rows were
    true when the read was sent, unless they may have changed between sending and answer: those were true when
    the exchange answered, which nobody here knows, so that they claim nothing until something confirms them.
    With `stream_since`, the beginning of a trusted stream's tale, an amount that it has not told is a
    disagreement.
    """
    legs: list[LegState] = []
    disagreements: list[Disagreement] = []
    for row in rows:
        known = state.leg(row.leg)
        since = _since(row, known, _on_this_host(row.update_time_ms, received, exchange_ahead_ms))
        read = LegState(row, since, sent, verified_by, sent, sent)
        if known is None:
            legs.append(read)
        elif _same(known.row, row) or _confirms(row, sent, known):
            grounded = msgspec.structs.replace(known, grounded=max(known.grounded, sent))
            legs.append(_true_until(grounded, sent, verified_by))
        elif _wins(row, sent, known):
            legs.append(msgspec.structs.replace(read, pushed=known.pushed))
            untold = stream_since is not None and known.grounded >= stream_since
            if untold and row.amount != known.row.amount:
                disagreements.append(Disagreement(state.symbol, known.row, row, sent, received))
        else:
            legs.append(known)
    merged = msgspec.structs.replace(_with_legs(state, legs), read=True)
    if mark_price is not None:
        merged = apply_mark(merged, mark_price, sent.wall_ms)
    if leverage is not None:
        merged = msgspec.structs.replace(merged, leverage=leverage)
    return merged, tuple(disagreements)


def apply_mark(state: SymbolState, price: Decimal, ts_ms: int) -> SymbolState:
    """Merge a mark price (`ts_ms`: this host's wall clock); an older one than known changes nothing."""
    if ts_ms < state.mark_ts_ms:
        return state
    return msgspec.structs.replace(state, mark_price=price, mark_ts_ms=ts_ms)


def explained(state: SymbolState, disagreement: Disagreement) -> bool:
    """Whether the stream has told by now what a read had shown before it: the event was in flight."""
    known = state.leg(disagreement.read.leg)
    if known is None or known.pushed is None:
        return False
    newer = known.pushed.update_time_ms > disagreement.read.update_time_ms
    return newer or _same(known.pushed, disagreement.read)


def to_snapshot(state: SymbolState, proof: StreamProof | None) -> Snapshot | None:
    """The symbol's position and the latest moment at which all of its legs are known to have been that.

    None while a part of it was never read, or while no such moment is known. A proof freshens the legs
    that were read or told within the stretch that it covers.
    """
    legs = state.legs
    if not state.read or {each.row.leg for each in legs} not in _WHOLE:
        return None
    if proof is not None:
        legs = tuple(
            _true_until(known, proof.as_of, VerifiedBy.STREAM) if known.grounded >= proof.since else known
            for known in legs
        )
    oldest = min(legs, key=lambda known: known.until)
    if oldest.until < max(known.since for known in legs):
        return None
    return Snapshot(
        symbol=state.symbol,
        legs=tuple(known.row for known in legs),
        leverage=state.leverage,
        mark_price=state.mark_price,
        mark_ts_ms=state.mark_ts_ms,
        verified_at=oldest.until,
        verified_by=oldest.verified_by,
    )


def _on_this_host(exchange_ms: int, received: Moment, exchange_ahead_ms: int | None) -> Moment:
    """When an exchange time was, at the latest, on this host's clocks: never after its message came."""
    if exchange_ahead_ms is None:
        return received
    return received.earlier_by(max(0, received.wall_ms + exchange_ahead_ms - exchange_ms) / 1000)


def _since(row: LegPosition, known: LegState | None, dated: Moment) -> Moment:
    """When the row became true at the latest: not while another one was still known to be."""
    return dated if known is None or _same(known.row, row) else max(dated, known.until)


def _same(known: LegPosition, row: LegPosition) -> bool:
    return known.update_time_ms == row.update_time_ms and known.amount == row.amount


def _confirms(row: LegPosition, sent: Moment, known: LegState) -> bool:
    older = row.update_time_ms < known.row.update_time_ms
    return older and row.amount == known.row.amount and sent > known.learnt


def _wins(row: LegPosition, sent: Moment, known: LegState) -> bool:
    if row.update_time_ms != known.row.update_time_ms:
        return row.update_time_ms > known.row.update_time_ms
    return sent > known.learnt


def _true_until(known: LegState, moment: Moment, verified_by: VerifiedBy) -> LegState:
    if moment <= known.until:
        return known
    return msgspec.structs.replace(known, until=moment, verified_by=verified_by)


def _with_legs(state: SymbolState, legs: Iterable[LegState]) -> SymbolState:
    return msgspec.structs.replace(state, legs=tuple(sorted(legs, key=lambda known: known.row.leg)))
