"""Invariants (e1) to (e7): one order a plan or none, with both permits, and the truth about it.

Every effect of the executor on Redis, every request that leaves it, and every order that the exchange takes
is judged in its moment; what takes its time, at rest (`execution_rest`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from decimal import Decimal

import msgspec

from brain.execution.record import OrderRecord
from settings import Settings
from simulator.orders import Order
from store.execution_records import BeginReply, OrderBegin
from store.keys import ExecutorKeys, Keys
from store.memory.memory_redis import MemoryRedis
from tests.simulation.books import Books, Execution, OwnOrder
from tests.simulation.claims import COMPARED_MS
from tests.simulation.clocks import true_ms
from tests.simulation.execution_results import client_order_id
from tests.simulation.trace import Trace
from tests.simulation.venue import Venue
from tests.simulation.verdicts import require

#: Whole milliseconds on both sides.
_ROUNDING_MS = 2
#: A permit is from at most so far in the future, by Redis's clock (ms).
_AHEAD_MS = 5_000
#: Any other text is unreadable, and halts.
_TRADES = (b"ACTIVE", b"REDUCING")
_RECONCILE_CLOSE = "RECONCILE_CLOSE"


class Before(msgspec.Struct, frozen=True):
    """Content of Redis in the moment before an order is begun."""

    governor: bytes | None
    p33: bytes | None
    third: bytes | None
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
        self.begun = self.ordered = 0
        self._books = books
        self._venue = venue
        self._redis = redis
        self._keys = keys
        self._own = ExecutorKeys(keys)
        self._settings = settings
        self._trace = trace
        #: Client order ids of orders that another executor has sent.
        self.others: Collection[str] = ()
        #: By client order id, how many orders the exchange ever took.
        self._taken: dict[str, int] = {}

    # Scripts.

    def before(self, begin: OrderBegin) -> Before:
        """Look at what an order is about to rest on."""
        redis, keys, record = self._redis, self._keys, begin.record
        return Before(
            self._text(governor_permit(keys, record.plan_id)),
            self._text(keys.permit(record.plan_id)),
            self._text(third_permit(keys, record.plan_id)),
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

    def begin(self, writer: str, begin: OrderBegin, effect: Callable[[], BeginReply]) -> BeginReply:
        """Judge an order that is to be begun by `effect`."""
        before = self.before(begin)
        reply = effect()
        plan_id = begin.record.plan_id
        recorded = self._redis.kind(self._own.order(plan_id)) != "none"
        gone = before.p33 is not None and self._redis.kind(self._keys.permit(plan_id)) == "none"
        require(recorded or not gone, "e3", f"{plan_id}: its permit is consumed, and no record says so")
        self._judge_begun(writer, begin, reply, before)
        return reply

    def _judge_begun(self, writer: str, begin: OrderBegin, reply: BeginReply, before: Before) -> None:
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
        """Check that all permits were there, as they must be, and are gone."""
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
        others: tuple[str, ...] = () if reconcile else (governor_permit(keys, plan_id),)
        if self._settings.extra_permits and not reconcile:
            require(before.third == b"1", "e3", f"{plan_id} is begun with {before.third!r} of the third")
            others += (third_permit(keys, plan_id),)
        for key in (keys.permit(plan_id), *others):
            require(self._redis.kind(key) == "none", "e3", f"{plan_id} is begun, and {key} is still there")
        marked = self._redis.kind(keys.permit_consumer(plan_id)) != "none"
        require(marked, "e3", f"{plan_id} is begun without the gate's mark")

    def _judge_age(self, begin: OrderBegin) -> None:
        """Check by the time of publication that the plan has not expired, the wait included."""
        manual = begin.record.stream == self._own.manual_plans.key
        entries_ms = self._books.manual_ms if manual else self._books.published_ms
        published_ms = entries_ms.get(begin.record.entry_id, 0)
        age_ms = self._redis.now_ms() - published_ms
        limit_ms = self._settings.plan_max_age_sec * 1000 + self._settings.permit_wait_ms
        plan_id = begin.record.plan_id
        require(age_ms <= limit_ms, "e3", f"{plan_id} is begun {age_ms} ms after it was published")

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
        """Judge a request that leaves now; its host knows the exchange's clock to `unsure_ms`."""
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
        require(
            late_ms <= unsure_ms + _ROUNDING_MS, "e4", f"{execution.plan_id} leaves {late_ms} ms too late"
        )

    def taken(self, order: Order) -> None:
        """Judge an order that the exchange takes."""
        name = order.client_order_id
        if name in self.others:
            return
        self.ordered += 1
        self._taken[name] = self._taken.get(name, 0) + 1
        require(
            self._taken[name] == 1, "e1", f"{name}: the exchange takes order {self._taken[name]} of that id"
        )
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


def governor_permit(keys: Keys, plan_id: str) -> str:
    """Return the key of the Governor's permit."""
    return f"{keys.prefix}:permit:{plan_id}"


def third_permit(keys: Keys, plan_id: str) -> str:
    """Return the key of the permit of `scene.EXTRA_PERMIT`."""
    return f"{keys.prefix}:permit:p26:{plan_id}"


def _object(text: bytes) -> dict[str, object]:
    try:
        read = json.loads(text)
    except ValueError:
        return {}
    return read if isinstance(read, dict) else {}
