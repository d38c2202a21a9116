"""Dead letters that are published again."""

from __future__ import annotations

import msgspec

from brain.decisions.dead_letter import NoOriginalError, Original, original_of
from brain.identifiers import EntryId, plan_id_text
from brain.ledger.order_memory import UnreadableRecordError, decode_memory
from brain.ledger.result import DeadResult, ExecutedResult, RefusedResult, read_result
from brain.moment import iso_utc
from brain.text_fields import truncate
from explanation.printable import printable
from monitoring.acts.act import Act, RefusedActError
from page.words import duration
from store.operator_protocol import OperatorStore
from store.operator_records import DeadStream, LetterView, Republication

_LONGEST_SHOWN = 200


async def republish(
    store: OperatorStore,
    stream: DeadStream,
    letter_id: EntryId,
    reason: str,
    by: str,
    *,
    decision_ttl_ms: int,
) -> Act:
    """Prepare to publish a dead letter's original again.

    `decision_ttl_ms`: the life of a plan's mark. Of an older plan it is not known whether it was decided.
    Raises StoreError, RefusedActError.
    """
    view = await store.letter_view(stream, letter_id)
    if view is None:
        raise RefusedActError(f"there is no dead letter {letter_id} of {stream}")
    if view.republished is not None:
        raise RefusedActError(f"its original was published again: {_shown(view.republished)}")
    try:
        original = original_of(view.fields)
    except NoOriginalError as error:
        raise RefusedActError(f"its original cannot be restored: {error}") from error
    fields = tuple(_text(each) for pair in original.fields.items() for each in pair)
    mark = {"by": by, "reason": reason, "at": iso_utc(view.now_ms), "letter": letter_id}
    wanted = Republication(stream, original.entry_id, fields, msgspec.json.encode(mark).decode())
    if stream == "apply.plan":
        wanted = await _plan(store, wanted, original, view, decision_ttl_ms)
    else:
        wanted = await _result(store, wanted, original)

    async def write(store: OperatorStore) -> str | None:
        added = await store.republish(wanted)
        return None if added is None else f"It is published again as {added} of {stream}."

    age_sec = max(view.now_ms - original.published_ms, 0) / 1000
    return Act(
        present=(
            f"The letter's original is {original.entry_id} of {stream}, {duration(age_sec)} old: "
            f"{_shown(view.fields.get(b'error', b''))}.",
            f"Its fields: {', '.join(_pair(*pair) for pair in original.fields.items())}.",
        ),
        change=(f"It goes to {stream} once more, for all who read that stream.",),
        question=f"Publish {original.entry_id} of {stream} again ({reason})?",
        seen=repr(wanted.orders),
        write=write,
    )


async def _plan(
    store: OperatorStore, wanted: Republication, original: Original, view: LetterView, decision_ttl_ms: int
) -> Republication:
    """Refuse a plan that is decided, or of which that is no longer known."""
    plan_id = plan_id_text(original.fields.get(b"plan_id", b""))
    if plan_id is None:
        raise RefusedActError("it has no readable plan id: it would be a dead letter again")
    latest_ms = original.published_ms + decision_ttl_ms
    if view.now_ms > latest_ms:
        raise RefusedActError(
            f"it is older than {duration(decision_ttl_ms / 1000)} (P33_DECISION_TTL_SEC): "
            "whether it was decided is no longer known"
        )
    # The mark of a plan is read with an order memory of no symbol.
    state = await store.booking_state(wanted.symbol, plan_id, ())
    if state.plan_mark is not None:
        raise RefusedActError(f"plan {printable(plan_id)} is decided: a plan id is decided once")
    return wanted._replace(latest_ms=latest_ms, undecided=plan_id)


async def _result(store: OperatorStore, wanted: Republication, original: Original) -> Republication:
    """Refuse a result that is booked, or of which that is not known."""
    match result := read_result(original.fields):
        case DeadResult(error):
            raise RefusedActError(f"it would be a dead letter again: {printable(error)}")
        case RefusedResult():
            return wanted
        case ExecutedResult():
            pass
    order_ids = tuple(order.order_id for order in result.orders)
    state = await store.booking_state(result.symbol, result.plan_id, order_ids)
    booked = True
    for order in result.orders:
        stored = state.orders.get(order.order_id)
        if stored is None:
            raise RefusedActError(
                f"nothing is remembered of order {printable(order.order_id)}: it may be booked"
            )
        try:
            booked &= 0 < order.cumulative <= decode_memory(stored).cumulative
        except UnreadableRecordError as error:
            raise RefusedActError(f"order {printable(order.order_id)}: {error}") from error
    if booked:
        raise RefusedActError("it is booked: an order counts once")
    return wanted._replace(
        symbol=result.symbol, orders=tuple((each, state.orders[each]) for each in order_ids)
    )


def _text(raw: bytes) -> str:
    return raw.decode(errors="backslashreplace")


def _pair(name: bytes, value: bytes) -> str:
    return f"{_shown(name)}={_shown(value)}"


def _shown(raw: bytes) -> str:
    return printable(truncate(raw, _LONGEST_SHOWN))
