"""Results that come together are booked together, and as if they had come one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from actors.ledger_writer import actor as ledger_writer
from actors.ledger_writer import batch_booking as joint_booking
from actors.ledger_writer.batch_booking import MOST_TOGETHER
from actors.ledger_writer.booking import plan_booking
from store.memory.store import MemoryStore
from store.records import BookingKeys, BookingState, Entry, ResultCommit
from tests.actors.ledger_rig import LedgerRig, running_writer

SYMBOLS = ("BTCUSDT", "ETHUSDT")
#: Results that report fills from before the adoption are over by then.
_SETTLED_SEC = 61


@pytest.fixture
async def rig() -> LedgerRig:
    return _rig()


def _rig() -> LedgerRig:
    rig = LedgerRig()
    for symbol in SYMBOLS:
        rig.exchange.set(symbol, "0", update_time_ms=0)
    return rig


async def _settled(rig: LedgerRig) -> None:
    for symbol in SYMBOLS:
        rig.observe(symbol)
    await trio.sleep(_SETTLED_SEC)
    assert rig.ledgers_adopted.value


class Journeys:
    """Counts what the writer asks of its store for bookings."""

    def __init__(self, rig: LedgerRig, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[str] = []
        self._states, self._commits = rig.store.booking_states, rig.store.commit_results
        self._alone, self._one = rig.store.booking_state, rig.store.commit_result
        self._recover = rig.store.recover_results
        for name in (
            "booking_states", "commit_results", "booking_state", "commit_result", "recover_results",
        ):  # fmt: skip
            monkeypatch.setattr(rig.store, name, getattr(self, name))

    async def booking_states(self, wanted: Sequence[BookingKeys]) -> list[BookingState | None]:
        self.asked.append("states")
        return await self._states(wanted)

    async def commit_results(self, fence: str, commits: Sequence[ResultCommit]) -> list[int | None]:
        self.asked.append("commits")
        return await self._commits(fence, commits)

    async def recover_results(self, *, fence: str, after: str, idle_ms: int, count: int) -> list[Entry]:
        if idle_ms == 0:
            self.asked.append("recover")
        return await self._recover(fence=fence, after=after, idle_ms=idle_ms, count=count)

    async def booking_state(self, symbol: str, plan_id: str, order_ids: Sequence[str]) -> BookingState:
        self.asked.append("state")
        return await self._alone(symbol, plan_id, order_ids)

    async def commit_result(self, fence: str, commit: ResultCommit) -> int | None:
        self.asked.append("commit")
        return await self._one(fence, commit)


async def test_what_comes_together_takes_two_journeys(
    rig: LedgerRig, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_writer(rig):
        await _settled(rig)
        journeys = Journeys(rig, monkeypatch)
        for number in range(MOST_TOGETHER):
            rig.publish_result(SYMBOLS[number % 2], f"7{number}", "BUY", "0.1", plan_id=f"plan-{number % 5}")
        await trio.sleep(1)
        assert journeys.asked == ["states", "commits"]
        assert rig.amount("BTCUSDT") == rig.amount("ETHUSDT") == f"{Decimal('0.1') * MOST_TOGETHER / 2}"
        assert rig.ledger("BTCUSDT")["version"] == str(MOST_TOGETHER // 2 + 1)
        assert rig.pending() == 0


async def test_a_result_that_comes_alone_is_a_batch_of_one(
    rig: LedgerRig, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_writer(rig):
        await _settled(rig)
        journeys = Journeys(rig, monkeypatch)
        rig.publish_result("BTCUSDT", "1", "BUY", "0.1")
        await trio.sleep(1)
        assert journeys.asked == ["states", "commits"]


@pytest.mark.parametrize("pushed", [True, False])
@pytest.mark.parametrize("symbol", ["BTCUSDT", "ETHUSDT"])
async def test_right_after_an_adoption_results_go_together_if_it_is_known_when_they_were_filled(
    rig: LedgerRig, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, symbol: str, pushed: bool
) -> None:
    """The row of BTCUSDT has no date, that of ETHUSDT has one."""
    rig.exchange.set("ETHUSDT", "0", update_time_ms=5)
    for each in SYMBOLS:
        rig.observe(each)
    async with running_writer(rig):
        await trio.sleep(1)
        journeys = Journeys(rig, monkeypatch)
        for number in range(4):
            rig.exchange.fill(symbol, f"7{number}", "BUY", "1")
            if pushed:
                rig.push_fill(symbol, f"7{number}", "BUY")
        await trio.sleep(0.1)
        for number in range(4):
            rig.publish_result(symbol, f"7{number}", "BUY", "1")
        await trio.sleep(10)
        assert rig.amount(symbol) == "4"
        assert journeys.asked == (["states", "commits"] if pushed else ["states", "state", "commit"] * 4)


async def test_results_of_one_symbol_that_a_dead_consumer_had_in_hand_are_booked_together(
    rig: LedgerRig, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are claimed in batches, too: three round trips for 64."""
    async with running_writer(rig):
        await _settled(rig)
    dead = MemoryStore(rig.redis, keys=rig.keys, consumer="dead")
    journeys = Journeys(rig, monkeypatch)
    for number in range(3 * MOST_TOGETHER):
        rig.publish_result("BTCUSDT", f"7{number}", "BUY", "0.1")
    assert len(await dead.new_results(count=1_000, block_ms=0)) == 3 * MOST_TOGETHER
    async with running_writer(rig):
        await trio.sleep(1)
        assert journeys.asked == ["recover", "states", "commits"] * 3 + ["recover"]
        assert Decimal(rig.amount("BTCUSDT") or "nan") == Decimal("0.1") * MOST_TOGETHER * 3
        assert rig.ledger("BTCUSDT")["version"] == str(3 * MOST_TOGETHER + 1)
        assert rig.pending() == 0


async def test_a_result_that_fails_among_recovered_ones_fails_alone_and_is_set_aside_after_three_failures(
    rig: LedgerRig, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(entry: Entry, *arguments: Any, **named: Any) -> object:
        if (entry.fields or {}).get(b"order_id") == b"73":
            raise ZeroDivisionError
        return plan_booking(entry, *arguments, **named)

    async with running_writer(rig):
        await _settled(rig)
    dead = MemoryStore(rig.redis, keys=rig.keys, consumer="dead")
    for number in range(8):
        rig.publish_result("BTCUSDT", f"7{number}", "BUY", "1")
    await dead.new_results(count=1_000, block_ms=0)
    for module in (joint_booking, ledger_writer):
        monkeypatch.setattr(module, "plan_booking", explode)
    crashes = 0
    for _ in range(6):
        try:
            async with running_writer(rig):
                await trio.sleep(1)
        except* ZeroDivisionError:
            crashes += 1
    assert crashes == 3
    assert rig.dead() == ["booking it has failed 3 times"]
    assert rig.amount("BTCUSDT") == "7"
    assert rig.pending() == 0


async def test_what_needs_more_than_redis_is_booked_in_its_place(
    rig: LedgerRig, autojump_clock: MockClock
) -> None:
    """The second has no ledger to be booked in, and the third cannot be read."""
    async with running_writer(rig):
        await _settled(rig)
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


async def test_a_correction_by_hand_in_the_middle_stands_and_what_follows_counts_on_top(
    rig: LedgerRig, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_writer(rig):
        await _settled(rig)
        commit_results = rig.store.commit_results

        async def corrected_first(fence: str, commits: Sequence[ResultCommit]) -> list[int | None]:
            if rig.amount("BTCUSDT") == "0":
                rig.redis.hset(rig.keys.ledger("BTCUSDT"), {"last_known_amt": "100"})
            return await commit_results(fence, commits)

        monkeypatch.setattr(rig.store, "commit_results", corrected_first)
        journeys = Journeys(rig, monkeypatch)
        for number in range(20):
            rig.publish_result("BTCUSDT", f"7{number}", "BUY", "1")
        rig.publish_result("ETHUSDT", "9", "SELL", "2")
        await trio.sleep(2)
        assert rig.amount("BTCUSDT") == "120"
        assert rig.amount("ETHUSDT") == "-2"
        assert rig.pending() == 0
        # Only the first was booked alone.
        assert journeys.asked == ["states", "commits", "state", "commit", "states", "commits"]


async def test_a_result_that_redis_refuses_is_set_aside_and_those_around_it_are_booked(
    rig: LedgerRig, autojump_clock: MockClock
) -> None:
    async with running_writer(rig):
        await _settled(rig)
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


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(results=_RESULTS, lost=st.booleans())
async def test_together_or_one_after_the_other_what_is_stored_is_the_same(
    autojump_clock: MockClock, results: list[tuple[str, int, str, str]], lost: bool
) -> None:
    """Order, plan and side of an order follow from its number; even ones have an open permit."""
    stored = []
    for together in (True, False):
        rig = _rig()
        async with running_writer(rig):
            await _settled(rig)
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
        rig.redis.xadd(
            rig.keys.results, {"plan_id": plan_id, "symbol": symbol, "executed": "False", "error": why}
        )


def _what_is_stored(rig: LedgerRig) -> dict[str, object]:
    """Without times, which differ."""
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
