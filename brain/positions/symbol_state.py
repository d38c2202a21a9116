"""State of a symbol's position: known rows, the spans in which they are true, disputes; and its snapshot.

The rules named by number are at the head of `brain.positions.merging` (1-12) and of
`actors.snapshot_fetcher.read_schedule` (13-20).
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from enum import IntEnum

import msgspec

from brain.moment import Moment
from brain.positions.position import Leg, LegPosition, Snapshot, VerifiedBy

#: The legs that make up a position, in one-way and in hedge mode.
_WHOLE = (frozenset({Leg.BOTH}), frozenset({Leg.LONG, Leg.SHORT}))


class Rule(IntEnum):
    """Rule that decided about a row."""

    FIRST = 1
    NEWER = 2
    SAME = 3
    RACE = 4
    OUT_OF_ORDER = 5
    DISCREPANCY = 6
    SECOND_WITNESS = 7
    NOT_SHOWN = 8
    FLAT_BOTH = 9


class Dispute(msgspec.Struct, frozen=True, gc=False):
    """A row that contradicts a leg's known one: of a push (rule 5) or of a read (rule 6).

    `at` is when the push arrived or the read was sent; `received` when either arrived. `pushed` is the latest
    row pushed out of order, which a read can confirm (rule 7), and `pushed_at` its arrival.
    """

    by_read: bool
    at: Moment
    received: Moment
    pushed: LegPosition | None = None
    pushed_at: Moment | None = None

    @property
    def latest(self) -> Moment:
        """Return the moment after which a read must be sent to end the dispute (rule 12)."""
        return self.at if self.pushed_at is None else max(self.at, self.pushed_at)


class LegState(msgspec.Struct, frozen=True, gc=False):
    """A leg's known row and the span in which it is known to be true.

    `learnt` is the arrival of the push or the sending of the read, `arrived` the arrival of either's message.
    `synced_at` is the latest moment from which a stream without gaps pushes every change of the leg. `pushed`
    is the newest row merged from the stream, `pushed_at` its arrival. `rule` decided about the latest row.
    """

    row: LegPosition
    since: Moment
    until: Moment
    verified_by: VerifiedBy
    learnt: Moment
    arrived: Moment
    synced_at: Moment
    pushed: LegPosition | None = None
    pushed_at: Moment | None = None
    dispute: Dispute | None = None
    rule: Rule = Rule.FIRST

    def true_until(self, moment: Moment, verified_by: VerifiedBy) -> LegState:
        """Return it as true until `moment` at least, by that proof."""
        if moment <= self.until:
            return self
        return msgspec.structs.replace(self, until=moment, verified_by=verified_by)


class SymbolState(msgspec.Struct, frozen=True, gc=False):
    """Known state of a symbol's position. `leverage` and mark price are None until they are known.

    `read`: a REST read has shown all of its legs; pushes alone may have shown half of it. `not_shown_at` is
    when the latest read was sent that should have shown the symbol and did not (rule 8), None after one that
    did.
    """

    symbol: str
    legs: tuple[LegState, ...] = ()
    leverage: Decimal | None = None
    mark_price: Decimal | None = None
    mark_ts_ms: int = 0
    read: bool = False
    not_shown_at: Moment | None = None

    def leg(self, leg: Leg) -> LegState | None:
        """Return one leg's state; None while nothing is known of it."""
        return next((known for known in self.legs if known.row.leg is leg), None)

    def others(self, leg: Leg) -> tuple[LegState, ...]:
        """Return the states of all legs but one."""
        return tuple(other for other in self.legs if other.row.leg is not leg)

    def with_legs(self, legs: Iterable[LegState]) -> SymbolState:
        """Return it with these legs, in the order of their names."""
        return msgspec.structs.replace(self, legs=tuple(sorted(legs, key=lambda known: known.row.leg)))

    @property
    def disputed_at(self) -> Moment | None:
        """Return the moment of the symbol's latest dispute; None without one (rule 12)."""
        at = self.not_shown_at
        for known in self.legs:
            dispute = known.dispute
            if dispute is not None and (at is None or dispute.latest > at):
                at = dispute.latest
        return at

    @property
    def synced_at(self) -> Moment | None:
        """Return the latest moment from which a stream without gaps pushes every change of every leg."""
        return min((known.synced_at for known in self.legs), default=None)


class StreamProof(msgspec.Struct, frozen=True, gc=False):
    """Proof of a stream without gaps since `since`, whose every event until `as_of` has been applied."""

    since: Moment
    as_of: Moment


class Discrepancy(msgspec.Struct, frozen=True, gc=False):
    """Amount of a leg in a read that a trusted stream had not pushed (rule 15)."""

    symbol: str
    held: LegPosition
    read: LegPosition
    sent: Moment
    received: Moment


def to_snapshot(state: SymbolState, proof: StreamProof | None) -> Snapshot | None:
    """Return the symbol's position, as of the latest moment at which all of its legs are known to be true.

    None while a leg was never read, while no such moment is known (rule 11), or while the symbol is disputed
    (rule 12). A proof extends the legs that were shown within its session (rule 14).
    """
    legs = state.legs
    if not state.read or {each.row.leg for each in legs} not in _WHOLE or state.disputed_at is not None:
        return None
    if proof is not None:
        legs = tuple(
            known.true_until(proof.as_of, VerifiedBy.STREAM) if known.synced_at >= proof.since else known
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
