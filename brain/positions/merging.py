"""Rules of freshness 1-12: which row of a symbol is accepted, and as of when a snapshot is true.

Rules 13-20 (coverage by the stream, loss of trust, the next read) are at the head of
`actors.snapshot_fetcher.read_schedule`.

Rows. Each leg of a symbol has one known row; rows of one leg are ordered by the exchange's time of change.
 1. *First*: a leg of which nothing is known takes the row of a read or a push.
 2. *Newer*: a row dated later replaces the known one. At equal dates and other amounts a push replaces it
    (pushes arrive in order), and a read does if it was sent after the known row was learnt.
 3. *Same*: a row of the same amount confirms the known one: a push of the same date, a read of the same
    date, or a read of an earlier date that was sent after the known row was learnt (rows and events may be
    dated differently). A repeated push of an earlier date and the same amount changes nothing, except that
    of a disputed leg it is out of order like any other (rule 5).
 4. *Race*: a read of another amount, dated earlier and sent before the known row arrived or within
    `EVENT_IN_FLIGHT_SEC` after that, may be older than the known row; so may a read of an equal date sent
    before the known row was learnt, and a push, dated later than the last push and earlier than a row that
    a read brought within that time. They change nothing and prove nothing.
 5. *Out of order*: any other push of another amount that is dated earlier than the known row, or earlier
    than the sending of a read that showed the leg flat (that row may have no date), and any push dated
    ahead of the exchange clock's upper bound, is not merged. The leg is disputed until a read sent after it.
 6. *Discrepancy*: a read of another amount, dated earlier, sent more than `EVENT_IN_FLIGHT_SEC` after the
    known row arrived, contradicts the known row: the leg is disputed.
 7. *Second witness*: a read as in 6 is accepted, whatever its date, if the leg is disputed by a read sent
    more than `EVENT_IN_FLIGHT_SEC` before it, or by a push of this very row.
 8. *Not shown*: a symbol whose row is missing from a read of all symbols, or cannot be read, is disputed
    until a later read shows it.
 9. *Flat BOTH*: a flat BOTH row of a symbol with LONG and SHORT legs is of a leg that the account cannot
    trade: it changes nothing.

Dates.
10. A date ahead of the exchange clock's upper bound orders nothing: a read's row takes the known row's
    date, keeps its own beside it, as that of the fill which an adopted ledger contains last, and another
    amount than the known one may be as new as the read's arrival.
11. A row has a span: `since`, when it became true at the latest, `until`, when it is known to have been
    true still. A read's row is true until the read's sending; a push's is true at its own date. A snapshot
    claims a moment inside the spans of all legs; without one, as for a row that changed while it was read,
    there is no snapshot.
12. A disputed leg claims nothing: there is no new snapshot of the symbol, and the last one is not trusted.
    A read sent after the dispute arose, and after the latest push out of order arrived, ends it, by rule 2, 3
    or 7; a newer push ends a dispute of rule 6, too. A read that shows the leg flat, as before that push, may
    be older: it ends the dispute only if it was sent more than `EVENT_IN_FLIGHT_SEC` after the push arrived.

All times are `Moment`s of this host; exchange times are only compared with each other and with the bounds
of the exchange's clock.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

import msgspec

from brain.moment import Moment
from brain.positions.position import Leg, LegPosition, VerifiedBy
from brain.positions.symbol_state import Discrepancy, Dispute, LegState, Rule, SymbolState

#: How long an event may be on its way after the exchange has answered a read by it (seconds).
EVENT_IN_FLIGHT_SEC = 1.0


def apply_push(
    state: SymbolState,
    row: LegPosition,
    received: Moment,
    *,
    stream_since: Moment | None = None,
    exchange_ahead_ms: int | None = 0,
    not_after_ms: int | None = None,
) -> SymbolState:
    """Merge one entry of `ACCOUNT_UPDATE` by the rules for pushes.

    Account updates arrive in the order in which they happened: one from a stream without gaps since
    `stream_since` shows that the other legs did not change before it. (Apply all entries of one update before
    using the result.) `exchange_ahead_ms` is the least lead of the exchange's clock over this host's, None
    while unknown. `not_after_ms` is that clock's upper bound at `received`, None while unknown.
    """
    known = state.leg(row.leg)
    dated = received.at_exchange_ms(row.update_time_ms, exchange_ahead_ms)
    rule = _push_rule(state, known, row, dated, received, not_after_ms)
    if rule is Rule.FLAT_BOTH:
        return state
    if known is None and rule is Rule.OUT_OF_ORDER:
        return msgspec.structs.replace(state, not_shown_at=received)
    if known is not None and rule is Rule.RACE:
        return state.with_legs((msgspec.structs.replace(known, rule=rule), *state.others(row.leg)))
    if known is not None and rule is Rule.OUT_OF_ORDER:
        dispute = Dispute(False, received, received, row, received)
        if known.dispute is not None and known.dispute.by_read:
            dispute = msgspec.structs.replace(known.dispute, pushed=row, pushed_at=received)
        disputed = msgspec.structs.replace(known, dispute=dispute, rule=rule)
        return state.with_legs((disputed, *state.others(row.leg)))
    if known is not None and row.update_time_ms < known.row.update_time_ms:
        return state
    since = _since(row, known, dated)
    pushed = LegState(
        row, since, since, VerifiedBy.STREAM, received, received, received,
        pushed=row, pushed_at=received, rule=rule,
    )  # fmt: skip
    if known is not None and rule is Rule.SAME:
        kept = msgspec.structs.replace(
            known, row=known.row.priced_by(row), learnt=received, arrived=received, synced_at=received,
            pushed=row, pushed_at=received, rule=rule,
        )  # fmt: skip
        pushed = kept.true_until(since, VerifiedBy.STREAM)
    elif known is not None and known.dispute is not None and not known.dispute.by_read:
        pushed = msgspec.structs.replace(pushed, dispute=known.dispute)
    others = state.others(row.leg)
    if stream_since is not None:
        others = tuple(
            other.true_until(since, VerifiedBy.STREAM) if other.synced_at >= stream_since else other
            for other in others
        )
    return state.with_legs((pushed, *others))


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
    not_after_ms: int | None = None,
) -> tuple[SymbolState, tuple[Discrepancy, ...]]:
    """Merge a read of the symbol by the rules for reads.

    `rows` are all of its legs; others are gone (the account's mode changed). With `stream_since`, the start
    of a trusted stream's session, an amount that the stream has not pushed is a discrepancy.
    `exchange_ahead_ms` and `not_after_ms`: as for `apply_push`.
    """
    legs: list[LegState] = []
    discrepancies: list[Discrepancy] = []
    for shown in rows:
        known = state.leg(shown.leg)
        row = shown
        if not_after_ms is not None and row.update_time_ms > not_after_ms:
            orders_nothing = 0 if known is None else known.row.update_time_ms
            row = msgspec.structs.replace(
                row, update_time_ms=orders_nothing, dated_ahead_ms=row.update_time_ms
            )
        dated = received.at_exchange_ms(shown.update_time_ms, exchange_ahead_ms)
        if known is None:
            legs.append(LegState(row, dated, sent, verified_by, sent, received, sent))
            continue
        rule = _read_rule(known, row, sent)
        if rule is Rule.SAME:
            legs.append(_confirmed(known, row, sent, verified_by))
            continue
        if rule is Rule.RACE:
            legs.append(msgspec.structs.replace(known, rule=rule))
            continue
        if rule is Rule.DISCREPANCY:
            dispute = Dispute(True, sent, received)
            if known.dispute is not None:
                dispute = msgspec.structs.replace(
                    dispute, pushed=known.dispute.pushed, pushed_at=known.dispute.pushed_at
                )
            if known.dispute is not None and known.dispute.by_read:
                # The second witness must be sent after the first discrepancy, not after the latest one.
                dispute = known.dispute
            legs.append(msgspec.structs.replace(known, dispute=dispute, rule=rule))
        else:
            since = _since(row, known, dated)
            if rule is Rule.SECOND_WITNESS and known.dispute is not None:
                # The known row was wrong: its span sets no bound.
                since = max(dated, known.dispute.received) if known.dispute.by_read else dated
            standing = known.dispute is not None and sent <= known.dispute.latest
            legs.append(
                LegState(
                    row, since, sent, verified_by, sent, received, sent, pushed=known.pushed,
                    pushed_at=known.pushed_at, dispute=known.dispute if standing else None, rule=rule,
                )
            )  # fmt: skip
        covered = stream_since is not None and known.synced_at >= stream_since
        unmerged = None if known.dispute is None else known.dispute.pushed
        pushed = unmerged is not None and unmerged.amount == row.amount
        if covered and not pushed and row.amount != known.row.amount:
            discrepancies.append(Discrepancy(state.symbol, known.row, row, sent, received))
    shown_again = state.not_shown_at is None or sent > state.not_shown_at
    merged = msgspec.structs.replace(
        state.with_legs(legs), read=True, not_shown_at=None if shown_again else state.not_shown_at
    )
    if mark_price is not None:
        merged = apply_mark(merged, mark_price, sent.wall_ms)
    if leverage is not None:
        merged = msgspec.structs.replace(merged, leverage=leverage)
    return merged, tuple(discrepancies)


def not_shown(state: SymbolState, sent: Moment) -> SymbolState:
    """Merge a read, sent then, that should have shown the symbol and did not, or not readably (rule 8)."""
    if state.not_shown_at is not None and state.not_shown_at >= sent:
        return state
    if any(known.learnt > sent for known in state.legs):
        # A leg was learnt after the read was sent: the symbol may be new on the exchange.
        return state
    return msgspec.structs.replace(state, not_shown_at=sent)


def apply_mark(state: SymbolState, price: Decimal, ts_ms: int) -> SymbolState:
    """Merge a mark price (`ts_ms`: this host's wall clock); an older one than known changes nothing."""
    if ts_ms < state.mark_ts_ms:
        return state
    return msgspec.structs.replace(state, mark_price=price, mark_ts_ms=ts_ms)


def explained(state: SymbolState, discrepancy: Discrepancy) -> bool:
    """Return True if a push since then explains the read: its event was in flight (rule 15)."""
    known = state.leg(discrepancy.read.leg)
    if known is None:
        return False
    unmerged = None if known.dispute is None else known.dispute.pushed
    if unmerged is not None and unmerged.amount == discrepancy.read.amount:
        return True
    if known.pushed is None or known.pushed_at is None:
        return False
    if known.pushed_at < discrepancy.sent:
        return False
    read, pushed = discrepancy.read, known.pushed
    newest_ms = max(read.update_time_ms, discrepancy.held.update_time_ms)
    return pushed.update_time_ms > newest_ms or pushed.same_as(read)


def _push_rule(
    state: SymbolState,
    known: LegState | None,
    row: LegPosition,
    dated: Moment,
    received: Moment,
    not_after_ms: int | None,
) -> Rule:
    if row.leg is Leg.BOTH and not row.amount and any(each.row.leg is not Leg.BOTH for each in state.legs):
        return Rule.FLAT_BOTH
    if not_after_ms is not None and row.update_time_ms > not_after_ms:
        return Rule.OUT_OF_ORDER
    if known is None:
        return Rule.FIRST
    if row.update_time_ms >= known.row.update_time_ms:
        if known.row.same_as(row):
            return Rule.SAME
        return Rule.OUT_OF_ORDER if row.amount and _read_flat_after(known, dated) else Rule.NEWER
    if row.amount == known.row.amount and known.dispute is None:
        return Rule.SAME
    in_order = known.pushed is None or row.update_time_ms > known.pushed.update_time_ms
    raced = in_order and not _well_after(received, known.arrived)
    return Rule.RACE if raced else Rule.OUT_OF_ORDER


def _read_flat_after(known: LegState, dated: Moment) -> bool:
    """Return True if a read that was sent later has shown the leg flat: such a row may have no date."""
    flat = not known.row.amount and known.verified_by is not VerifiedBy.STREAM
    return flat and dated < known.until


def _read_rule(known: LegState, row: LegPosition, sent: Moment) -> Rule:
    if row.update_time_ms > known.row.update_time_ms:
        return Rule.NEWER
    same_date, asked_after = row.update_time_ms == known.row.update_time_ms, sent > known.learnt
    if row.amount == known.row.amount:
        return Rule.SAME if same_date or asked_after else Rule.RACE
    if same_date:
        return Rule.NEWER if asked_after else Rule.RACE
    if not _well_after(sent, known.arrived):
        return Rule.RACE
    dispute = known.dispute
    if dispute is None:
        return Rule.DISCREPANCY
    if dispute.pushed is not None and dispute.pushed.same_as(row):
        return Rule.SECOND_WITNESS
    seconded = dispute.by_read and _well_after(sent, dispute.at)
    return Rule.SECOND_WITNESS if seconded else Rule.DISCREPANCY


def _confirmed(known: LegState, row: LegPosition, sent: Moment, verified_by: VerifiedBy) -> LegState:
    dispute = known.dispute
    if dispute is not None and sent > dispute.latest and not _may_be_older(known, dispute, sent):
        dispute = None
    shown = known.row.priced_by(row)
    if row.dated_ahead_ms > shown.dated_ahead_ms:
        shown = msgspec.structs.replace(shown, dated_ahead_ms=row.dated_ahead_ms)
    kept = msgspec.structs.replace(
        known,
        row=shown,
        synced_at=max(known.synced_at, sent),
        dispute=dispute,
        rule=Rule.SAME,
    )
    return kept.true_until(sent, verified_by)


def _may_be_older(known: LegState, dispute: Dispute, sent: Moment) -> bool:
    """Return True if a flat row of a read sent then may be from before the disputed push: it has no date."""
    pushed, pushed_at = dispute.pushed, dispute.pushed_at
    if pushed is None or pushed_at is None or known.row.amount or not pushed.amount:
        return False
    return pushed.update_time_ms >= known.row.update_time_ms and not _well_after(sent, pushed_at)


def _well_after(later: Moment, earlier: Moment) -> bool:
    """Return True if `later` is after `earlier` by more than an event can be in flight (monotonic clock)."""
    return later.monotonic_sec - earlier.monotonic_sec > EVENT_IN_FLIGHT_SEC


def _since(row: LegPosition, known: LegState | None, dated: Moment) -> Moment:
    """Return when the row became true at the latest: not while another one was still true."""
    return dated if known is None or known.row.same_as(row) else max(dated, known.until)
