"""Nothing is changed without a question, and what costs money asks for more than a yes."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import pytest

from commands import main
from commands.check.measure.order_plan import OrderPlan
from commands.check.measure.questions import costs_money, may_delete_key, may_order
from settings import Settings, load
from tests.commands.measure.rig import answering

PLAN = OrderPlan("BTCUSDT", Decimal("0.001"), Decimal("65.00"), hedge_mode=False)
PRODUCTION = {"BINANCE_TESTNET": "false"}
PROXY = {
    "BINANCE_TESTNET": "false",
    "BINANCE_REST_URL": "https://proxy.internal",
    "BINANCE_WS_URL": "wss://proxy.internal",
}
DEMO: Mapping[str, str] = {}


def settings_of(environ: Mapping[str, str]) -> Settings:
    return load(environ).settings


@pytest.mark.parametrize(("environ", "costs"), [(PRODUCTION, True), (PROXY, True), (DEMO, False)])
def test_an_unknown_address_is_taken_for_real_money(environ: Mapping[str, str], costs: bool) -> None:
    assert costs_money(settings_of(environ)) is costs


@pytest.mark.parametrize("environ", [PRODUCTION, PROXY])
@pytest.mark.parametrize(
    ("answer", "may"), [("BTCUSDT", True), ("y", False), ("yes", False), ("", False), ("btcusdt", False)]
)
def test_real_money_wants_the_symbol_typed(environ: Mapping[str, str], answer: str, may: bool) -> None:
    asked: list[str] = []
    assert may_order(answering(answer, asked), settings_of(environ), PLAN) is may
    assert "REAL MONEY" in asked[0]
    assert "BUY 0.001 BTCUSDT" in asked[0]


@pytest.mark.parametrize(("answer", "may"), [("y", True), ("YES", True), ("", False), ("BTCUSDT", False)])
def test_play_money_wants_a_yes(answer: str, may: bool) -> None:
    asked: list[str] = []
    assert may_order(answering(answer, asked), settings_of(DEMO), PLAN) is may
    assert "the demo exchange, https://demo-fapi.binance.com" in asked[0]


@pytest.mark.parametrize("by_option", [True, False])
def test_at_a_terminal_the_key_is_asked_about_whatever_the_option(by_option: bool) -> None:
    own = settings_of(PRODUCTION)
    assert may_delete_key(answering("y"), own, by_option=by_option)
    assert not may_delete_key(answering(""), own, by_option=by_option)
    assert may_delete_key(None, own, by_option=by_option) is by_option


@pytest.mark.parametrize("option", [["--order", "BTCUSDT"], ["--delete-key"]])
def test_the_options_belong_to_measure(option: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", *option]) == 2
    assert "belong to --measure" in capsys.readouterr().err
