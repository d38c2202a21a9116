"""One market order of the least size, and its close: answers, events, client ids.

The close carries the client id of the opening order: accepted, it closes; refused (-4116), another follows.
So the question needs no third order. Whatever happens after the opening order, an interrupt included, the
position is closed before this ends, or the table says that it is open.

Sources: Binance USDⓈ-M Futures, "New Order", "Query Order", "User Data Streams".
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from decimal import Decimal

import trio

from commands.check.measure.access import ExchangeAccess
from commands.check.measure.order_plan import OrderPlan, position_size
from commands.check.measure.pace import Pace
from commands.check.measure.private_socket import Event, PrivateSocket, private_socket
from commands.check.measure.raw_json import RawRow, row_of
from commands.check.measure.rows import (
    Certainty,
    Documents,
    Row,
    certain,
    compared,
    failed,
    measured,
    unmeasured,
)
from commands.check.measure.table import Table
from exchange.endpoints import Endpoint
from exchange.errors import (
    AskLater,
    BudgetExhausted,
    ExchangeError,
    ExchangeRejected,
    ExchangeUnavailable,
    RateLimited,
)
from exchange.transport import Answer

#: Weight 0 of the address; counted among the orders of the account (300 per 10 s).
NEW_ORDER = Endpoint("order", "POST", "/fapi/v1/order", 0, signed=True)
QUERY_ORDER = Endpoint("order", "GET", "/fapi/v1/order", 1, signed=True)

_ORDER_UPDATE, _ACCOUNT_UPDATE = "ORDER_TRADE_UPDATE", "ACCOUNT_UPDATE"
_NO_SUCH_ORDER, _WOULD_NOT_REDUCE, _DUPLICATE_ID = -2013, -2022, -4116
_NOTHING = Decimal(0)
_SINCE_MERGER = ("avgPrice", "cumQuote")


class MeasuredOrder:
    """Sends the plan's order and closes what it opened; rows go into `table` as they are found."""

    def __init__(self, access: ExchangeAccess, plan: OrderPlan, table: Table, pace: Pace) -> None:
        self._access = access
        self._plan = plan
        self._table = table
        self._pace = pace
        self._client_id = f"measure-{secrets.token_hex(8)}"
        self._may_be_open = False
        self._is_answered = False
        self._to_sell = plan.quantity
        self._sold_sec = 0.0
        self._afterwards = f"position in {plan.symbol} afterwards"

    async def run(self) -> None:
        """Measure. Raises ExchangeError; the position is closed then, too."""
        access = self._access
        async with private_socket(access, await access.own_listen_key()) as socket:
            await socket.proven(self._pace)
            try:
                await self._measure(socket)
            finally:
                if self._may_be_open:
                    with trio.move_on_after(self._pace.closing_within_sec, shield=True):
                        await self._close()
                    if self._may_be_open:
                        self._table.add(failed(self._afterwards, _LEFT_OPEN))

    async def _measure(self, socket: PrivateSocket) -> None:
        sent_sec = trio.current_time()
        answer = await self._open()
        answered_sec = trio.current_time()
        fields = row_of(answer.body.raw)
        self._table.add(*_answer_rows(fields))
        self._table.add(await self._found_by_client_id())
        await socket.until(lambda events: self._is_complete(events), self._pace.order_events_within_sec)
        self._table.add(self._events_row(socket.events, sent_sec, answered_sec))
        self._table.add(await self._close_by_same_id())

    async def _open(self) -> Answer:
        """Send the opening order. An interrupt waits for its answer (5 s at most)."""
        bought = self._plan.quantity
        self._may_be_open = True
        with trio.CancelScope(shield=True):
            try:
                answer = await self._access.send(NEW_ORDER, self._params("BUY", self._client_id, bought))
            except (ExchangeRejected, RateLimited, BudgetExhausted):
                self._may_be_open = False
                raise
        self._to_sell = row_of(answer.body.raw).number("executedQty") or bought
        self._is_answered = True
        return answer

    async def _found_by_client_id(self) -> Row:
        """Ask for the order by its client id until it is found."""
        asked = "`GET /fapi/v1/order` by origClientOrderId, right after the answer"
        documents = Documents(Certainty.MEASURED, f"{_NO_SUCH_ORDER} at first is no proof of absence")
        params = {"symbol": self._plan.symbol, "origClientOrderId": self._client_id}
        begun_sec = trio.current_time()
        tries = 0
        while True:
            tries += 1
            passed_sec = trio.current_time() - begun_sec
            try:
                await self._access.read(QUERY_ORDER, params)
            except ExchangeRejected as refused:
                if refused.code != _NO_SUCH_ORDER:
                    return unmeasured(asked, str(refused), documents)
                if passed_sec > self._pace.order_found_within_sec:
                    return measured(asked, f"not found for {passed_sec:.1f} s ({_NO_SUCH_ORDER})", documents)
                await trio.sleep(self._pace.between_looks_sec)
                continue
            if tries == 1:
                return measured(asked, "found at once", documents)
            return measured(asked, f"found {passed_sec * 1000:.0f} ms later, at try {tries}", documents)

    async def _close_by_same_id(self) -> Row:
        """Send the close with the opening order's client id; `_close` sees whether that closed it."""
        asked = "the same client id again, after the first order was filled"
        documents = certain("accepted: unique among open orders only")
        try:
            await self._send_close(self._client_id)
        except ExchangeRejected as refused:
            if refused.code != _DUPLICATE_ID:
                return unmeasured(asked, str(refused), documents)
            return compared(asked, str(refused), documents, agrees=False)
        return compared(asked, "accepted", documents, agrees=True)

    async def _close(self) -> None:
        """Sell what was bought, until a read shows no position; a ban is waited for.

        Not more than was bought is ever sold: another process may trade the symbol, too.
        """
        is_known = self._is_answered
        while True:
            try:
                if not is_known:
                    await trio.sleep(self._pace.unanswered_order_sec)
                    self._to_sell = await self._executed(self._client_id, "BUY")
                    is_known = True
                if self._to_sell > 0:
                    await self._send_close(f"measure-{secrets.token_hex(8)}")
                if await self._is_over():
                    return
            except AskLater as later:
                await trio.sleep_until(later.until.monotonic_sec)
                continue
            except ExchangeRejected as refused:
                if refused.code == _WOULD_NOT_REDUCE:
                    self._to_sell = _NOTHING
                    self._sold_sec = trio.current_time()
            except ExchangeError:
                pass
            await trio.sleep(self._pace.between_looks_sec)

    async def _is_over(self) -> bool:
        """Read the position, and add the row for it; False: look, or sell, again."""
        size = await position_size(self._access, self._plan.symbol)
        now_sec = trio.current_time()
        if self._to_sell > 0 and size:
            return False
        if not size:
            self._table.add(measured(self._afterwards, "none"))
        elif now_sec < self._sold_sec + self._pace.position_seen_within_sec:
            return False
        else:
            self._table.add(
                failed(self._afterwards, f"{size:f}, though all that was bought was sold: another process's?")
            )
        self._may_be_open = False
        return True

    async def _send_close(self, client_id: str) -> None:
        """Sell what is left to sell. Raises ExchangeError."""
        with trio.CancelScope(shield=True):
            try:
                answer = await self._access.send(NEW_ORDER, self._params("SELL", client_id, self._to_sell))
                sold = row_of(answer.body.raw).number("executedQty") or _NOTHING
            except ExchangeUnavailable:
                # It may have been executed; an order that the exchange does not know by then was not.
                await trio.sleep(self._pace.unanswered_order_sec)
                sold = await self._executed(client_id, "SELL")
        self._to_sell -= sold
        self._sold_sec = trio.current_time()

    async def _executed(self, client_id: str, side: str) -> Decimal:
        """Return the executed quantity of an order; 0 for one that is not known. Raises ExchangeError."""
        params = {"symbol": self._plan.symbol, "origClientOrderId": client_id}
        try:
            fields = row_of(await self._access.read(QUERY_ORDER, params))
        except ExchangeRejected as refused:
            if refused.code != _NO_SUCH_ORDER:
                raise
            return _NOTHING
        # Two orders may share a client id.
        return (fields.number("executedQty") or _NOTHING) if fields.plain("side") == side else _NOTHING

    def _params(self, side: str, client_id: str, quantity: Decimal) -> dict[str, str]:
        plan = self._plan
        params = {
            "symbol": plan.symbol,
            "side": side,
            "type": "MARKET",
            "quantity": f"{quantity:f}",
            "newOrderRespType": "RESULT",
            "newClientOrderId": client_id,
        }
        if plan.hedge_mode:
            return params | {"positionSide": "LONG"}
        return params | ({"reduceOnly": "true"} if side == "SELL" else {})

    def _is_complete(self, events: Sequence[Event]) -> bool:
        filled = any(_order_of(each).plain("X") == "FILLED" for each in events if each.kind == _ORDER_UPDATE)
        return filled and any(each.kind == _ACCOUNT_UPDATE for each in events)

    def _events_row(self, events: Sequence[Event], sent_sec: float, answered_sec: float) -> Row:
        asked = "events of the order: ms after it was sent (after the event's own `E`)"
        documents = certain("TRADE_LITE before ORDER_TRADE_UPDATE; across types by `E`")
        if not self._is_complete(events):
            return unmeasured(
                asked,
                f"incomplete after {self._pace.order_events_within_sec:g} s: {_kinds(events)}",
                documents,
            )
        shown = [self._shown(event, sent_sec) for event in events]
        answer = f"the answer {(answered_sec - sent_sec) * 1000:.0f}"
        kinds = [event.kind for event in events]
        in_order = "TRADE_LITE" not in kinds or kinds.index("TRADE_LITE") < _first_fill(events)
        return compared(asked, f"{', '.join(shown)}; {answer}", documents, agrees=in_order)

    def _shown(self, event: Event, sent_sec: float) -> str:
        after_ms = (event.received_sec - sent_sec) * 1000
        name = f"{event.kind} {_order_of(event).plain('X')}" if event.kind == _ORDER_UPDATE else event.kind
        stamp = event.row.number("E")
        if stamp is None:
            return f"{name} {after_ms:.0f}"
        passed_sec = event.received_sec - trio.current_time()
        now_ms = self._access.exchange_ms(self._access.clock.now().earlier_by(-passed_sec))
        return f"{name} {after_ms:.0f} (E + {now_ms - int(stamp)})"


_LEFT_OPEN = (
    "IT MAY BE OPEN: look at the exchange's own screen, and close it there; here it was not possible in time"
)


def _answer_rows(fields: RawRow) -> list[Row]:
    there = [name for name in _SINCE_MERGER if name in fields.keys]
    absent = [name for name in _SINCE_MERGER if name not in fields.keys]
    found = [f"has {', '.join(there)}"] * bool(there) + [f"lacks {', '.join(absent)}"] * bool(absent)
    status = fields.plain("status")
    return [
        compared(
            "`avgPrice`, `cumQuote` in the answer to an order",
            "; ".join(found),
            certain("both are absent since 2026-06"),
            agrees=not there,
        ),
        measured("keys of that answer", ", ".join(fields.keys)),
        compared(
            "its status (MARKET, newOrderRespType=RESULT)",
            f"{status}, executedQty {fields.plain('executedQty')}",
            certain("the final state"),
            agrees=status == "FILLED",
        ),
    ]


def _order_of(event: Event) -> RawRow:
    return row_of(event.row.members["o"]) if "o" in event.row.members else RawRow({})


def _first_fill(events: Sequence[Event]) -> int:
    return next(
        index
        for index, event in enumerate(events)
        if event.kind == _ORDER_UPDATE and _order_of(event).plain("x") == "TRADE"
    )


def _kinds(events: Sequence[Event]) -> str:
    return ", ".join(event.kind for event in events) or "no event"
