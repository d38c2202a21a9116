"""Symbols that the exchange lists no more while their case is open, also in the middle of a look."""

from __future__ import annotations

import pytest
import trio

from tests.actors.dictated_history import HistoryRequest
from tests.actors.reconcile_rig import ReconcileRig, running_engine
from tests.virtual_time import virtual_time

pytestmark = virtual_time


def delist(rig: ReconcileRig, symbol: str) -> None:
    rules = dict(rig.symbol_rules.value or {})
    del rules[symbol]
    rig.symbol_rules.send(rules)


@pytest.mark.parametrize("ledger", ["0", None])
async def test_a_hold_stands_until_the_end_of_a_look_at_a_symbol_that_is_delisted_then(
    rig: ReconcileRig, ledger: str | None
) -> None:
    """Its position, or its ledger (None), is not known from then on."""
    seen: list[str] = []

    def on_request(_request: HistoryRequest) -> None:
        seen.append(rig.held_by("XRPUSDT"))
        if len(seen) == 2:
            delist(rig, "XRPUSDT")
            if ledger is None:
                rig.redis.delete(rig.keys.ledger("XRPUSDT"))
            else:
                rig.unproven.add("XRPUSDT")
                rig.book.lose_trust(rig.clock.now())

    rig.history.page, rig.history.latency_sec = 1, 0.7
    async with running_engine(rig):
        for number in range(30):
            rig.trade("XRPUSDT", "BUY", "1", client_order_id=f"web_{number}")
        rig.history.on_request = on_request
        await trio.sleep(60)
        assert len(seen) >= 2
        assert all(each.startswith("p34:") for each in seen)
        assert rig.held_by("XRPUSDT") == ""
        assert rig.told("XRPUSDT")[-2:] == ["HOLD_CLEARED", "DRIFT"]


async def test_a_look_at_a_symbol_that_is_delisted_ends_without_a_repair(rig: ReconcileRig) -> None:
    """Its position is known again just before the evidence is weighed."""

    def on_request(request: HistoryRequest) -> None:
        if request.method == "trades":
            delist(rig, "XRPUSDT")
            rig.unproven.add("XRPUSDT")
            rig.book.lose_trust(rig.clock.now())
        else:
            rig.unproven.clear()
            rig.prove("XRPUSDT")

    rig.own_order("p33-a")
    rig.history.latency_sec = 3.0
    async with running_engine(rig):
        rig.trade("XRPUSDT", "BUY", "1", client_order_id="p33-a")
        rig.history.on_request = on_request
        await trio.sleep(7)
        rig.history.on_request = lambda _request: rig.unproven.clear()
        rig.unproven.clear()
        await trio.sleep(60)
        assert (rig.amount("XRPUSDT"), rig.held_by("XRPUSDT")) == ("1", "")
