"""Every executed result counts once, with its sign; fills that an adoption contains count there."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs
from trio.testing import MockClock

from brain.identifiers import FencingToken
from brain.symbols.symbol_rules import SymbolRules
from channels import Count, Observe, SetGauge
from exchange.errors import ExchangeUnavailable
from store.records import Entry, ResultCommit
from tests.actors.ledger_rig import NO_LATE_RESULTS_SEC, LedgerRig, at_rest, running_writer
from tests.virtual_time import virtual_time

pytestmark = virtual_time


async def test_a_symbol_first_seen_flat_gets_a_ledger_of_zero_without_an_event(rig: LedgerRig) -> None:
    assert rig.ledger("BTCUSDT")["last_known_amt"] == "0"
    assert rig.ledger("BTCUSDT")["source"] == "adopted"
    assert "last_order_time_epoch" not in rig.ledger("BTCUSDT")
    assert [event["symbol"] for event in rig.events()] == ["ETHUSDT"]


async def test_a_symbol_first_seen_with_a_position_adopts_it_with_an_event(rig: LedgerRig) -> None:
    ledger = rig.ledger("ETHUSDT")
    assert (ledger["last_known_amt"], ledger["last_known_side"]) == ("-2", "SHORT")
    assert rig.events()[0]["event"] == "LEDGER_ADOPTED"
    assert rig.events()[0]["ledger_amt"] == "-2"


async def test_a_result_moves_the_ledger_once_and_keeps_its_sign(rig: LedgerRig) -> None:
    rig.fill("BTCUSDT", "1", "SELL", "0.3")
    for _ in range(3):
        rig.publish_result("BTCUSDT", "1", "SELL", "0.3")
    await trio.sleep(1)
    ledger = rig.ledger("BTCUSDT")
    assert (ledger["last_known_amt"], ledger["ledger_amt"]) == ("-0.3", "-0.3")
    assert (ledger["last_known_side"], ledger["source"]) == ("SHORT", "apply_result")
    assert ledger["version"] == "2"
    assert ledger["last_order_id"] == "1"
    assert rig.pending() == 0


async def test_a_booking_is_logged_and_measured_with_its_order_and_lag(rig: LedgerRig) -> None:
    await rig.metrics.receive_all()
    rig.exchange.fill("BTCUSDT", "81234", "SELL", "0.3")
    with capture_logs() as logs:
        with rig.store.faults.outage():
            rig.publish_result("BTCUSDT", "81234", "SELL", "0.3")
            await trio.sleep(0.25)
            rig.push_fill("BTCUSDT", "81234", "SELL")
        await trio.sleep(3)
    sent = await rig.metrics.receive_all()
    (lag,) = [event for event in sent if event.name == "p33_ledger_lag_seconds"]
    assert isinstance(lag, Observe) and 0.25 <= lag.seconds < 2.5
    (line,) = [entry["event"] for entry in logs if "Ledger updated" in entry["event"]]
    assert line == f"BTCUSDT: Ledger updated from order 81234, lag={lag.seconds:.3f}s"


async def test_cumulative_quantities_count_by_their_growth_in_either_order(rig: LedgerRig) -> None:
    rig.fill("BTCUSDT", "1", "BUY", "1")
    rig.publish_result("BTCUSDT", "1", "BUY", "1.0")
    rig.publish_result("BTCUSDT", "1", "BUY", "0.3", status="PARTIALLY_FILLED")
    await trio.sleep(1)
    assert rig.amount("BTCUSDT") == "1"


async def test_an_operators_correction_is_where_the_next_booking_starts(rig: LedgerRig) -> None:
    rig.redis.hset(rig.keys.ledger("BTCUSDT"), {"last_known_amt": "5"})
    rig.execute("BTCUSDT", "1", "BUY", "1")
    await trio.sleep(1)
    assert rig.amount("BTCUSDT") == "6"


async def test_a_mismatch_is_neither_corrected_nor_left_to_expire(rig: LedgerRig) -> None:
    rig.exchange.set("ETHUSDT", "0")
    rig.observe("ETHUSDT")
    for symbol in ("ETHUSDT", "BTCUSDT"):
        rig.redis.pexpire(rig.keys.ledger(symbol), 40_000)
    await trio.sleep(50)
    assert rig.amount("ETHUSDT") == "-2"
    assert rig.redis.pttl(rig.keys.ledger("ETHUSDT")) > 86_000_000


async def test_a_result_for_a_symbol_that_the_exchange_does_not_show_is_kept(rig: LedgerRig) -> None:
    one = Decimal(1)
    rig.symbol_rules.send({s: SymbolRules(s, True, one, one, one) for s in (*rig.exchange.rows, "NEWUSDT")})
    await rig.metrics.receive_all()
    rig.publish_result("GONEUSDT", "1", "SELL", "4")
    rig.publish_result("NEWUSDT", "2", "SELL", "3")
    await trio.sleep(3)
    assert rig.amount("GONEUSDT") == "-4"
    sent = await rig.metrics.receive_all()
    updates = [event for event in sent if event.name == "p33_ledger_update_total"]
    assert updates == [
        Count("p33_ledger_update_total", ("other",)),
        Count("p33_ledger_update_total", ("NEWUSDT",)),
    ], "a listed symbol without a snapshot is still one of the exchange"
    gauges = {event.labels for event in sent if isinstance(event, SetGauge)}
    assert ("GONEUSDT",) not in gauges and ("NEWUSDT",) in gauges


async def test_a_booking_whose_answer_is_lost_counts_once(rig: LedgerRig) -> None:
    rig.fill("BTCUSDT", "1", "BUY", "1")
    rig.store.faults.fail_next("after", method="commit_results")
    rig.publish_result("BTCUSDT", "1", "BUY", "1")
    await trio.sleep(3)
    assert rig.amount("BTCUSDT") == "1"
    assert rig.pending() == 0


async def test_a_refusal_ends_the_open_permit_and_deletes_the_permit(rig: LedgerRig) -> None:
    rig.decided("BTCUSDT", "BOTH|open|BUY", "1")
    rig.redis.set(rig.keys.permit("plan"), "{}")
    rig.publish_refusal("BTCUSDT", "no")
    await trio.sleep(1)
    assert rig.redis.get(rig.keys.permit("plan")) is None
    assert rig.open_permit("BTCUSDT") is None


@pytest.mark.parametrize(
    ("error", "consumed", "released"),
    [
        ("permit_timeout (missing: P3.3)", True, False),
        ("permit_timeout (missing: Governor)", False, True),
        ("permit_already_consumed", True, False),
        ("order rejected: -2019", True, True),
    ],
)
async def test_a_consumer_without_a_permit_does_not_release_the_permit_of_another(
    rig: LedgerRig, error: str, consumed: bool, released: bool
) -> None:
    rig.decided("ETHUSDT", "BOTH|close|BUY", "2")
    if not consumed:
        rig.redis.set(rig.keys.permit("plan"), "{}")
    rig.publish_refusal("ETHUSDT", error)
    await trio.sleep(1)
    assert (rig.open_permit("ETHUSDT") is None) is released
    assert rig.redis.get(rig.keys.permit("plan")) is None


async def test_a_result_before_its_decision_marks_the_plan_as_settled(rig: LedgerRig) -> None:
    rig.redis.xadd(rig.keys.results, {"plan_id": "early", "symbol": "BTCUSDT", "executed": "False"})
    await trio.sleep(1)
    assert rig.redis.get(rig.keys.plan_mark("early")) == b"S"


async def test_partial_fills_shrink_the_open_permit_and_the_last_one_ends_it(rig: LedgerRig) -> None:
    permit = rig.decided("ETHUSDT", "BOTH|close|BUY", "2")
    rig.fill("ETHUSDT", "7", "BUY", "0.5")
    rig.publish_result("ETHUSDT", "7", "BUY", "0.5", status="PARTIALLY_FILLED")
    await trio.sleep(1)
    assert rig.open_permit("ETHUSDT") == permit.replace("|2|", "|1.5|")
    rig.fill("ETHUSDT", "7", "BUY", "1")
    rig.publish_result("ETHUSDT", "7", "BUY", "1.5", status="CANCELED")
    await trio.sleep(1)
    assert rig.open_permit("ETHUSDT") is None
    assert rig.amount("ETHUSDT") == "-0.5"


async def test_a_reconcile_close_moves_no_ledger(rig: LedgerRig) -> None:
    rig.redis.set(rig.keys.plan_mark("plan"), "D|BOTH|close|BUY|1")
    rig.execute("ETHUSDT", "7", "BUY", "2")
    await trio.sleep(1)
    assert rig.amount("ETHUSDT") == "-2"
    assert rig.pending() == 0


@pytest.mark.parametrize(
    ("client_order_id", "cause", "after_sec"),
    [
        ("autoclose-1", "liquidation", 2),
        ("adl_autoclose", "adl", 2),
        ("settlement_autoclose-7", "settlement", 2),
        ("web_manual", "order", 33),
    ],
)
async def test_a_fill_that_no_result_explains_is_an_event_with_its_evidence(
    rig: LedgerRig, client_order_id: str, cause: str, after_sec: float
) -> None:
    rig.fill("ETHUSDT", "99", "BUY", "2", client_order_id=client_order_id)
    await trio.sleep(after_sec)
    (event,) = rig.events("LEDGER_DIVERGED")
    assert (event["cause"], event["order_id"], event["cumulative_qty"]) == (cause, "99", "2")
    assert event["client_order_id"] == client_order_id
    assert rig.amount("ETHUSDT") == "-2", "never booked silently"


async def test_many_unexplained_fills_over_a_slow_redis_do_not_stall_the_writer(
    rig: LedgerRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    emit_event, oldest_sec = rig.store.emit_event, 0.0

    async def slowly(fence: FencingToken, fields: Sequence[str]) -> None:
        nonlocal oldest_sec
        await trio.sleep(1)
        await emit_event(fence, fields)
        assert rig.heartbeat is not None
        beat_sec = rig.heartbeat.oldest_beat_at_work_sec()
        oldest_sec = max(oldest_sec, 0.0 if beat_sec is None else trio.current_time() - beat_sec)

    monkeypatch.setattr(rig.store, "emit_event", slowly)
    for number in range(100, 130):
        rig.fill("ETHUSDT", str(number), "BUY", "1", client_order_id=f"autoclose-{number}")
    await trio.sleep(60)
    assert len(rig.events("LEDGER_DIVERGED")) == 30
    assert 1 <= oldest_sec < 2


async def test_unexplained_fills_are_reported_once_redis_is_back(rig: LedgerRig) -> None:
    rig.store.faults.fail_next("before", method="emit_event", count=2)
    for number in ("101", "102", "103"):
        rig.fill("ETHUSDT", number, "BUY", "1", client_order_id="autoclose-1")
    await trio.sleep(20)
    reported = [event["order_id"] for event in rig.events("LEDGER_DIVERGED")]
    assert sorted(reported) == ["101", "102", "103"]


async def test_a_fill_with_its_result_is_no_event(rig: LedgerRig) -> None:
    rig.exchange.fill("ETHUSDT", "99", "BUY", "2")
    rig.publish_result("ETHUSDT", "99", "BUY", "2")
    await trio.sleep(0.5)
    rig.push_fill("ETHUSDT", "99", "BUY")
    await trio.sleep(60)
    assert rig.events("LEDGER_DIVERGED") == []


@pytest.mark.parametrize("count", [1, 3])
async def test_a_late_reply_does_not_make_two_tasks_book_one_result(
    rig: LedgerRig, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """The sweep finds entries whose reply is late, and still waits for the exchange when the reply comes."""
    read_new = rig.store.results.read_new

    async def late_reply(*, count: int, block_ms: int) -> list[Entry]:
        entries = await read_new(count=count, block_ms=block_ms)
        await trio.sleep(4 if entries else 0)
        return entries

    commit_result = rig.store.commit_result

    async def slow_commit(fence: FencingToken, commit: ResultCommit) -> int | None:
        await trio.sleep(1)
        return await commit_result(fence, commit)

    monkeypatch.setattr(rig.store.results, "read_new", late_reply)
    monkeypatch.setattr(rig.store, "commit_result", slow_commit)
    await trio.sleep(3)
    rig.exchange.failure = ExchangeUnavailable("down")
    for number in range(1, count + 1):
        rig.exchange.fill("ETHUSDT", str(number), "BUY", "0.5")
        rig.publish_result("ETHUSDT", str(number), "BUY", "0.5")
    await trio.sleep(8)
    rig.exchange.failure = None
    await trio.sleep(20)
    assert rig.amount("ETHUSDT") == str(Decimal("-2") + count * Decimal("0.5"))
    assert rig.pending() == 0
    assert rig.dead() == []


@settings(max_examples=40)
@given(
    results=st.lists(
        st.tuples(
            st.integers(1, 6), st.sampled_from(["0.1", "0.2", "0.3"]), st.sampled_from(["BUY", "SELL"])
        ),
        min_size=1,
        max_size=30,
    ),
    losses=st.sets(st.integers(0, 29), max_size=4),
)
async def test_any_repetition_and_any_lost_answer_give_the_sum_of_the_distinct_fills(
    autojump_clock: MockClock, results: list[tuple[int, str, str]], losses: set[int]
) -> None:
    rig = LedgerRig()
    rig.exchange.set("BTCUSDT", "0", update_time_ms=0)
    sides: dict[int, str] = {}
    filled: dict[int, Decimal] = {}
    async with running_writer(rig):
        await at_rest(rig)
        await trio.sleep(NO_LATE_RESULTS_SEC)  # results of fills from before the adoption are over
        for number, (order, quantity, side) in enumerate(results):
            if number in losses:
                rig.store.faults.fail_next("after", method="commit_results")
            side = sides.setdefault(order, side)
            filled[order] = max(filled.get(order, Decimal(0)), Decimal(quantity))
            rig.publish_result("BTCUSDT", str(order), side, quantity)
            await trio.sleep(0.2)
        await trio.sleep(5)
        expected = sum((q if sides[order] == "BUY" else -q for order, q in filled.items()), Decimal(0))
        assert Decimal(rig.amount("BTCUSDT") or "nan") == expected
        assert rig.pending() == 0


@pytest.mark.parametrize(("error", "wanted"), [("code=-1111 Precision is over the maximum", 1), ("-2019", 0)])
async def test_an_order_refused_for_its_precision_has_exchange_info_read(
    rig: LedgerRig, error: str, wanted: int
) -> None:
    for plan_id in ("a", "b"):
        rig.publish_refusal("BTCUSDT", error, plan_id=plan_id)
    await trio.sleep(1)
    assert (rig.rules_wanted.depth, rig.pending()) == (wanted, 0)
