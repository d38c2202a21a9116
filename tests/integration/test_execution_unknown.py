"""Answers to orders that leave the outcome open, of every kind: held, kept reserved, and resolved alone."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import cast

import msgspec
import trio

from simulator import SimulatedExchange
from simulator.faults import RestFault
from simulator.symbols import Symbol, load_symbols
from tests.integration.execution_load import opening, usual_symbols
from tests.integration.played_governor import PlayedGovernor, VenueOrder, id_at_exchange
from tests.integration.rigs import QUARTER, Case, Rig, every, side_by_side
from tests.integration.waiting import until

#: Two of each kind in the suite; twenty with P33_TEST_EXECUTOR_UNKNOWN=20.
TIMES = int(os.environ.get("P33_TEST_EXECUTOR_UNKNOWN", "2"))
#: Each undecided order costs some weight, so one daemon gets so many of them at most.
ORDERS_A_DAEMON = 60
#: At once.
DAEMONS = 4
#: These leave it open, with or without an effect.
OPEN: tuple[RestFault, ...] = (
    "503_unknown", "-1006", "-1007", "408", "bad_gateway", "reset", "hang", "truncated", "not_json",
    "deep_json", "huge",
)  # fmt: skip
#: Of these there is no effect, and one answer to a query proves it. 418 stops the daemon for a minute: the
#: suite leaves it out.
TOO_MANY: tuple[RestFault, ...] = ("429", "-1015", "418") if TIMES > 2 else ("429", "-1015")
#: So many requests a minute may be refused without a ban of the exchange's own.
REFUSED_AT_ONCE, REFUSED_EACH_SEC = 7, 61.0
ORDERS = "/fapi/v1/order"
#: A reservation that nothing extends is over within 7 s, which is before absence can be proven.
SETTINGS = {
    **QUARTER,
    "P33_EXECUTOR": "on",
    "P33_PERMIT_TTL": "3",
    "P33_EXECUTION_GRACE_SEC": "4",
    "P33_WEIGHT_BUDGET_PER_MIN": "2400",
    "EXEC_UNKNOWN_SETTLE_SEC": "10.1",
    "EXEC_ORDER_TIMEOUT_SEC": "1",
}
SETTLED_WITHIN_SEC = 75.0
BAN_ENDS_WITHIN_SEC = 150.0
#: The private stream shows no order, and queries find one only then: it is unknown for at least so long.
SHOWN_AFTER_MS = 1_500.0
#: An order that is under way for so long arrives within its window, when its sender has given up.
LATE_MS = 1_500.0
MOST_REFUSED = 10
_LOOK_SEC, OPEN_SEC = 0.05, 1.0


class Look(msgspec.Struct, frozen=True):
    """A plan in Redis at one moment."""

    state: str | None
    held_by: str | None
    reserved: bool

    @property
    def is_open(self) -> bool:
        """Return True if the order may fill, and neither hold nor reservation says so."""
        return self.state == "unknown" and not (self.held_by and self.reserved)


class Watch:
    """Looks at plans all the time: none may be open for a second.

    Once an order is decided its hold is released, and its record is written next.
    """

    def __init__(self, rig: Rig) -> None:
        self._redis = rig.pipeline.redis
        self._symbols: dict[str, str] = {}
        self.held: Counter[str] = Counter()
        self.violations: list[tuple[str, Look]] = []
        self._open_since_sec: dict[str, float] = {}

    def follow(self, plan_id: str, symbol: str) -> None:
        self._symbols[plan_id] = symbol

    def symbol(self, plan_id: str) -> str:
        """Return the symbol of a plan that is followed."""
        return self._symbols[plan_id]

    async def run(self) -> None:
        while True:
            looks = {plan_id: self.look(plan_id) for plan_id in self._symbols}
            now_sec = trio.current_time()
            now_open = [plan_id for plan_id, look in looks.items() if look.is_open]
            self._open_since_sec = {each: self._open_since_sec.get(each, now_sec) for each in now_open}
            self.violations += [
                (plan_id, looks[plan_id])
                for plan_id, since_sec in self._open_since_sec.items()
                if now_sec - since_sec > OPEN_SEC
            ]
            self.held.update(plan_id for plan_id, look in looks.items() if look.held_by)
            await trio.sleep(_LOOK_SEC)

    def look(self, plan_id: str) -> Look:
        """Look at a plan, its symbol's hold and its reservation in one transaction."""
        symbol = self._symbols[plan_id]
        pipe = self._redis.pipeline(transaction=True)
        pipe.hget(f"quantum:executor:order:{plan_id}", "state")
        pipe.get(f"quantum:reconcile:hold:{symbol}")
        pipe.get(f"quantum:reconcile:hold_sig:{symbol}")
        pipe.hexists(f"quantum:p33:open:{symbol}", f"p:{plan_id}")
        state, hold, signature, reserved = pipe.execute()
        ours = hold == "1" and signature == f"exec:{id_at_exchange(plan_id)}"
        return Look(state, signature if ours else None, bool(reserved))


def cases() -> Iterator[Case]:
    size = max(ORDERS_A_DAEMON // TIMES, 1)
    for first in range(0, len(OPEN), size):
        kinds = OPEN[first : first + size]
        yield _case(f"{kinds} before the effect", kinds, before=True)
        yield _case(f"{kinds} behind the effect", kinds, before=False)
    yield _case("5xx", ("5xx",), before=True)
    yield _case("late", ("late",), before=False)


def _case(name: str, kinds: Sequence[RestFault], *, before: bool) -> Case:
    async def run(rig: Rig) -> None:
        await _strike(rig, kinds, before=before)

    return Case(name, run, SETTINGS, _exchange)


def _exchange() -> SimulatedExchange:
    return SimulatedExchange(
        symbols={symbol.name: symbol for symbol in usual_symbols(load_symbols(), 2 * ORDERS_A_DAEMON)}
    )


async def test_an_answer_that_leaves_the_outcome_open_is_never_taken_for_a_refusal() -> None:
    left = list(cases())
    while left:
        await side_by_side(*left[:DAEMONS])
        del left[:DAEMONS]


async def test_an_order_that_is_one_too_many_is_refused_when_a_query_behind_the_ban_finds_none() -> None:
    settings = {**SETTINGS, "EXEC_ORDER_TIMEOUT_SEC": "5"}
    await side_by_side(*every(TOO_MANY, _too_many, settings=settings, exchange=_exchange))


async def _strike(rig: Rig, kinds: Sequence[RestFault], *, before: bool) -> None:
    """Send orders of which each gets such an answer; all of them are undecided at once."""
    governor, watch, faults = PlayedGovernor(rig.pipeline), Watch(rig), rig.exchange.faults
    symbols = iter(rig.exchange.listing.symbols.values())
    await _executes(rig, governor)
    faults.rest_fault_paths, faults.rest_fault_methods = [ORDERS], ["POST"]
    faults.fail_before_effect, faults.server_error_status, faults.late_ms = before, 500, LATE_MS
    faults.huge_body_mb = 20
    faults.order_visible_after_ms = SHOWN_AFTER_MS
    faults.drop_event_types, faults.drop_event_rate = ["ORDER_TRADE_UPDATE", "TRADE_LITE"], 1.0
    struck: dict[str, RestFault] = {}
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch.run)
        for number, kind in enumerate(kind for kind in kinds for _ in range(TIMES)):
            plan_id = await _one_is_struck(rig, governor, watch, symbols, kind)
            struck[plan_id] = kind
            if number == 0:
                await _is_held_against_others(rig, governor, watch.symbol(plan_id))
        await governor.all_end(struck, SETTLED_WITHIN_SEC)
        await until(governor.nothing_open, "no order is open and no symbol held", 10)
        nursery.cancel_scope.cancel()
    assert not watch.violations, watch.violations[:5]
    governor.assert_results_fit(_orders(rig.exchange), [*governor.results])
    wrong = {}
    for plan_id, kind in struck.items():
        last = governor.results[plan_id][-1]
        expected = ("false", "order_not_found") if before else ("true", "")
        if (last["executed"], last["error"]) != expected or not watch.held[plan_id]:
            wrong[plan_id] = (kind, last, watch.held[plan_id])
    assert not wrong, wrong


async def _one_is_struck(
    rig: Rig, governor: PlayedGovernor, watch: Watch, symbols: Iterator[Symbol], kind: RestFault
) -> str:
    """Publish plans until the order of one is struck, and return its id. A busy daemon may refuse some."""
    refused = []
    rig.exchange.faults.rest_faults_next.append(kind)
    for symbol in islice(symbols, MOST_REFUSED):
        plan_id = f"plan-{symbol.name}"
        watch.follow(plan_id, symbol.name)
        governor.publish(plan_id, opening(symbol))

        def ended(plan_id: str = plan_id) -> bool:
            return not rig.exchange.faults.rest_faults_next or governor.result_now(plan_id) is not None

        await until(ended, f"the order of {plan_id}", 10)
        if not rig.exchange.faults.rest_faults_next:
            return plan_id
        refused.append(governor.results[plan_id][-1]["error"])
        await rig.trusts_the_stream(BAN_ENDS_WITHIN_SEC)
    raise AssertionError(f"{kind}: {refused}")


async def _too_many(kind: str, rig: Rig) -> None:
    """Send orders that are too many: all are under way when the first answer bans the address."""
    governor, watch, faults = PlayedGovernor(rig.pipeline), Watch(rig), rig.exchange.faults
    symbols = iter(rig.exchange.listing.symbols.values())
    await _executes(rig, governor)
    faults.rest_fault_paths, faults.rest_fault_methods = [ORDERS], ["POST"]
    faults.ban_sec = faults.retry_after_sec = 1
    faults.rest_latency_ms = 500.0
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch.run)
        for first in range(0, TIMES, REFUSED_AT_ONCE):
            began_sec = trio.current_time()
            plan_ids = [f"plan-{number}" for number in range(first, min(first + REFUSED_AT_ONCE, TIMES))]
            faults.rest_faults_next += cast("list[RestFault]", [kind] * len(plan_ids))
            for plan_id in plan_ids:
                symbol = next(symbols)
                watch.follow(plan_id, symbol.name)
                governor.publish(plan_id, opening(symbol))
            await governor.all_end(plan_ids, BAN_ENDS_WITHIN_SEC)
            assert not faults.rest_faults_next, faults.rest_faults_next
            await until(governor.nothing_open, "no symbol is held", 5)
            if first + REFUSED_AT_ONCE < TIMES:
                await trio.sleep_until(began_sec + REFUSED_EACH_SEC)
                await rig.trusts_the_stream(BAN_ENDS_WITHIN_SEC)
        nursery.cancel_scope.cancel()
    assert not watch.violations, watch.violations[:5]
    assert _orders(rig.exchange) == []
    ends = {plan_id: rows[-1]["error"] for plan_id, rows in governor.results.items()}
    wanted = "binance_error:-1015" if kind == "-1015" else "binance_error:-1003"
    wrong = {plan_id: end for plan_id, end in ends.items() if end != wanted or not watch.held[plan_id]}
    assert not wrong, wrong


async def _executes(rig: Rig, governor: PlayedGovernor) -> None:
    await rig.trusts_the_stream()
    await governor.executor_reads()
    await governor.has_price(next(reversed(rig.exchange.listing.symbols)))


async def _is_held_against_others(rig: Rig, governor: PlayedGovernor, symbol: str) -> None:
    """Check that no other plan of an undecided order's symbol is executed."""
    await until(lambda: rig.pipeline.redis.exists(f"quantum:reconcile:hold:{symbol}"), "its symbol is held")
    governor.publish("beside", opening(rig.exchange.symbol(symbol)))
    result = await governor.result("beside")
    assert result["error"] == "permit_denied (P3.3: reconcile_hold_active)", result


def _orders(exchange: SimulatedExchange) -> list[VenueOrder]:
    return [
        VenueOrder(order.order_id, order.client_order_id, name, order.status, order.executed)
        for name in exchange.listing.symbols
        for order in exchange.orders.of(name)
    ]
