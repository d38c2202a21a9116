"""Loopback-only control of a simulator that runs as its own process: ``/simulator/…``.

**Not part of Binance's API**: unsigned, weightless, unlogged, and refused to any peer not on loopback.
Bodies and answers are JSON; amounts are decimal text; a body that does not fit is a 400 with the reason.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from typing import Any, TypeVar

import msgspec
import trio
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from simulator import control_requests as asked
from simulator import external_events
from simulator.control_orders import OrderControl
from simulator.errors import ApiError
from simulator.exchange import SimulatedExchange
from simulator.stream_server import CONNECTIONS_WINDOW_SEC, StreamServer
from simulator.subscription import FACES

Body = TypeVar("Body")
Handler = Callable[[Request], Awaitable[Any]]
_REMOVED = "REMOVED"


def control_routes(exchange: SimulatedExchange, streams: StreamServer) -> list[Route]:
    control, orders = _Control(exchange, streams), OrderControl(exchange)
    routes: list[tuple[str, str, Handler]] = [
        ("GET", "/faults", control.faults),
        ("POST", "/faults", _given(dict[str, Any], control.patch_faults)),
        ("DELETE", "/faults", control.clear_faults),
        ("GET", "/positions", control.positions),
        ("POST", "/position", _given(asked.MovePosition, control.move_position)),
        ("POST", "/settle", _given(asked.Settle, control.settle)),
        ("POST", "/position-mode", _given(asked.SetPositionMode, control.set_position_mode)),
        ("GET", "/history", control.history),
        ("GET", "/requests", control.requests),
        ("POST", "/delist", _given(asked.Delist, control.delist)),
        ("POST", "/end", _given(asked.AnnounceEnd, control.announce_end)),
        ("POST", "/mark-price", _given(asked.SetMarkPrice, control.set_mark_price)),
        ("POST", "/leverage", _given(asked.SetLeverage, control.set_leverage)),
        ("POST", "/balance", _given(asked.ChangeBalance, control.change_balance)),
        ("POST", "/frame", _given(asked.SendFrame, control.send_frame)),
        ("POST", "/ban", _given(asked.Ban, control.ban)),
        ("POST", "/weight", _given(asked.SetWeight, control.set_weight)),
        ("GET", "/streams", control.streams),
        ("POST", "/streams", _given(asked.ActOnStreams, control.act_on_streams)),
        ("POST", "/listen-key", _given(asked.ActOnListenKey, control.act_on_listen_key)),
        ("POST", "/odd", _given(asked.ShowOddly, control.show_oddly)),
        ("POST", "/wipe", control.wipe_account),
        ("POST", "/rewind", _given(asked.RewindPosition, control.rewind_position)),
        ("POST", "/listing", _given(asked.ChangeListing, control.change_listing)),
        ("POST", "/portfolio-margin", _given(asked.SetPortfolioMargin, control.set_portfolio_margin)),
        ("GET", "/orders", orders.orders),
        ("POST", "/first-fill-share", _given(asked.SetFirstFillShare, orders.set_first_fill_share)),
        ("POST", "/order", _given(asked.FinishOrder, orders.finish_order)),
        ("POST", "/order-counts", _given(asked.SetOrderCounts, orders.set_order_counts)),
    ]
    return [Route(path, _guarded(handler), methods=[method]) for method, path, handler in routes]


def _guarded(handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    async def respond(request: Request) -> Response:
        if request.client is None or not ip_address(request.client.host).is_loopback:
            return _json({"error": "loopback only"}, 403)
        try:
            answer = await handler(request)
            return _json({} if answer is None else answer, 200)
        except (msgspec.MsgspecError, ValueError, ApiError) as refusal:
            return _json({"error": str(refusal)}, 400)

    return respond


def _json(content: Any, status: int) -> Response:
    return Response(msgspec.json.encode(content), status, media_type="application/json")


def _given(body_type: type[Body], act: Callable[[Body], Awaitable[Any]]) -> Handler:
    """Return a handler that reads the request's body for `act`."""

    async def handle(request: Request) -> Any:
        return await act(msgspec.json.decode(await request.body(), type=body_type))

    return handle


class _Control:
    def __init__(self, exchange: SimulatedExchange, streams: StreamServer) -> None:
        self._exchange = exchange
        self._streams = streams

    async def faults(self, _: Request) -> Any:
        return self._exchange.faults

    async def patch_faults(self, changes: dict[str, Any]) -> Any:
        """Set some fields of ``Faults``; answers all of them."""
        self._exchange.faults.patch(changes)
        return self._exchange.faults

    async def clear_faults(self, _: Request) -> Any:
        self._exchange.faults.clear()
        return self._exchange.faults

    async def positions(self, _: Request) -> Any:
        """Return the positions that are not flat, as they are now."""
        return [
            {
                "symbol": position.symbol.name,
                "position_side": position.position_side,
                "amount": position.symbol.quantity_text(position.amount),
                "entry_price": position.entry_price,
                "update_time_ms": position.update_time_ms,
            }
            for position in self._exchange.open_positions()
        ]

    async def move_position(self, move: asked.MovePosition) -> Any:
        """Move a position by a manual trade, stop order, liquidation, ADL or settlement."""
        order = external_events.move_position(
            self._exchange,
            move.symbol,
            delta=move.delta,
            target=move.target,
            position_side=move.position_side,
            cause=move.cause,
            price=move.price,
            announced=move.announced,
            sender=move.sender,
            client_order_id=move.client_order_id,
            parts=move.parts,
        )
        return {"order_id": order.order_id if order else None}

    async def settle(self, act: asked.Settle) -> Any:
        """End a symbol's trading, as a delisting does, and close its positions."""
        orders = external_events.settle(self._exchange, act.symbol, announced=act.announced)
        return {"order_ids": [order.order_id for order in orders]}

    async def set_position_mode(self, change: asked.SetPositionMode) -> None:
        self._exchange.set_hedge_mode(change.hedge_mode)

    async def history(self, request: Request) -> Any:
        """Return every change of one symbol (``?symbol=…``), or of all, oldest first per leg."""
        symbol = request.query_params.get("symbol")
        history = self._exchange.history
        return [
            change
            for name, position_side in history.legs()
            if symbol in (None, name)
            for change in history.changes(name, position_side)
        ]

    async def requests(self, request: Request) -> Any:
        """Return the recorded REST requests, narrowed by ``?path=…`` and ``?since_ms=…``."""
        query = request.query_params
        records = self._exchange.requests.records(
            path=query.get("path"), since_ms=int(query.get("since_ms", "0"))
        )
        return {"total": self._exchange.requests.total, "records": records}

    async def delist(self, change: asked.Delist) -> None:
        """Change a symbol's status; ``TRADING`` lists it again, ``REMOVED`` takes it out for good."""
        if change.status == _REMOVED:
            self._exchange.listing.remove(change.symbol)
        else:
            self._exchange.listing.set_status(change.symbol, change.status)

    async def announce_end(self, announced: asked.AnnounceEnd) -> None:
        """Announce the end of a symbol's trading; without a moment, take the announcement back."""
        self._exchange.announce_end(announced.symbol, announced.end_ms)

    async def set_mark_price(self, change: asked.SetMarkPrice) -> Any:
        self._exchange.symbol(change.symbol)
        self._exchange.mark_prices.set_price(change.symbol, change.price, hold=change.hold)
        self._exchange.advance()
        return {"mark_price": self._exchange.mark_price(change.symbol)}

    async def set_leverage(self, change: asked.SetLeverage) -> None:
        """Change a symbol's leverage, and the largest position that it allows."""
        if change.max_notional is not None:
            self._exchange.set_max_notional(change.symbol, change.max_notional)
        external_events.set_leverage(self._exchange, change.symbol, change.leverage)

    async def change_balance(self, change: asked.ChangeBalance) -> None:
        """Send an ``ACCOUNT_UPDATE`` of a balance, with the unchanged legs of ``symbol`` if one is named."""
        external_events.change_balance(self._exchange, change.reason, change.amount, symbol=change.symbol)

    async def send_frame(self, frame: asked.SendFrame) -> None:
        """Any text as a frame on the private streams, JSON or not."""
        external_events.send_frame(self._exchange, frame.text.encode(), frame.event_type)

    async def ban(self, change: asked.Ban) -> Any:
        """Answer 418 to everything for so many seconds; 0 lifts the ban."""
        seconds = change.seconds
        weights = self._exchange.weights
        if seconds > 0:
            weights.ban(self._exchange.host_ms(), round(seconds * 1000))
        else:
            weights.lift_ban()
        return {"banned_until_ms": weights.banned_until_ms}

    async def set_weight(self, change: asked.SetWeight) -> Any:
        """Pretend that so much weight was used in this minute; change the limit, or the weights of paths."""
        if change.used is not None:
            self._exchange.weights.set_used(self._exchange.host_ms(), change.used)
        if change.limit_per_minute is not None:
            self._exchange.weights.limit_per_minute = change.limit_per_minute
        if change.overrides is not None:
            self._exchange.weights.overrides = change.overrides
        return {"used": self._exchange.weights.used(self._exchange.host_ms())}

    async def streams(self, _: Request) -> Any:
        """Connections per face: open now, handshakes since the start and in the last five minutes."""
        streams = self._streams
        recent_sec = trio.current_time() - CONNECTIONS_WINDOW_SEC
        return {
            "open": {face: streams.connection_count(face) for face in FACES},
            "opened": {face: streams.connections_opened(face) for face in FACES},
            "opened_in_5_min": {face: streams.connections_opened(face, recent_sec) for face in FACES},
        }

    async def act_on_listen_key(self, act: asked.ActOnListenKey) -> Any:
        """Delete, replace (another process makes its own) or expire the listen key.

        ``silently`` false sends ``listenKeyExpired`` to the old key's streams. It is false unless given for
        delete and true for replace; an expiry always sends it. Answers the live key.
        """
        match act.action:
            case "delete":
                self._exchange.delete_listen_key(silently=bool(act.silently))
            case "replace":
                self._exchange.replace_listen_key(silently=act.silently is not False)
            case "expire":
                self._exchange.expire_listen_key(now=True)
        return {"listen_key": self._exchange.listen_keys.live}

    async def show_oddly(self, odd: asked.ShowOddly) -> None:
        """Change what is shown of a symbol; ``changes`` null shows it as it is. See ``odd_rows``."""
        rows = {
            "positionRisk": self._exchange.odd_rows,
            "exchangeInfo": self._exchange.odd_symbols,
            "markPrice": self._exchange.odd_marks,
        }[odd.where]
        if odd.changes is None:
            rows.pop(odd.symbol, None)
        else:
            rows[odd.symbol] = odd.changes

    async def wipe_account(self, _: Request) -> None:
        """Set every position flat with ``updateTime`` 0 and no event: the testnet's monthly reset."""
        self._exchange.wipe_account()

    async def rewind_position(self, to: asked.RewindPosition) -> None:
        """Put a leg to another amount with the ``updateTime`` given, without an event."""
        leg = to.position_side or self._exchange.legs[0]
        self._exchange.rewind_position(to.symbol, leg, to.amount, to.update_time_ms)

    async def change_listing(self, change: asked.ChangeListing) -> None:
        """Change the step size of a listed symbol, or list a new one (of which the other fields count)."""
        if change.symbol in self._exchange.listing.symbols:
            self._exchange.change_step_size(change.symbol, change.step_size)
        else:
            self._exchange.list_symbol(
                change.symbol,
                step_size=change.step_size,
                tick_size=change.tick_size,
                first_price=change.first_price,
                contract_type=change.contract_type,
            )

    async def set_portfolio_margin(self, change: asked.SetPortfolioMargin) -> None:
        """Make the account one of portfolio margin, or an ordinary one again."""
        self._exchange.portfolio_margin = change.portfolio_margin

    async def act_on_streams(self, act: asked.ActOnStreams) -> Any:
        """Freeze, thaw, disconnect or reset the connections, or expire the listen key."""
        match act.action:
            case "freeze":
                self._streams.freeze(act.face)
            case "thaw":
                self._streams.thaw()
            case "disconnect":
                await self._streams.disconnect(act.face)
            case "reset":
                await self._streams.reset(act.face)
            case "expire_listen_key":
                self._exchange.expire_listen_key(now=True)
        return {"connections": self._streams.connection_count(act.face)}
