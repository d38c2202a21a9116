"""What waits for a busy shard: the newest of each thing, and nothing instead of another."""

from __future__ import annotations

from decimal import Decimal

from brain.moment import Moment
from brain.position import Leg, LegPosition
from channels import LeverageObserved, MarkPrice, MarkPrices, PositionObserved, ShardMessage
from channels.flows import Flows

NOW = Moment(5.0, 1_700_000_000_000)


async def taken(*messages: ShardMessage) -> list[ShardMessage]:
    """What a shard finds that was busy while all of these were sent."""
    inbox = Flows(1).shards[0]
    for message in messages:
        inbox.send(message)
    return await inbox.receive_all()


def pushed(amount: str, changed_ms: int, *, symbol: str = "BTCUSDT", leg: Leg = Leg.BOTH) -> PositionObserved:
    return PositionObserved(symbol, LegPosition(leg, Decimal(amount), Decimal(1), changed_ms), NOW)


async def test_the_newest_position_of_each_leg_waits_in_whatever_order_they_came() -> None:
    newest, other, long = pushed("2", 20), pushed("3", 5, symbol="ETHUSDT"), pushed("4", 1, leg=Leg.LONG)
    found = await taken(newest, other, long, pushed("1", 10))
    assert sorted(map(repr, found)) == sorted(map(repr, (newest, other, long)))


async def test_the_last_leverage_of_each_symbol_waits() -> None:
    first, second = (LeverageObserved("BTCUSDT", Decimal(leverage), NOW) for leverage in (5, 9))
    other = LeverageObserved("ETHUSDT", Decimal(3), NOW)
    assert await taken(first, other, second) == [other, second]


async def test_mark_prices_of_one_round_in_several_frames_all_wait() -> None:
    def frame(**prices: int) -> MarkPrices:
        return MarkPrices({symbol: MarkPrice(Decimal(price), 1) for symbol, price in prices.items()})

    found = await taken(frame(BTCUSDT=1, ETHUSDT=1), frame(XAUUSDT=7), frame(BTCUSDT=2))
    assert found == [frame(BTCUSDT=2, ETHUSDT=1, XAUUSDT=7)]
