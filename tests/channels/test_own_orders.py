"""Orders of the executor that wait for it: the furthest state of each is kept."""

from __future__ import annotations

from decimal import Decimal
from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from brain.execution.orders import OrderState, OrderStatus
from brain.identifiers import ClientOrderId, OrderId, Symbol
from brain.moment import Moment
from brain.positions.position import Leg
from channels import Channels, OwnOrderObserved
from channels.channels import own_order_channel


def observed(status: str, cumulative: str, *, name: str = "p33-1", at_ms: int = 1) -> OwnOrderObserved:
    order = OrderState(
        symbol=Symbol("BTCUSDT"),
        leg=Leg.BOTH,
        side="BUY",
        order_id=OrderId("1"),
        client_order_id=ClientOrderId(name),
        status=OrderStatus(status),
        cumulative=Decimal(cumulative),
        average_price=None,
        update_ms=at_ms,
    )
    return OwnOrderObserved(order, Moment(5.0, 1_700_000_000_000))


async def kept(*messages: OwnOrderObserved) -> list[OwnOrderObserved]:
    channel = own_order_channel()
    for message in messages:
        channel.send(message)
    return await channel.receive_all()


async def test_the_end_of_an_order_is_kept_in_whatever_order_its_states_arrive() -> None:
    states = (
        observed("NEW", "0"),
        observed("PARTIALLY_FILLED", "1"),
        observed("PARTIALLY_FILLED", "2"),
        observed("EXPIRED", "2"),
    )
    for arriving in permutations(states):
        assert await kept(*arriving) == [states[-1]]
    for arriving in permutations(states[:-1]):
        assert await kept(*arriving) == [states[2]]


async def test_of_two_states_as_far_the_later_one_is_kept() -> None:
    first, second = observed("FILLED", "2", at_ms=1), observed("FILLED", "2", at_ms=2)
    assert await kept(first, second) == [second]


async def test_each_order_is_kept_for_itself() -> None:
    other = observed("NEW", "0", name="p33-2")
    assert await kept(other, observed("FILLED", "1")) == [other, observed("FILLED", "1")]


STATES = st.tuples(st.sampled_from(OrderStatus), st.integers(0, 3), st.sampled_from(["p33-1", "p33-2"]))


@given(st.lists(STATES, min_size=1, max_size=20))
async def test_no_final_state_and_no_fill_is_ever_lost(states: list[tuple[OrderStatus, int, str]]) -> None:
    messages = [observed(status, str(filled), name=name) for status, filled, name in states]
    waiting = {message.order.client_order_id: message.order for message in await kept(*messages)}
    for name in ("p33-1", "p33-2"):
        own = [(status.is_final, Decimal(filled)) for status, filled, named in states if named == name]
        assert (name in waiting) == bool(own)
        if own:
            left = waiting[ClientOrderId(name)]
            assert (left.status.is_final, left.cumulative) == max(own)


def test_without_an_executor_its_channels_do_not_exist() -> None:
    assert Channels(1).own_orders is None
    assert Channels(1).open_executions is None
    names = {channel.name for channel in Channels(1, executor=True).all()}
    assert names - {channel.name for channel in Channels(1).all()} == {"own_orders", "open_executions"}
