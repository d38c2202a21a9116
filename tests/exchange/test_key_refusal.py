from __future__ import annotations

import pytest
import trio
import trio.testing

from exchange.account import KeyPermissions
from exchange.errors import ExchangeRejected, ExchangeUnavailable
from exchange.key_refusal import KeyInquiry, key_refusal
from simulator import RunningSimulator
from tests.exchange.parts import HandClock, Parts


@pytest.mark.parametrize(
    ("permissions", "cause"),
    [
        (None, "or belongs to a portfolio margin account, which is not supported"),
        (KeyPermissions(enable_portfolio_margin_trading=True), ": it belongs to a portfolio margin account"),
        (KeyPermissions(enable_reading=False), ": it may not read"),
        (KeyPermissions(enable_reading=True), "for futures, and the wallet accepts it"),
    ],
)
def test_the_cause_of_a_refused_key_is_what_the_wallet_says(
    permissions: KeyPermissions | None, cause: str
) -> None:
    refusal = key_refusal(permissions)
    assert refusal.cause.startswith("the API key is refused (-2015)")
    assert cause in refusal.cause
    assert refusal.fix


async def test_the_wallet_is_asked_once_in_ten_minutes() -> None:
    clock, asked = HandClock(), 0

    async def wallet() -> KeyPermissions:
        nonlocal asked
        asked += 1
        return KeyPermissions(enable_portfolio_margin_trading=True)

    inquiry = KeyInquiry(wallet, clock)
    assert inquiry.refusal == key_refusal(None)
    for _ in range(5):
        await inquiry.ask_if_due()
        clock.turn(119.0)
        assert inquiry.refusal == key_refusal(KeyPermissions(enable_portfolio_margin_trading=True))
    assert asked == 1
    clock.turn(6.0)
    await inquiry.ask_if_due()
    assert asked == 2


@pytest.mark.parametrize("fails", ["error", "silence"])
async def test_a_wallet_that_does_not_answer_leaves_all_causes_open(
    autojump_clock: trio.testing.MockClock, fails: str
) -> None:
    async def wallet() -> KeyPermissions:
        if fails == "silence":
            await trio.sleep_forever()
        raise ExchangeUnavailable("no connection")

    inquiry = KeyInquiry(wallet, HandClock())
    begun_sec = trio.current_time()
    await inquiry.ask_if_due()
    assert trio.current_time() - begun_sec <= 3.0
    assert inquiry.refusal == key_refusal(None)


async def test_a_portfolio_margin_account_is_named_until_a_signed_request_is_answered(
    simulator: RunningSimulator,
) -> None:
    parts = Parts(simulator, ask_wallet=lambda: wallet.rest.key_permissions())
    wallet = Parts(simulator)
    async with parts.rest as rest, wallet.rest:
        assert rest.trouble() is None
        simulator.exchange.key_rights.enable_portfolio_margin_trading = True
        with pytest.raises(ExchangeRejected):
            await rest.positions()
        assert rest.trouble() == key_refusal(KeyPermissions(enable_portfolio_margin_trading=True)).cause
        await rest.symbol_rules()
        assert rest.trouble() is not None
        simulator.exchange.key_rights.enable_portfolio_margin_trading = False
        await rest.positions()
        assert rest.trouble() is None
