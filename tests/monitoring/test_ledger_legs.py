"""Legs of ledgers in hedge mode: read by turns, those that differ at once, and compared leg by leg."""

from __future__ import annotations

from decimal import Decimal

import pytest

from brain.positions.position import Leg, LegPosition, Snapshot, VerifiedBy
from channels import BookEntry, Lease, SetGauge
from monitoring.outbox import Notice
from tests.monitoring.status_rig import NOON_MS, StatusRig


@pytest.fixture
def rig() -> StatusRig:
    """Returns one of an account in hedge mode."""
    rig = StatusRig(environment={"P33_NOTICE_URL": "slack+https://hooks.example/s"}, snapshot=False)
    rig.channels.hedge_mode.send(True)
    return rig


def hold(rig: StatusRig, symbol: str, long: str, short: str) -> None:
    """Put a position into the book."""
    rows = tuple(
        LegPosition(leg, Decimal(amount), Decimal(100), NOON_MS - 60_000)
        for leg, amount in ((Leg.LONG, long), (Leg.SHORT, short))
    )
    at = rig.clock.now()
    snapshot = Snapshot(symbol, rows, Decimal(5), Decimal(100), NOON_MS, at, VerifiedBy.REST)
    rig.book.publish(0, BookEntry(snapshot, at))


def book(rig: StatusRig, symbol: str, long: str, short: str) -> None:
    """Put a ledger into Redis, and its sum into the gauge."""
    total = Decimal(long) + Decimal(short)
    fields: dict[str | bytes, str | bytes] = {
        "last_known_amt": str(total), "long_amt": long, "short_amt": short,
    }  # fmt: skip
    rig.redis.hset(rig.keys.ledger(symbol), fields)
    rig.monitor.registry.apply(SetGauge("p33_ledger_amt", float(total), (symbol,)))


def due(rig: StatusRig) -> Notice | None:
    (delivery,) = rig.monitor.notices.deliveries
    return delivery.outbox.next(rig.clock.now().monotonic_sec)


async def test_legs_that_differ_with_an_equal_sum_fire_until_the_ledger_is_corrected(rig: StatusRig) -> None:
    hold(rig, "BTCUSDT", "5", "-5")
    book(rig, "BTCUSDT", "3", "-3")
    await rig.monitor.notices.look()
    rig.clock.advance(6)
    await rig.monitor.notices.look()
    notice = due(rig)
    assert notice is not None and notice.firing.key == ("divergence", "BTCUSDT")
    assert notice.firing.text.startswith("BTCUSDT LONG: the exchange has 5, the ledger 3, for ")
    (shown,) = rig.monitor.status.status().ledgers.mismatches
    assert (shown.leg, shown.exchange, shown.ledger) == ("LONG", "5", "3")
    book(rig, "BTCUSDT", "5", "-5")
    await rig.monitor.notices.look()
    assert rig.monitor.status.status().ledgers.mismatches == []


async def test_all_symbols_are_read_by_turns_and_what_differs_at_each_look(rig: StatusRig) -> None:
    for number in range(120):
        hold(rig, f"S{number:03d}USDT", "1", "-1")
        book(rig, f"S{number:03d}USDT", "1", "-1")
    book(rig, "S000USDT", "2", "-2")
    for _ in range(4):
        await rig.monitor.notices.look()
    assert len(rig.monitor.status.status().ledgers.mismatches) == 1
    book(rig, "S000USDT", "1", "-1")
    book(rig, "S119USDT", "4", "-4")
    await rig.monitor.notices.look()
    assert rig.monitor.status.status().ledgers.mismatches == []
    await rig.monitor.notices.look()
    rig.clock.advance(6)
    assert [each.symbol for each in rig.monitor.status.status().ledgers.mismatches] == ["S119USDT"]


@pytest.mark.parametrize("fields", [{"last_known_amt": "0"}, {"last_known_amt": "0", "long_amt": "x"}, {}])
async def test_a_ledger_without_legs_that_can_be_read_is_compared_by_its_sum(
    rig: StatusRig, fields: dict[str | bytes, str | bytes]
) -> None:
    hold(rig, "BTCUSDT", "5", "-4")
    book(rig, "BTCUSDT", "3", "-2")
    rig.redis.delete(rig.keys.ledger("BTCUSDT"))
    rig.redis.hset(rig.keys.ledger("BTCUSDT"), {"other": "1", **fields, "short_amt": ""})
    await rig.monitor.notices.look()
    assert rig.monitor.status.status().ledgers.mismatches == []


async def test_a_redis_that_does_not_answer_leaves_what_was_read(rig: StatusRig) -> None:
    hold(rig, "BTCUSDT", "5", "-5")
    book(rig, "BTCUSDT", "3", "-3")
    await rig.monitor.notices.look()
    with rig.store.faults.outage():
        await rig.monitor.notices.look()
    assert len(rig.monitor.status.status().ledgers.mismatches) == 1


async def test_neither_one_way_mode_nor_a_standby_reads_a_ledger(rig: StatusRig) -> None:
    hold(rig, "BTCUSDT", "5", "-5")
    book(rig, "BTCUSDT", "3", "-3")
    rig.lease.send(Lease(None, "other:8045"))
    await rig.monitor.notices.look()
    assert rig.monitor.status.status().ledgers.mismatches == []
