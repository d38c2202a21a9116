"""Equity of the account: read, followed between reads, kept, and what opens rest on."""

from __future__ import annotations

from decimal import Decimal

import trio

from channels import BalanceChange, BalancesObserved
from exchange.account import AccountTotals
from exchange.errors import ExchangeUnavailable, RateLimited
from tests.actors.governor_rig import GovernorRig, actor_rules, running_governor
from tests.virtual_time import virtual_time

pytestmark = virtual_time


def observe(rig: GovernorRig, reason: str, wallet: str, change: str = "0") -> None:
    assert rig.balances is not None
    changes = (BalanceChange("USDT", Decimal(wallet), Decimal(change)),)
    rig.balances.send(BalancesObserved(reason, changes, rig.clock.now()))


def equity(rig: GovernorRig) -> Decimal:
    assert rig.governor is not None and rig.governor.value is not None
    view = rig.governor.value.equity
    assert view is not None
    return view.equity


def stored(rig: GovernorRig) -> dict[str, str]:
    fields = rig.redis.hgetall(rig.own.equity)
    return {name.decode(): value.decode() for name, value in fields.items()}


async def test_equity_is_read_every_ten_seconds_and_kept_with_its_peak_and_the_days_first(
    rig: GovernorRig,
) -> None:
    async with running_governor(rig):
        await trio.sleep(25)
        assert rig.account.reads == 3
        rig.account.set("11000")
        await trio.sleep(10)
        rig.account.set("10500")
        await trio.sleep(10)
    kept = stored(rig)
    assert (kept["equity"], kept["peak"], kept["day_open"]) == ("10500", "11000", "10000")
    assert kept["day"] == rig.date


async def test_a_deposit_is_neither_gain_nor_the_begin_of_a_loss(rig: GovernorRig) -> None:
    async with running_governor(rig):
        await trio.sleep(1)
        observe(rig, "DEPOSIT", "15000", "5000")
        await trio.sleep(1.5)
        assert equity(rig) == 15_000
        rig.account.set("15000")
        await trio.sleep(10)
        kept = stored(rig)
        assert (kept["peak"], kept["day_open"]) == ("15000", "15000")
        observe(rig, "WITHDRAW", "10000", "-5000")
        rig.account.set("10000")
        await trio.sleep(10)
        rig.publish("one")
        await trio.sleep(0.1)
        assert rig.reason("one") == "governor_granted"


async def test_profit_by_mark_prices_and_wallet_counts_between_reads(rig: GovernorRig) -> None:
    rig.position("BTCUSDT", "2")
    async with running_governor(rig):
        await trio.sleep(1)
        rig.price = Decimal(90)
        await trio.sleep(2)
        assert equity(rig) == 10_000 - 20
        observe(rig, "ORDER", "9979")
        await trio.sleep(1.5)
        assert equity(rig) == 10_000 - 20 - 21


async def test_a_days_loss_stops_opens_disarms_and_lets_closes_go_on(rig: GovernorRig) -> None:
    rig.position("BTCUSDT", "2")
    async with running_governor(rig):
        await trio.sleep(1)
        rig.account.set("9700")
        await trio.sleep(11)
        rig.publish("open", "ETHUSDT")
        await trio.sleep(0.1)
        assert rig.reason("open") == "risk_guard_daily_loss"
        assert rig.text("quantum:governor:trading_state") == "REDUCING"
        rig.publish_close("bye")
        await trio.sleep(0.1)
        assert rig.reason("bye") == "governor_granted_close"
    (event,) = rig.entries(rig.own.events)
    assert event["reason"] == "daily_loss"


async def test_a_profitable_close_is_no_loss_while_its_profit_moves_to_the_wallet(rig: GovernorRig) -> None:
    rig.account.totals = AccountTotals(Decimal(1000), Decimal(30), {"USDT": Decimal(970)})
    rig.price = Decimal(130)
    rig.position("BTCUSDT", "1")
    async with running_governor(rig):
        await trio.sleep(1)
        assert equity(rig) == 1000
        rig.position("BTCUSDT", "0")
        observe(rig, "ORDER", "1000")
        await trio.sleep(0.05)
        rig.publish("next", "ETHUSDT")
        await trio.sleep(0.5)
        assert rig.reason("next") == "governor_granted"
        await trio.sleep(1)
        assert equity(rig) == 1000
    assert rig.text("quantum:governor:trading_state") is None


async def test_a_loss_disarms_when_a_read_has_shown_it(rig: GovernorRig) -> None:
    async with running_governor(rig):
        observe(rig, "ORDER", "9700")
        await trio.sleep(1)
        rig.publish("open")
        await trio.sleep(0.1)
        assert rig.reason("open") == "risk_guard_daily_loss"
        assert rig.text("quantum:governor:trading_state") is None
        rig.account.set("9700")
        await trio.sleep(10)
        rig.publish("again")
        await trio.sleep(0.1)
        assert rig.text("quantum:governor:trading_state") == "REDUCING"


async def test_a_withdrawal_while_no_governor_ran_stops_opens_and_disarms_nothing(
    rig: GovernorRig,
) -> None:
    async with running_governor(rig):
        await trio.sleep(1)
    rig.account.set("9000")
    async with running_governor(rig, rig.make()):
        rig.publish("open")
        await trio.sleep(0.1)
        assert rig.reason("open") == "risk_guard_daily_loss"
        assert rig.text("quantum:governor:trading_state") is None
        # Lost since.
        rig.account.set("8700")
        await trio.sleep(11)
        rig.publish("again")
        await trio.sleep(0.1)
        assert rig.text("quantum:governor:trading_state") == "REDUCING"


async def test_a_transfer_is_stored_even_while_the_exchange_does_not_answer(rig: GovernorRig) -> None:
    async with running_governor(rig):
        rig.account.error = RateLimited(rig.clock.now().earlier_by(-600), "429")
        await trio.sleep(11)
        observe(rig, "WITHDRAW", "9000", "-1000")
        await trio.sleep(0.5)
        assert stored(rig)["peak"] == "9000"
        # The ban is waited for.
        assert rig.account.reads == 2


async def test_a_read_that_a_transfer_has_overtaken_is_repeated_within_a_second(rig: GovernorRig) -> None:
    async with running_governor(rig):
        await trio.sleep(9.4)
        assert rig.account.reads == 1
        # Its event counts while the second read is under way.
        await trio.sleep(10 - trio.current_time() - 0.185)
        observe(rig, "DEPOSIT", "15000", "5000")
        rig.account.set("15000")
        await trio.sleep(1.5)
        assert rig.account.reads >= 3
        assert equity(rig) == 15_000
        assert stored(rig)["equity"] == "15000"


async def test_an_equity_that_grows_old_opens_nothing_until_it_is_read_again(rig: GovernorRig) -> None:
    async with running_governor(rig):
        await trio.sleep(1)
        rig.account.error = ExchangeUnavailable("no answer")
        await trio.sleep(75)
        rig.publish("old")
        await trio.sleep(0.1)
        assert rig.reason("old") == "no_portfolio_state"
        rig.account.error = None
        await trio.sleep(2)
        rig.publish("new")
        await trio.sleep(0.1)
        assert rig.reason("new") == "governor_granted"


async def test_nothing_is_read_before_it_is_known_whether_the_exchange_has_banned_this_address(
    rig: GovernorRig,
) -> None:
    rig.ban_recalled.withdraw()
    rig.position("BTCUSDT", "2")
    async with running_governor(rig):
        rig.publish_close("bye")
        await trio.sleep(5)
        assert rig.account.reads == 0
        assert rig.reason("bye") == "governor_granted_close"
        rig.ban_recalled.send(True)
        await trio.sleep(1)
        assert rig.account.reads == 1


async def test_a_ban_is_waited_for(rig: GovernorRig) -> None:
    async with running_governor(rig):
        reads = rig.account.reads
        rig.account.error = RateLimited(rig.clock.now().earlier_by(-60), "429")
        await trio.sleep(30)
        assert rig.account.reads == reads + 1
        rig.account.error = None
        await trio.sleep(50)
        assert rig.account.reads > reads + 1


async def test_the_peak_survives_the_process(rig: GovernorRig) -> None:
    async with running_governor(rig):
        await trio.sleep(1)
    rig.account.set("9500")
    async with running_governor(rig, rig.make()):
        await trio.sleep(1)
        kept = stored(rig)
        assert (kept["equity"], kept["peak"], kept["day_open"]) == ("9500", "10000", "10000")


async def test_the_externally_computed_heat_counts_where_it_is_the_source() -> None:
    rig = GovernorRig(actor_rules({"GOV_HEAT_SOURCE": "capital:heat"}))
    rig.redis.set("quantum:capital:heat", "1.0")
    async with running_governor(rig):
        await trio.sleep(2)
        assert rig.governor is not None and rig.governor.value is not None
        assert rig.governor.value.z_entry == 1.0 + 0.5 * 0.5 - 0.3


async def test_the_shadow_goes_on_as_if_its_own_disarm_counted() -> None:
    rig = GovernorRig(actor_rules({"P33_GOVERNOR": "shadow"}))
    rig.position("BTCUSDT", "2")
    async with running_governor(rig):
        rig.account.set("9700")
        await trio.sleep(11)
        rig.publish("open", "ETHUSDT")
        await trio.sleep(0.1)
        rig.account.set("10000")
        await trio.sleep(11)
        rig.publish("again", "ETHUSDT")
        rig.publish_close("bye")
        await trio.sleep(0.1)
    reasons = {row["plan_id"]: row["reason"] for row in rig.entries(rig.own.audit)}
    assert reasons == {
        "open": "risk_guard_daily_loss",
        "again": "kill_switch_active",
        "bye": "governor_granted_close",
    }
    assert rig.text("quantum:governor:trading_state") is None
