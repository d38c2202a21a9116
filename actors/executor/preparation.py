"""Turns a granted plan into an order, or into the reason why none may be sent."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from actors.executor.plans import GrantedPlan, PlanInHand, leverage_of
from actors.executor.rules import ExecutorRules
from brain.execution import reasons
from brain.execution.case import ExecutionCase
from brain.execution.drafting import Drafted, OrderDraft, draft
from brain.execution.orders import OrderRequest, client_order_id
from brain.execution.record import OrderPhase, OrderRecord
from brain.execution.sizing import read_scale
from brain.execution.switches import kill_switch_is_on, read_trading_state
from brain.identifiers import Symbol
from brain.numbers import ZERO
from brain.plans.permit import Kind
from brain.plans.plan import Plan
from brain.positions.position import Leg, Snapshot
from brain.symbols.allowlist import Allowlist
from brain.symbols.symbol_rules import SymbolRules
from channels import LatestValue, SnapshotBook, StreamStatus
from clocks.clocks import Clocks
from exchange.errors import ExchangeError, ExchangeRejected
from exchange.protocol import OrderEntry

_SIDES = frozenset({"BUY", "SELL"})
_LEGS = {leg.value: leg for leg in Leg}
_NOT_VALID_OR_SET_ALREADY = -4028


class OrderPreparation:
    """Part of the executor: switches, allowlist, quantity and leverage, on the state of the moment."""

    def __init__(
        self,
        exchange: OrderEntry,
        *,
        book: SnapshotBook,
        symbol_rules: LatestValue[Mapping[str, SymbolRules]],
        allowlist: LatestValue[Allowlist],
        stream: LatestValue[StreamStatus],
        stale_threshold_sec: float,
        clocks: Clocks,
        rules: ExecutorRules,
    ) -> None:
        self._exchange = exchange
        self._book = book
        self._symbol_rules = symbol_rules
        self._allowlist = allowlist
        self._stream = stream
        self._stale_threshold_sec = stale_threshold_sec
        self._clocks = clocks
        self._rules = rules

    def draft(self, granted: GrantedPlan) -> Drafted:
        """Draft the order of a granted plan on the state of the moment."""
        terms, switches, plan = granted.terms, granted.look.switches, granted.plan
        snapshot, leg = self._book.get(plan.symbol), _LEGS.get(terms.leg or "")
        qty_scale, downsize_factor = (read_scale(hint) for hint in granted.hints)
        case = ExecutionCase(
            plan_id=plan.plan_id,
            symbol=plan.symbol,
            decision=plan.decision,
            kind=Kind(terms.kind.value),
            order_side=terms.order_side or "",
            leg=terms.leg or "",
            permitted=terms.order_quantity(plan.quantity or ZERO),
            qty_scale=qty_scale,
            downsize_factor=downsize_factor,
            trading_state=read_trading_state(switches.trading_state),
            kill_switch=kill_switch_is_on(
                switches.kill, switches.global_kill, switches.mode, lockdown=switches.lockdown
            ),
            held=granted.look.hold,
            in_allowlist=self._may_be_opened(plan.symbol),
            symbol_rules=(self._symbol_rules.value or {}).get(plan.symbol),
            mark_price=None if snapshot is None else snapshot.mark_price,
            position=None if leg is None else self._position(snapshot, leg),
            stream_trusted=(self._stream.value or StreamStatus()).trusted,
            limits=self._rules.limits,
        )
        return draft(case)

    def _may_be_opened(self, symbol: Symbol) -> bool:
        allowlist = self._allowlist.value
        return allowlist is not None and symbol in allowlist.symbols

    def _position(self, snapshot: Snapshot | None, leg: Leg) -> Decimal | None:
        """Return the leg's amount without sign, where it is known to be that now."""
        if snapshot is None or not self._book.is_trusted(snapshot):
            return None
        if snapshot.verified_at.age_sec(self._clocks.now()) > self._stale_threshold_sec:
            return None
        return abs(snapshot.amount_of(leg))

    async def set_leverage(self, granted: GrantedPlan, draft: OrderDraft) -> str | None:
        """Set the leverage that an open asks for; return the reason why it is refused.

        -4028 is sent for a leverage that is not valid and for one that is set already, so it is read back.
        """
        wanted = leverage_of(granted.in_hand.fields)
        if wanted is None or draft.kind is not Kind.OPEN or not self._rules.set_leverage:
            return None
        if not isinstance(wanted, int):
            return reasons.leverage_refused("not_whole")
        symbol, snapshot = granted.plan.symbol, self._book.get(granted.plan.symbol)
        if snapshot is not None and any(leg.amount for leg in snapshot.legs):
            return None  # of the other leg
        known = None if snapshot is None else snapshot.leverage
        if known == wanted:
            return None
        try:
            # A read costs weight 5, for an open that may be one of many.
            if known is None and await self._exchange.leverage(symbol) == wanted:
                return None
            try:
                await self._exchange.set_leverage(symbol, wanted)
            except ExchangeRejected as error:
                if error.code != _NOT_VALID_OR_SET_ALREADY or await self._exchange.leverage(symbol) != wanted:
                    return reasons.leverage_refused(error.code)
        except ExchangeRejected as error:
            return reasons.leverage_refused(error.code)
        except ExchangeError:
            return reasons.leverage_refused("no_answer")
        return None

    def record(self, in_hand: PlanInHand, plan: Plan, draft: OrderDraft) -> OrderRecord:
        """Return the first record: identity and time of the only request are fixed here."""
        return OrderRecord(
            plan_id=plan.plan_id,
            phase=OrderPhase.SENDING,
            symbol=plan.symbol,
            side=draft.side,
            leg=draft.leg,
            kind=draft.kind.value,
            quantity=draft.quantity,
            reduce_only=draft.reduce_only,
            client_order_id=client_order_id(self._rules.gate.prefix, plan.plan_id),
            timestamp_ms=self._clocks.exchange_ms(self._clocks.now()),
            recv_window_ms=self._rules.recv_window_ms,
            decision=plan.decision.value,
            action=plan.action,
            source=plan.source,
            instance=self._rules.instance,
            stream=in_hand.stream,
            entry_id=in_hand.entry_id,
        )

    def knows(self, symbol: Symbol) -> bool:
        """Return True for a symbol that the exchange lists, or of which there is a snapshot."""
        return symbol in (self._symbol_rules.value or {}) or self._book.get(symbol) is not None

    def lost(self, in_hand: PlanInHand, plan: Plan, since_ms: int) -> OrderRecord:
        """Return the record of an order that may have been begun since the publication `since_ms` ago.

        `recv_window_ms` reaches from there to the end of the latest request that can have been sent.
        """
        rules, side = self._rules, "" if plan.side is None else plan.side.value
        draft = OrderDraft(
            Kind.NONE, side if side in _SIDES else "", plan.leg or Leg.BOTH, plan.quantity or ZERO, ZERO
        )
        record = self.record(in_hand, plan, draft)
        return msgspec.structs.replace(
            record,
            kind="",
            reduce_only=bool(plan.reduce_only),
            timestamp_ms=record.timestamp_ms - since_ms,
            recv_window_ms=rules.plan_max_age_ms + rules.permit_wait_ms + rules.recv_window_ms,
            version=0,
        )


def request_of(record: OrderRecord) -> OrderRequest:
    """Return the only request of a record."""
    return OrderRequest(
        symbol=record.symbol,
        side=record.side,
        quantity=record.quantity,
        leg=record.leg,
        reduce_only=record.reduce_only,
        client_order_id=record.client_order_id,
        timestamp_ms=record.timestamp_ms,
        recv_window_ms=record.recv_window_ms,
    )
