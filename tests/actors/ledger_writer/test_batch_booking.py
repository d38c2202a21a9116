"""Batches of results are booked together, with the same outcome as one after the other."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from functools import partial

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs
from trio.testing import MockClock

from actors.ledger_writer.batch_booking import MOST_TOGETHER
from brain.identifiers import FencingToken, OrderId, PlanId, Symbol
from brain.symbols.symbol_rules import SymbolRules
from channels import Count, Observe, SetGauge
from monitoring.service_log import LogLines
from store.memory.store import MemoryStore
from store.records import BookingKeys, BookingState, Entry, ResultCommit
from tests.actors.ledger_rig import NO_LATE_RESULTS_SEC, LedgerRig, at_rest, fail_planning_of, running_writer
from tests.background import count_crashes
from tests.virtual_time import virtual_time

pytestmark = virtual_time

SYMBOLS = ("BTCUSDT", "ETHUSDT")


@pytest.fixture
async def stopped() -> LedgerRig:
    return _rig()


def _rig() -> LedgerRig:
    rig = LedgerRig()
    for symbol in SYMBOLS:
        rig.exchange.set(symbol, "0", update_time_ms=0)
    return rig


@pytest.fixture
async def rig(stopped: LedgerRig) -> AsyncIterator[LedgerRig]:
    async with running_writer(stopped):
        await at_rest(stopped, NO_LATE_RESULTS_SEC)
        yield stopped


class RoundTrips:
    """Counts the store calls of bookings."""

    def __init__(self, rig: LedgerRig, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[str] = []
        self._states, self._commits = rig.store.booking_states, rig.store.commit_results
        self._alone, self._one = rig.store.booking_state, rig.store.commit_result
        self._recover = rig.store.results.recover
        monkeypatch.setattr(rig.store.results, "recover", self.recover)
        for name in ("booking_states", "commit_results", "booking_state", "commit_result"):
            monkeypatch.setattr(rig.store, name, getattr(self, name))

    async def booking_states(self, wanted: Sequence[BookingKeys]) -> list[BookingState | None]:
        self.asked.append("states")
        return await self._states(wanted)

    async def commit_results(self, fence: FencingToken, commits: Sequence[ResultCommit]) -> list[int | None]:
        self.asked.append("commits")
        return await self._commits(fence, commits)

    async def recover(self, *, fence: FencingToken, after: str, idle_ms: int, count: int) -> list[Entry]:
        if idle_ms == 0:
            self.asked.append("recover")
        return await self._recover(fence=fence, after=after, idle_ms=idle_ms, count=count)

    async def booking_state(self, symbol: str, plan_id: PlanId, order_ids: Sequence[OrderId]) -> BookingState:
        self.asked.append("state")
        return await self._alone(Symbol(symbol), plan_id, order_ids)

    async def commit_result(self, fence: FencingToken, commit: ResultCommit) -> int | None:
        self.asked.append("commit")
        return await self._one(fence, commit)


async def test_a_batch_takes_two_round_trips(rig: LedgerRig, monkeypatch: pytest.MonkeyPatch) -> None:
    trips = RoundTrips(rig, monkeypatch)
    for number in range(MOST_TOGETHER):
        rig.publish_result(SYMBOLS[number % 2], f"7{number}", "BUY", "0.1", plan_id=f"plan-{number % 5}")
    await trio.sleep(1)
    assert trips.asked == ["states", "commits"]
    assert rig.amount("BTCUSDT") == rig.amount("ETHUSDT") == f"{Decimal('0.1') * MOST_TOGETHER / 2}"
    assert rig.ledger("BTCUSDT")["version"] == str(MOST_TOGETHER // 2 + 1)
    assert rig.pending() == 0


async def test_a_batch_is_one_log_call_and_one_event_for_each_series(rig: LedgerRig) -> None:
    one = Decimal(1)
    rig.symbol_rules.send({symbol: SymbolRules(symbol, True, one, one, one) for symbol in SYMBOLS})
    await rig.metrics.receive_all()
    with capture_logs() as logs:
        for number in range(9):
            rig.publish_result(SYMBOLS[number % 2], f"7{number}", "BUY", "0.1")
        await trio.sleep(0.5)
    (lines,) = [entry["event"] for entry in logs if "Ledger updated" in entry["event"]]
    assert isinstance(lines, LogLines)
    assert [line.split(",")[0] for line in lines.messages] == [
        f"{SYMBOLS[number % 2]}: Ledger updated from order 7{number}" for number in range(9)
    ]
    sent = await rig.metrics.receive_all()
    assert [event for event in sent if event.name in ("p33_ledger_update_total", "p33_ledger_amt")] == [
        SetGauge("p33_ledger_amt", 0.5, ("BTCUSDT",)),
        SetGauge("p33_ledger_amt", 0.4, ("ETHUSDT",)),
        Count("p33_ledger_update_total", ("BTCUSDT",), 5),
        Count("p33_ledger_update_total", ("ETHUSDT",), 4),
    ]
    assert sum(event.times for event in sent if isinstance(event, Observe)) == 9


async def test_a_single_result_is_a_batch_of_one(rig: LedgerRig, monkeypatch: pytest.MonkeyPatch) -> None:
    trips = RoundTrips(rig, monkeypatch)
    rig.publish_result("BTCUSDT", "1", "BUY", "0.1")
    await trio.sleep(1)
    assert trips.asked == ["states", "commits"]


@pytest.mark.parametrize("pushed", [True, False])
@pytest.mark.parametrize("symbol", ["BTCUSDT", "ETHUSDT"])
async def test_right_after_an_adoption_only_results_with_known_fill_times_are_booked_together(
    stopped: LedgerRig, monkeypatch: pytest.MonkeyPatch, symbol: str, pushed: bool
) -> None:
    """The row of BTCUSDT has no date, that of ETHUSDT has one."""
    stopped.exchange.set("ETHUSDT", "0", update_time_ms=5)
    for each in SYMBOLS:
        stopped.observe(each)
    async with running_writer(stopped):
        await trio.sleep(1)
        trips = RoundTrips(stopped, monkeypatch)
        for number in range(4):
            stopped.exchange.fill(symbol, f"7{number}", "BUY", "1")
            if pushed:
                stopped.push_fill(symbol, f"7{number}", "BUY")
        await trio.sleep(0.1)
        for number in range(4):
            stopped.publish_result(symbol, f"7{number}", "BUY", "1")
        await trio.sleep(10)
        assert stopped.amount(symbol) == "4"
        assert trips.asked == (["states", "commits"] if pushed else ["states", "state", "commit"] * 4)


async def test_pending_results_of_a_dead_consumer_are_booked_in_batches(
    stopped: LedgerRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are claimed in batches, too: three round trips for 64 results."""
    async with running_writer(stopped):
        await at_rest(stopped, NO_LATE_RESULTS_SEC)
    dead = MemoryStore(stopped.redis, keys=stopped.keys, consumer="dead")
    trips = RoundTrips(stopped, monkeypatch)
    for number in range(3 * MOST_TOGETHER):
        stopped.publish_result("BTCUSDT", f"7{number}", "BUY", "0.1")
    assert len(await dead.results.read_new(count=1_000, block_ms=0)) == 3 * MOST_TOGETHER
    async with running_writer(stopped):
        await trio.sleep(1)
        assert trips.asked == ["recover", "states", "commits"] * 3 + ["recover"]
        assert Decimal(stopped.amount("BTCUSDT") or "nan") == Decimal("0.1") * MOST_TOGETHER * 3
        assert stopped.ledger("BTCUSDT")["version"] == str(3 * MOST_TOGETHER + 1)
        assert stopped.pending() == 0


async def test_a_recovered_result_that_fails_is_a_dead_letter_after_three_failures_and_fails_no_other(
    stopped: LedgerRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_writer(stopped):
        await at_rest(stopped, NO_LATE_RESULTS_SEC)
    dead = MemoryStore(stopped.redis, keys=stopped.keys, consumer="dead")
    for number in range(8):
        stopped.publish_result("BTCUSDT", f"7{number}", "BUY", "1", plan_id=f"plan-{number}")
    await dead.results.read_new(count=1_000, block_ms=0)
    fail_planning_of("plan-3", monkeypatch)
    assert await count_crashes(partial(running_writer, stopped), runs=6, for_sec=1) == 3
    assert stopped.dead() == ["booking it has failed 3 times"]
    assert stopped.amount("BTCUSDT") == "7"
    assert stopped.pending() == 0


async def test_a_result_that_needs_more_than_redis_is_booked_in_its_place(rig: LedgerRig) -> None:
    """The second has no ledger yet, and the third is unreadable."""
    rig.exchange.set("SOLUSDT", "0", update_time_ms=0)
    rig.exchange.fill("SOLUSDT", "2", "BUY", "5")
    rig.publish_result("BTCUSDT", "1", "BUY", "0.1")
    rig.publish_result("SOLUSDT", "2", "BUY", "5")
    rig.publish_result("BTCUSDT", "3", "BUY", "many")
    rig.publish_result("BTCUSDT", "4", "BUY", "0.2")
    await trio.sleep(5)
    assert rig.amount("BTCUSDT") == "0.3"
    assert rig.amount("SOLUSDT") == "5"
    assert len(rig.dead()) == 1
    assert rig.pending() == 0


async def test_a_correction_during_a_batch_stands_and_the_batch_counts_on_top(
    rig: LedgerRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit_results = rig.store.commit_results

    async def corrected_first(fence: FencingToken, commits: Sequence[ResultCommit]) -> list[int | None]:
        if rig.amount("BTCUSDT") == "0":
            rig.redis.hset(rig.keys.ledger("BTCUSDT"), {"last_known_amt": "100"})
        return await commit_results(fence, commits)

    monkeypatch.setattr(rig.store, "commit_results", corrected_first)
    trips = RoundTrips(rig, monkeypatch)
    for number in range(20):
        rig.publish_result("BTCUSDT", f"7{number}", "BUY", "1")
    rig.publish_result("ETHUSDT", "9", "SELL", "2")
    await trio.sleep(2)
    assert rig.amount("BTCUSDT") == "120"
    assert rig.amount("ETHUSDT") == "-2"
    assert rig.pending() == 0
    # Only the first was booked alone.
    assert trips.asked == ["states", "commits", "state", "commit", "states", "commits"]


async def test_a_result_that_redis_refuses_is_a_dead_letter_and_those_around_it_are_booked(
    rig: LedgerRig,
) -> None:
    rig.redis.hset(rig.keys.plan_mark("plan-5"), {"a": "b"})
    for number in range(20):
        rig.publish_result("BTCUSDT", f"7{number}", "BUY", "1", plan_id=f"plan-{number}")
    await trio.sleep(2)
    assert rig.amount("BTCUSDT") == "19"
    assert rig.ledger("BTCUSDT")["last_order_id"] == "719"
    (error,) = rig.dead()
    assert "WRONGTYPE" in error
    assert rig.pending() == 0


_RESULTS = st.lists(
    st.tuples(
        st.sampled_from(SYMBOLS),
        st.integers(1, 4),
        st.sampled_from(["0.1", "0.2", "0.3"]),
        st.sampled_from(["FILLED", "PARTIALLY_FILLED", "refused", "no permit"]),
    ),
    min_size=2,
    max_size=20,
)


@settings(max_examples=60)
@given(results=_RESULTS, lost=st.booleans())
async def test_a_batch_stores_the_same_as_results_one_after_the_other(
    autojump_clock: MockClock, results: list[tuple[str, int, str, str]], lost: bool
) -> None:
    """Order, plan and side of an order follow from its number; even ones have an open permit."""
    stored = []
    for together in (True, False):
        rig = _rig()
        async with running_writer(rig):
            await at_rest(rig, NO_LATE_RESULTS_SEC)
            for symbol in SYMBOLS:
                for order in (2, 4):
                    life = f"{rig.clock.now().wall_ms + 600_000}"
                    permit = f"BOTH|close|SELL|0.3|{life}"
                    rig.redis.hset(rig.keys.open_permits(symbol), {f"p:plan-{symbol}-{order}": permit})
            if lost and together:
                rig.store.faults.fail_next("after", method="commit_results")
            for symbol, order, quantity, status in results:
                _publish(rig, symbol, order, quantity, status)
                if not together:
                    await trio.sleep(0.2)
            await trio.sleep(5)
            assert rig.pending() == 0
            stored.append(_what_is_stored(rig))
    assert stored[0] == stored[1]


def _publish(rig: LedgerRig, symbol: str, order: int, quantity: str, status: str) -> None:
    plan_id, side = f"plan-{symbol}-{order}", "SELL" if order % 2 == 0 else "BUY"
    if status in ("FILLED", "PARTIALLY_FILLED"):
        order_id = f"{symbol}-{order}"
        rig.publish_result(symbol, order_id, side, quantity, plan_id=plan_id, status=status)
    else:
        why = "order rejected" if status == "refused" else "permit_timeout (missing: P3.3)"
        rig.publish_refusal(symbol, why, plan_id=plan_id)


def _what_is_stored(rig: LedgerRig) -> dict[str, object]:
    """Return all but times, which differ."""
    stored: dict[str, object] = {"dead": len(rig.dead())}
    for symbol in SYMBOLS:
        ledger = rig.ledger(symbol)
        stored[symbol] = {name: ledger[name] for name in ("last_known_amt", "ledger_amt", "version")}
        memory = rig.redis.hgetall(rig.keys.order_memory(symbol))
        stored[f"orders {symbol}"] = {order: text.split(b"|")[0] for order, text in memory.items()}
        permits = rig.redis.hgetall(rig.keys.open_permits(symbol))
        stored[f"permits {symbol}"] = {
            plan: text.rpartition(b"|")[0] for plan, text in permits.items() if plan != b"v"
        }
        stored[f"marks {symbol}"] = [
            rig.redis.get(rig.keys.plan_mark(f"plan-{symbol}-{order}")) for order in range(1, 5)
        ]
    return stored
