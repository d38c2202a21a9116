"""Dead letters that are published again."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from brain.decisions.dead_letter import NoOriginalError, Original, original_of
from brain.identifiers import EntryId
from brain.json_text import read_json
from brain.ledger.order_memory import UnreadableRecordError, decode_memory
from brain.ledger.result import DeadResult, ExecutedResult, RefusedResult, read_result
from brain.moment import iso_utc
from brain.plans.plan import UnanswerablePlan
from brain.plans.plan_fields import read_plan
from brain.text_fields import truncate
from explanation.printable import printable
from monitoring.acts.act import Act, DoneAlreadyError, RefusedActError
from page.words import duration
from store.operator_protocol import OperatorStore
from store.operator_records import DeadStream, Republication

_LONGEST_SHOWN = 200


class _Mark(msgspec.Struct, frozen=True):
    """What is kept of a letter that was published again."""

    by: str
    reason: str
    at: str
    letter: str


class _Latest(NamedTuple):
    """The time (Redis's clock, epoch ms) until which the mark of a plan is kept."""

    at_ms: int
    now_ms: int
    ttl_ms: int

    def hold(self, why: str) -> None:
        """Raise RefusedActError behind that time, with `why`."""
        if self.now_ms > self.at_ms:
            limit = f"{duration(self.ttl_ms / 1000)} (P33_DECISION_TTL_SEC)"
            raise RefusedActError(f"it is older than {limit}: {why}")


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

    `decision_ttl_ms`: the life of a plan's mark. Of an older plan it is not known whether it was decided, and
    of an older refusal not what became of its plan since.
    Raises StoreError, RefusedActError; DoneAlreadyError for a letter that `by` has published for `reason`.
    """
    view = await store.letter_view(stream, letter_id)
    if view is None:
        raise RefusedActError(f"there is no dead letter {letter_id} of {stream}")
    if view.republished is not None:
        refusal = DoneAlreadyError if _is_of(view.republished, by, reason, letter_id) else RefusedActError
        raise refusal(f"its original was published again: {_shown(view.republished)}")
    try:
        original = original_of(view.fields)
    except NoOriginalError as error:
        raise RefusedActError(f"its original cannot be restored: {error}") from error
    fields = tuple(_text(each) for pair in original.fields.items() for each in pair)
    mark = msgspec.json.encode(_Mark(by, reason, iso_utc(view.now_ms), letter_id)).decode()
    wanted = Republication(stream, original.entry_id, fields, mark)
    latest = _Latest(original.published_ms + decision_ttl_ms, view.now_ms, decision_ttl_ms)
    if stream == "apply.plan":
        wanted = await _plan(store, wanted, original, latest)
    else:
        wanted = await _result(store, wanted, original, latest)

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
    store: OperatorStore, wanted: Republication, original: Original, latest: _Latest
) -> Republication:
    """Refuse a plan that is decided, of which that is no longer known, or that cannot be answered."""
    plan = read_plan(original.fields)
    if isinstance(plan, UnanswerablePlan):
        raise RefusedActError(f"it would be a dead letter again: {plan.error}")
    latest.hold("whether it was decided is no longer known")
    # The mark of a plan is read with an order memory of no symbol.
    state = await store.booking_state(wanted.symbol, plan.plan_id, ())
    if state.plan_mark is not None:
        raise RefusedActError(f"plan {printable(plan.plan_id)} is decided: a plan id is decided once")
    return wanted._replace(latest_ms=latest.at_ms, undecided=plan.plan_id)


async def _result(
    store: OperatorStore, wanted: Republication, original: Original, latest: _Latest
) -> Republication:
    """Refuse a result that is booked, or of which that is not known."""
    match result := read_result(original.fields):
        case DeadResult(error):
            raise RefusedActError(f"it would be a dead letter again: {printable(error)}")
        case RefusedResult():
            latest.hold("what became of its plan is no longer known")
            return wanted._replace(latest_ms=latest.at_ms)
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


def _is_of(stored: bytes, by: str, reason: str, letter_id: EntryId) -> bool:
    try:
        mark = read_json(_MARK, stored)
    except msgspec.DecodeError:
        return False
    return (mark.by, mark.reason, mark.letter) == (by, reason, letter_id)


_MARK = msgspec.json.Decoder(_Mark)


def _text(raw: bytes) -> str:
    return raw.decode(errors="backslashreplace")


def _pair(name: bytes, value: bytes) -> str:
    return f"{_shown(name)}={_shown(value)}"


def _shown(raw: bytes) -> str:
    return printable(truncate(raw, _LONGEST_SHOWN))
