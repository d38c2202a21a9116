"""Invariants (e1) to (e7): one order a plan or none, with both permits, and the truth about it.

Every effect of the executor on Redis, every request that leaves it, and every order that the exchange takes
is judged in its moment; what takes its time, at rest (`execution_rest`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from decimal import Decimal

import msgspec

from brain.execution.orders import OrderStatus
from brain.execution.record import OrderPhase, OrderRecord
from settings import Settings
from simulator.orders import Order
from store.execution_records import BeginReply, OrderBegin, OrderProgress, PlanRefusal
from store.keys import ExecutorKeys, Keys
from store.memory.memory_redis import MemoryRedis
from tests.simulation.books import Books, Execution, OrderReport, OwnOrder
from tests.simulation.claims import COMPARED_MS
from tests.simulation.clocks import true_ms
from tests.simulation.trace import Trace
from tests.simulation.venue import ZERO, Venue
from tests.simulation.verdicts import require

#: Whole milliseconds on both sides.
_ROUNDING_MS = 2
#: A permit is from at most so far in the future, by Redis's clock (ms).
_AHEAD_MS = 5_000
#: Any other text is unreadable, and halts.
_TRADES = (b"ACTIVE", b"REDUCING")
#: Refusals of a consumer that never had the permit: they free nothing.
_NO_PERMIT = ("permit_", "missing_or_denied", "no_permit")
_RECONCILE_CLOSE = "RECONCILE_CLOSE"


class Before(msgspec.Struct, frozen=True):
    """Content of Redis in the moment before an order is begun."""

    governor: bytes | None
    p33: bytes | None
    hold: bool
    halted: bool
    killed: bool


class Executions:
    """Looks at every step of every order."""

    def __init__(
        self,
        books: Books,
        venue: Venue,
        redis: MemoryRedis,
        keys: Keys,
        settings: Settings,
        trace: Trace,
    ) -> None:
        self.begun = self.ordered = self.unknown = self.not_executed = 0
        #: When the executor last published a result (true ms).
        self.last_result_ms = 0
        self.errors: dict[str, int] = {}
        self._books = books
        self._venue = venue
        self._redis = redis
        self._keys = keys
        self._own = ExecutorKeys(keys)
        self._settings = settings
        self._trace = trace
        #: By client order id, how many orders the exchange ever took.
        self._taken: dict[str, int] = {}

    # Scripts.

    def before(self, begin: OrderBegin) -> Before:
        """Look at what an order is about to rest on."""
        redis, keys, record = self._redis, self._keys, begin.record
        return Before(
            self._text(governor_permit(keys, record.plan_id)),
            self._text(keys.permit(record.plan_id)),
            redis.kind(keys.hold(record.symbol)) != "none",
            self._is_halted(),
            self.kill_switch_is_on(),
        )

    def _is_halted(self) -> bool:
        state = self._own.trading_state
        return self._redis.kind(state) != "none" and self._text(state) not in _TRADES

    def kill_switch_is_on(self) -> bool:
        """Return whether any of the switches that stop opens is on."""
        keys = self._own
        return (
            self._text(keys.kill) == b"1"
            or self._text(keys.global_kill) in (b"true", b"1", b"yes")
            or self._text(keys.mode) == b"LOCKDOWN"
            or self._redis.kind(keys.lockdown) != "none"
            or self._text(keys.trading_state) == b"REDUCING"
        )

    def _text(self, key: str) -> bytes | None:
        return self._redis.get(key) if self._redis.kind(key) == "string" else None

    def began(self, writer: str, begin: OrderBegin, reply: BeginReply, before: Before) -> None:
        """Judge an order that was to be begun."""
        record = begin.record
        self._trace.note(f"{writer} begin {record.plan_id} {reply.verdict}")
        if reply.verdict != "begun":
            return
        self.begun += 1
        plan_id, reconcile = record.plan_id, record.decision == _RECONCILE_CLOSE
        expected = client_order_id(self._keys.prefix, plan_id)
        require(
            record.client_order_id == expected,
            "e1",
            f"{plan_id}: its order is {record.client_order_id}, not {expected}",
        )
        known = self._books.executions.get(expected)
        require(known is None or known.lost, "e1", f"{plan_id} is begun twice")
        require(not before.hold or reconcile, "e5", f"{plan_id} is begun while {record.symbol} is held")
        require(not before.halted, "e3", f"{plan_id} is begun while trading is halted")
        closes = reconcile or record.kind in ("close", "none")
        require(closes or not before.killed, "e3", f"{plan_id} opens while a kill switch is on")
        self._judge_permits(record, before, reconcile=reconcile)
        self._judge_age(begin)
        self._judge_quantity(record)
        stored = self._redis.hgetall(self._own.order(plan_id))
        require(stored.get(b"state") == b"sending", "e3", f"{plan_id} is begun without a record: {stored}")
        execution = Execution(
            plan_id,
            record.symbol,
            expected,
            record.timestamp_ms,
            record.recv_window_ms,
            record.quantity,
            closes,
            reconcile,
            true_ms(),
        )
        self._books.executions[expected] = execution
        grant = self._books.grants.get(plan_id)
        if grant is not None:
            grant.taken = True

    def _judge_permits(self, record: OrderRecord, before: Before, *, reconcile: bool) -> None:
        """Check that both permits were there, as they must be, and are gone."""
        plan_id, keys = record.plan_id, self._keys
        texts = [("P3.3", before.p33, "allow")]
        if not reconcile:
            texts.append(("Governor", before.governor, "granted"))
        for name, text, yes in texts:
            require(text is not None, "e3", f"{plan_id} is begun without the permit of {name}")
            permit = _object(text or b"")
            granted = permit.get(yes) is True and permit.get("symbol") == record.symbol
            require(granted, "e3", f"{plan_id} is begun with {name}'s {text!r}")
            ahead_ms = float(str(permit.get("created_at"))) * 1000 - self._redis.now_ms()
            require(ahead_ms <= _AHEAD_MS, "e3", f"{plan_id}: {name}'s permit is {ahead_ms} ms ahead")
        for key in (keys.permit(plan_id), *(() if reconcile else (governor_permit(keys, plan_id),))):
            require(self._redis.kind(key) == "none", "e3", f"{plan_id} is begun, and {key} is still there")
        marked = self._redis.kind(keys.permit_consumer(plan_id)) != "none"
        require(marked, "e3", f"{plan_id} is begun without the gate's mark")

    def _judge_age(self, begin: OrderBegin) -> None:
        """Check by the time of publication that the plan has not expired, the wait included."""
        published_ms = self._books.published_ms.get(begin.record.entry_id, 0)
        age_ms = self._redis.now_ms() - published_ms
        limit_ms = self._settings.plan_max_age_sec * 1000 + self._settings.permit_wait_ms
        require(age_ms <= limit_ms, "e3", f"{begin.record.plan_id} is begun {age_ms} ms after it was published")

    def _judge_quantity(self, record: OrderRecord) -> None:
        plan_id = record.plan_id
        grant = self._books.grants.get(plan_id)
        if record.kind == "none" or grant is None:
            # What was never allowed has no permit, and no quantity either.
            require(not record.quantity, "e6", f"{plan_id} orders {record.quantity}, and nothing is allowed")
            return
        within = record.quantity <= grant.quantity and record.side == grant.order_side
        within = within and record.leg.value == grant.leg
        require(within, "e6", f"{plan_id}: {record.side} {record.quantity} {record.leg} against {grant}")

    def consumed(self, plan_ids: Sequence[str]) -> None:
        """Judge that no permit of ours vanished without the record of an order."""
        for plan_id in plan_ids:
            recorded = self._redis.kind(self._own.order(plan_id)) != "none"
            require(recorded, "e3", f"{plan_id}: its permits are consumed, and no record says so")

    def progressed(self, writer: str, progress: OrderProgress, entry_id: str | None) -> None:
        """Judge the next version of a record; `entry_id` is that of its result."""
        record = progress.record
        self._trace.note(f"{writer} {record.plan_id} {record.phase} {record.status} {record.cumulative}")
        execution = self._books.executions.get(record.client_order_id)
        if execution is None or execution.lost:
            return
        execution.final = record.phase is OrderPhase.FINAL
        execution.unknown |= record.phase is OrderPhase.UNKNOWN
        self.unknown += record.phase is OrderPhase.UNKNOWN
        if execution.final:
            require(entry_id is not None, "e7", f"{record.plan_id} is final without a result")
        if entry_id is None:
            return
        fields = _flat(progress.result)
        self._judge_result(record.plan_id, fields, entry_id, final=execution.final)
        error = fields["error"]
        require(not error.startswith(_NO_PERMIT), "e5", f"{record.plan_id} had its permits, and says {error}")
        if fields["executed"] == "true":
            self._judge_executed(execution, fields, entry_id)
        else:
            self._judge_not_executed(execution, fields, entry_id)
        if execution.final:
            self._end_grant(record.plan_id)

    def refused(self, writer: str, refusal: PlanRefusal, entry_id: str | None) -> None:
        """Judge a plan that is to end without an order."""
        self._trace.note(f"{writer} refuses {refusal.plan_id} {refusal.error}")
        if entry_id is None:
            return
        fields = _flat(refusal.result)
        self._judge_result(refusal.plan_id, fields, entry_id, final=True)
        require(fields["executed"] == "false", "e5", f"{refusal.plan_id} is refused, and executed")
        execution = self._books.executions.get(client_order_id(self._keys.prefix, refusal.plan_id))
        begun = execution is not None and not execution.lost
        require(not begun, "e5", f"{refusal.plan_id} was begun, and is refused: {refusal.error}")
        if not fields["error"].startswith(_NO_PERMIT):
            self._books.given_up[entry_id] = refusal.plan_id
        self._end_grant(refusal.plan_id)

    def _judge_result(self, plan_id: str, fields: Mapping[str, str], entry_id: str, *, final: bool) -> None:
        self.last_result_ms = true_ms()
        error = fields["error"].partition(":")[0].partition(" ")[0]
        self.errors[error or "none"] = self.errors.get(error or "none", 0) + 1
        require(fields["plan_id"] == plan_id, "e7", f"{plan_id}: its result {entry_id} says {fields}")
        said = "executed", "order_id", "filled_qty", "order_status", "error"
        finals = self._books.kept.finals
        before = finals.get(plan_id, 0)
        require(not before, "e7", f"{plan_id} has its last result, and {[fields[name] for name in said]}")
        finals[plan_id] = before + final

    def _judge_executed(self, execution: Execution, fields: Mapping[str, str], entry_id: str) -> None:
        plan_id, order = execution.plan_id, execution.order
        says = f"{plan_id}: {[fields[n] for n in ('order_id', 'filled_qty', 'order_status')]} of {order}"
        require(order is not None and str(order.order_id) == fields["order_id"], "e2", says)
        assert order is not None
        cumulative, status = Decimal(fields["filled_qty"]), OrderStatus(fields["order_status"])
        require(ZERO <= cumulative <= order.executed, "e2", says)
        if status.is_final:
            require(order.is_final and cumulative == order.executed, "e2", says)
        require(status.is_final or cumulative > execution.told, "e2", f"told again: {says}")
        execution.told = cumulative
        report = OrderReport(str(order.order_id), plan_id, cumulative, status.is_final)
        self._books.kept.reports[entry_id] = report
        self._trace.note(f"told {plan_id} {order.order_id} {cumulative} {status}")

    def _judge_not_executed(self, execution: Execution, fields: Mapping[str, str], entry_id: str) -> None:
        plan_id, order = execution.plan_id, execution.order
        filled = ZERO if order is None else order.executed
        ended = order is None or order.is_final
        require(not filled and ended, "e5", f"{plan_id} is not executed ({fields['error']}), but {order}")
        execution.refused = True
        self.not_executed += 1
        self._books.given_up[entry_id] = plan_id

    def _end_grant(self, plan_id: str) -> None:
        grant = self._books.grants.get(plan_id)
        if grant is not None:
            grant.left, grant.over = ZERO, True

    def redis_changed(self) -> None:
        """Take over what the records of another run of Redis say: it may have lost the latest."""
        for execution in self._books.executions.values():
            stored = self._redis.hgetall(self._own.order(execution.plan_id))
            execution.lost |= not stored
            execution.final = stored.get(b"state") == b"final"
            execution.told = Decimal(stored.get(b"published_cumulative", b"").decode() or 0)
            execution.refused &= execution.final

    # The way to the exchange, and its end.

    def sent(self, writer: str, params: Mapping[str, str], unsure_ms: int) -> None:
        """Judge a request for an order that leaves now; its host knows the exchange's clock to `unsure_ms`."""
        name = params.get("newClientOrderId", "")
        execution = self._books.executions.get(name)
        require(execution is not None, "e3", f"{name} is sent by {writer}, and no permit was consumed for it")
        assert execution is not None
        execution.sent += 1
        require(execution.sent == 1, "e1", f"{execution.plan_id} is sent {execution.sent} times")
        fixed = int(params["timestamp"]), int(params["recvWindow"])
        recorded = execution.timestamp_ms, execution.recv_window_ms
        require(fixed == recorded, "e4", f"{execution.plan_id} is sent with {fixed}, recorded is {recorded}")
        require(Decimal(params["quantity"]) == execution.quantity, "e6", f"{execution.plan_id}: {params}")
        if len(self._venue.clock.offsets_since(true_ms() - COMPARED_MS)) > 1:
            return
        late_ms = self._venue.exchange_ms() - sum(recorded)
        require(late_ms <= unsure_ms + _ROUNDING_MS, "e4", f"{execution.plan_id} leaves {late_ms} ms too late")

    def taken(self, order: Order) -> None:
        """Judge an order that the exchange takes."""
        name = order.client_order_id
        self.ordered += 1
        self._taken[name] = self._taken.get(name, 0) + 1
        require(self._taken[name] == 1, "e1", f"{name}: the exchange takes order {self._taken[name]} of that id")
        execution = self._books.executions.get(name)
        require(execution is not None, "e3", f"the exchange takes {name}, and no permit was consumed for it")
        assert execution is not None
        stepped = len(self._venue.clock.offsets_since(execution.begun_ms - COMPARED_MS)) > 1
        require(
            not execution.refused or stepped,
            "e5",
            f"{execution.plan_id} was not executed, and the exchange takes its order",
        )
        execution.order = order
        order_id, leg = str(order.order_id), order.position_side
        own = OwnOrder(order_id, order.symbol.name, leg, order.side, execution.plan_id)
        self._books.orders[order_id] = own


def client_order_id(prefix: str, plan_id: str) -> str:
    """Return the client order id of a plan's only order, as docs/contract.md has it."""
    return f"p33-{hashlib.sha256(f'{prefix}{chr(0)}{plan_id}'.encode()).hexdigest()[:32]}"


def governor_permit(keys: Keys, plan_id: str) -> str:
    """Return the key of the Governor's permit."""
    return f"{keys.prefix}:permit:{plan_id}"


def _flat(pairs: Sequence[str]) -> dict[str, str]:
    return dict(zip(pairs[::2], pairs[1::2], strict=True))


def _object(text: bytes) -> dict[str, object]:
    try:
        read = json.loads(text)
    except ValueError:
        return {}
    return read if isinstance(read, dict) else {}
