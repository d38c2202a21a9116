"""Execution results: three dialects of `quantum:stream:apply.result`, read once into one form.

Any bytes give a value: an executed result, a refused one, or a dead letter with its error.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import ClassVar, TypeVar

import msgspec

from brain.identifiers import (
    ClientOrderId,
    OrderId,
    PlanId,
    Symbol,
    UnreadableFieldError,
    field_text,
    is_order_id,
    is_symbol,
    lenient_text,
    plan_id_text,
)
from brain.json_text import lenient_scalar, read_json, scalar_text
from brain.ledger.refusal_words import LONGEST_READ, Proof, proof_of, says_wrong_precision
from brain.numbers import ZERO, NotANumberError, parse_decimal

T = TypeVar("T")

_FINAL = frozenset({"FILLED", "CANCELED", "EXPIRED", "EXPIRED_IN_MATCH", "REJECTED"})
_FINAL_UNFILLED = _FINAL - {"FILLED"}
_STEP_NOT_SENT = frozenset({"SKIPPED", "WOULD_EXECUTE"})
_EXECUTED = {"true": True, "1": True, "false": False, "0": False}
_WHY_REFUSED = (b"error", b"reason")
_CLIENT_ORDER_ID = re.compile(r"[.A-Z:/a-z0-9_-]{1,36}")
_EXCHANGE_ORDER_ID = re.compile(r"[1-9][0-9]{0,19}")
_WHOLE_NUMBER = re.compile(r"[0-9]+")


class FilledOrder(msgspec.Struct, frozen=True):
    """The filled quantity of one order of a result.

    `cumulative` is in contracts, 0 only where an order ended without a fill. `side` is `BUY` or `SELL`; None
    where the result has none (or says `CLOSE`): then the plan's decision gives it. `status` is the result's,
    empty when absent. `final`: nothing more will be filled. A result without a status is final, because
    the executors send market orders and report them when they are done.
    """

    order_id: OrderId
    side: str | None
    cumulative: Decimal
    status: str
    final: bool


class ExecutedResult(msgspec.Struct, frozen=True):
    """At least one order was sent for the plan. `timestamp_sec`: the executor's clock, None if unreadable."""

    plan_id: PlanId
    symbol: Symbol
    orders: tuple[FilledOrder, ...]
    timestamp_sec: Decimal | None
    decision: str


class UnknownOrder(msgspec.Struct, frozen=True):
    """An order that may have been filled: its ids as far as the result names them."""

    order_id: OrderId | None = None
    client_order_id: ClientOrderId | None = None


class RefusedResult(msgspec.Struct, frozen=True):
    """The executor will not execute the plan. `symbol` is None when the result names none.

    `had_no_permit`: its executor got no permit. Then another consumer of the plan may hold it with an order
    on its way. `unknown` is set where the order may have been filled: the permit stays open then.
    """

    orders: ClassVar[tuple[FilledOrder, ...]] = ()

    plan_id: PlanId
    symbol: Symbol | None
    had_no_permit: bool = False
    unknown: UnknownOrder | None = None


class DeadResult(msgspec.Struct, frozen=True):
    """A result that cannot be booked: a dead letter with `error`.

    `unjoined`: because the leg or side of an order is not known.
    """

    error: str
    unjoined: bool = False


class _Step(msgspec.Struct):
    """One element of `steps_results`. Raw, so that ids and quantities keep each of their digits."""

    order_id: msgspec.Raw = msgspec.Raw()
    executed_qty: msgspec.Raw = msgspec.Raw()
    side: msgspec.Raw = msgspec.Raw()
    status: msgspec.Raw = msgspec.Raw()


class _Details(_Step):
    """The JSON object in `details`."""

    executed_qty: msgspec.Raw = msgspec.field(default=msgspec.Raw(), name="filled_qty")
    status: msgspec.Raw = msgspec.field(default=msgspec.Raw(), name="order_status")


class _Why(msgspec.Struct):
    """Texts and ids in the JSON of a refusal: `details`, or one element of `steps_results`."""

    error: msgspec.Raw = msgspec.Raw()
    reason: msgspec.Raw = msgspec.Raw()
    order_id: msgspec.Raw = msgspec.Raw()
    client_order_id: msgspec.Raw = msgspec.Raw()


_STEPS = msgspec.json.Decoder(list[_Step])
_DETAILS = msgspec.json.Decoder(_Details)
_EACH_STEP = msgspec.json.Decoder(list[msgspec.Raw])
_WHY = msgspec.json.Decoder(_Why)


class _Mention(msgspec.Struct, frozen=True):
    """The fields of one order in any dialect; None for a missing one."""

    order_id: str | None
    quantity: str | None
    side: str | None
    status: str | None


class _UnbookableError(ValueError):
    pass


def read_result(fields: Mapping[bytes, bytes]) -> ExecutedResult | RefusedResult | DeadResult:
    """Read an entry of `apply.result`. Never raises.

    An executed result has a plan id, a symbol, and at least one order with an id and a quantity. Fields
    that do not matter for the ledger may hold anything.
    """
    try:
        return _read(fields)
    except (_UnbookableError, UnreadableFieldError, NotANumberError) as error:
        return DeadResult(str(error))
    except msgspec.DecodeError as error:
        return DeadResult(f"unreadable JSON: {error}")


def is_final(status: str) -> bool:
    """Return True if an order of this status (`X` of ORDER_TRADE_UPDATE) fills no further."""
    return status in _FINAL


def names_wrong_precision(fields: Mapping[bytes, bytes]) -> bool:
    """Return True if an order was refused for more digits than the symbol takes: its steps have changed."""
    return says_wrong_precision(_words(fields, _quoted(fields)))


def _read(fields: Mapping[bytes, bytes]) -> ExecutedResult | RefusedResult:
    executed = _EXECUTED.get((field_text(fields, b"executed") or "").lower())
    if executed is None:
        raise _UnbookableError("executed: missing, or neither True nor False")
    plan_id = plan_id_text(fields.get(b"plan_id", b""))
    if plan_id is None:
        raise _UnbookableError("plan_id: missing, or not 1 to 256 printable ASCII characters")
    if not executed:
        return _refusal(fields, plan_id)
    symbol = field_text(fields, b"symbol")
    if symbol is None or not is_symbol(symbol):
        raise _UnbookableError("symbol: missing, or not 1 to 32 printable characters")
    orders = _orders(_mentions(fields))
    if not orders:
        raise _UnbookableError("executed, but no order with an id and a filled quantity")
    decision = lenient_text(fields, b"decision") or ""
    return ExecutedResult(plan_id, symbol, orders, _timestamp(fields), decision)


def _refusal(fields: Mapping[bytes, bytes], plan_id: PlanId) -> RefusedResult:
    quoted = _quoted(fields)
    proof = proof_of(_words(fields, quoted))
    unknown = None
    if proof is Proof.UNKNOWN:
        order_ids = [lenient_text(fields, b"order_id"), *(lenient_scalar(each.order_id) for each in quoted)]
        client_ids = [lenient_text(fields, b"client_order_id")]
        client_ids += [lenient_scalar(each.client_order_id) for each in quoted]
        unknown = UnknownOrder(
            next((OrderId(text) for text in order_ids if text and _EXCHANGE_ORDER_ID.fullmatch(text)), None),
            next(
                (ClientOrderId(text) for text in client_ids if text and _CLIENT_ORDER_ID.fullmatch(text)),
                None,
            ),
        )
    return RefusedResult(plan_id, symbol_of(fields), proof is Proof.NO_PERMIT, unknown)


def _quoted(fields: Mapping[bytes, bytes]) -> list[_Why]:
    """Read the members of `details` and of each of `steps_results`, as far as those are readable JSON.

    An unreadable part hides nothing of the others.
    """
    steps = _decoded(_EACH_STEP, lenient_text(fields, b"steps_results"))
    texts = [*(bytes(step) for step in steps or ()), lenient_text(fields, b"details")]
    found = [_decoded(_WHY, text) for text in texts]
    return [why for why in found if why is not None]


def _decoded(decoder: msgspec.json.Decoder[T], text: str | bytes | None) -> T | None:
    """Decode JSON; None where it is missing or unreadable."""
    try:
        return None if text is None else read_json(decoder, text)
    except msgspec.DecodeError:
        return None


def _words(fields: Mapping[bytes, bytes], quoted: Iterable[_Why]) -> list[str]:
    """Return each `error` and `reason`: the entry's, and those inside its JSON.

    An object (Binance's own `{"code": …, "msg": …}`) or a list is given as its JSON text.
    """
    texts = [fields.get(name, b"")[:LONGEST_READ].decode(errors="replace") for name in _WHY_REFUSED]
    inside = [_word(raw) for each in quoted for raw in (each.error, each.reason)]
    return texts + [text[:LONGEST_READ] for text in inside if text is not None]


def _word(raw: msgspec.Raw) -> str | None:
    encoded = bytes(raw)
    if encoded[:1] in (b"{", b"["):
        return encoded[:LONGEST_READ].decode(errors="replace")
    return lenient_scalar(raw)


def _mentions(fields: Mapping[bytes, bytes]) -> list[_Mention]:
    """Read the mentions of orders from any of the three dialects."""
    steps = field_text(fields, b"steps_results")
    if steps is not None:
        return [_json_mention(step) for step in read_json(_STEPS, steps)]
    details = field_text(fields, b"details")
    if details is not None:
        return [_json_mention(read_json(_DETAILS, details))]
    names = (b"order_id", b"filled_qty", b"side", b"order_status")
    return [_Mention(*(field_text(fields, name) for name in names))]


def _orders(mentions: Iterable[_Mention]) -> tuple[FilledOrder, ...]:
    """Combine the mentions of each order into its largest quantity."""
    orders: dict[OrderId, FilledOrder] = {}
    for mention in mentions:
        order = _order(mention)
        if order is None:
            continue
        known = orders.get(order.order_id)
        if known is not None:
            if known.side != order.side:
                raise _UnbookableError(f"order {order.order_id}: two sides")
            larger = max(known, order, key=lambda either: either.cumulative)
            order = msgspec.structs.replace(larger, final=known.final or order.final)
        orders[order.order_id] = order
    return tuple(orders.values())


def _order(mention: _Mention) -> FilledOrder | None:
    """Read one mention; None for a step that sent no order, or only placed one (a stop loss)."""
    status = (mention.status or "").upper()
    quantity = ZERO if mention.quantity is None else parse_decimal(mention.quantity)
    if quantity < 0:
        raise _UnbookableError(f"quantity: negative: {mention.quantity!r}")
    order_id = None if mention.order_id == "0" else mention.order_id
    if order_id is None:
        if quantity > 0 and status not in _STEP_NOT_SENT:
            raise _UnbookableError(f"filled {mention.quantity} without an order id")
        return None
    if not is_order_id(order_id):
        raise _UnbookableError(f"order_id: unusable: {order_id[:70]!r}")
    if quantity == 0 and (mention.quantity is None or status not in _FINAL_UNFILLED):
        return None
    return FilledOrder(order_id, _side(mention.side), quantity, status, status in _FINAL or not status)


def _side(text: str | None) -> str | None:
    side = (text or "CLOSE").upper()
    if side == "CLOSE":
        return None
    if side not in ("BUY", "SELL"):
        raise _UnbookableError(f"side: neither BUY nor SELL: {side[:40]!r}")
    return side


def _json_mention(step: _Step) -> _Mention:
    id_text, quoted = scalar_text(step.order_id), bytes(step.order_id).startswith(b'"')
    if id_text is not None and not quoted and not _WHOLE_NUMBER.fullmatch(id_text):
        raise _UnbookableError(f"order_id: not a whole number: {id_text[:40]}")
    return _Mention(id_text, scalar_text(step.executed_qty), scalar_text(step.side), scalar_text(step.status))


def symbol_of(fields: Mapping[bytes, bytes]) -> Symbol | None:
    """Return the symbol of any entry of `apply.result`; None where it names none."""
    symbol = lenient_text(fields, b"symbol")
    return symbol if symbol is not None and is_symbol(symbol) else None


def _timestamp(fields: Mapping[bytes, bytes]) -> Decimal | None:
    text = lenient_text(fields, b"timestamp")
    try:
        return None if text is None else parse_decimal(text)
    except NotANumberError:
        return None
