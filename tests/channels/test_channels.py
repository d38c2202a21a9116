"""Messages that wait for a busy shard: the newest of each key."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from brain.moment import Moment
from brain.positions.position import Leg, LegPosition
from channels import LeverageObserved, PositionObserved, ShardMessage
from channels.channels import Channels

NOW = Moment(5.0, 1_700_000_000_000)


async def taken(*messages: ShardMessage) -> list[ShardMessage]:
    """Return the messages that a shard finds which was busy while all of these were sent."""
    inbox = Channels(1).shards[0]
    for message in messages:
        inbox.send(message)
    return await inbox.receive_all()


def pushed(amount: str, changed_ms: int, *, symbol: str = "BTCUSDT", leg: Leg = Leg.BOTH) -> PositionObserved:
    return PositionObserved(symbol, LegPosition(leg, Decimal(amount), Decimal(1), changed_ms), NOW)


async def test_the_newest_position_of_each_leg_waits_in_whatever_order_they_came() -> None:
    newest, other, long = pushed("2", 20), pushed("3", 5, symbol="ETHUSDT"), pushed("4", 1, leg=Leg.LONG)
    found = await taken(pushed("1", 10), newest, other, long)
    assert sorted(map(repr, found)) == sorted(map(repr, (newest, other, long)))
    assert await taken(newest, pushed("2", 10)) == [newest]


async def test_a_position_dated_before_the_one_that_waits_is_kept_beside_it() -> None:
    """The clock was set back, or the waiting one is dated ahead: the order of arrival counts, too."""
    ahead, now = pushed("0", 9_000_000), pushed("1", 10)
    kept = msgspec.structs.replace(ahead, out_of_order=now)
    assert await taken(ahead, now) == [kept]
    latest = pushed("2", 9_000_001)
    assert await taken(ahead, now, latest) == [msgspec.structs.replace(latest, out_of_order=now)]


async def test_the_last_leverage_of_each_symbol_waits() -> None:
    first, second = (LeverageObserved("BTCUSDT", Decimal(leverage), NOW) for leverage in (5, 9))
    other = LeverageObserved("ETHUSDT", Decimal(3), NOW)
    assert await taken(first, other, second) == [other, second]
