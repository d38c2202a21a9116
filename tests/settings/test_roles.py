"""Switches of roles, and the settings of the universe publisher and the executor."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from settings import Settings, SettingsError, load
from settings.rules import hold_rules
from settings.variables import FIELD_OF
from tests.settings.refusal import refusal
from wiring.rules import executor_rules

ROLES = (
    "P33_GOVERNOR", "P33_RECONCILE", "P33_EXECUTOR", "P33_UNIVERSE", "P33_INTENT_BRIDGE",
    "P33_DECISION_INTELLIGENCE",
)  # fmt: skip


def test_every_role_is_off_unless_it_is_switched_on() -> None:
    settings = load({}).settings
    for switch_name in ROLES:
        assert getattr(settings, FIELD_OF[switch_name]) == "off"
    assert settings.executing == "off"


@pytest.mark.parametrize("text", ["off", "shadow", "on", "OFF", "Shadow"])
def test_the_universe_can_be_published_in_the_shadow_and_for_all(text: str) -> None:
    assert load({"P33_UNIVERSE": text}).settings.universe == text.lower()


@pytest.mark.parametrize("text", ["off", "dry_run", "on", "OFF", "Dry_Run"])
def test_the_executor_can_send_orders_or_only_say_which_it_would_send(text: str) -> None:
    assert load({"P33_EXECUTOR": text}).settings.executor == text.lower()


@pytest.mark.parametrize("text", ["shadow", "true"])
def test_the_executor_has_no_shadow(text: str) -> None:
    assert refusal({"P33_EXECUTOR": text}) == f"P33_EXECUTOR='{text}' is not allowed: off, dry_run or on"


@pytest.mark.parametrize(
    "variable", ["GOVERNOR_BYPASS", "APPLY_DEDUPE_BYPASS", "INTENT_EXECUTOR_UPDATE_LEDGER_AFTER_EXEC"]
)
def test_a_bypass_of_the_predecessor_stops_the_start_and_says_why(variable: str) -> None:
    assert load({variable: "false"}).warnings == ()
    assert refusal({variable: "true"}).startswith(f"{variable}=true is not allowed: false, because ")
    assert refusal({variable: "1"}).startswith(f"{variable}=1 is not allowed: false, because ")
    assert refusal({variable: "perhaps"}).startswith(f"{variable}='perhaps' is not allowed: false, because ")


def test_a_dry_run_of_the_apply_layer_lowers_the_executor_and_nothing_else_does() -> None:
    assert Settings(executor="on").executing == "on"
    assert Settings(executor="on", apply_mode="testnet").executing == "on"
    assert Settings(executor="on", apply_mode="dry_run").executing == "dry_run"
    assert Settings(executor="dry_run", apply_mode="testnet").executing == "dry_run"
    assert Settings(executor="off", apply_mode="dry_run").executing == "off"


def real(**changes: Any) -> Settings:
    """Settings for the real exchange, with changes that `load` refuses while a role is not there."""
    return replace(load({"BINANCE_TESTNET": "false"}).settings, **changes)


def test_orders_on_the_real_exchange_need_the_word_for_it() -> None:
    origins = dict.fromkeys(FIELD_OF, "default")
    with pytest.raises(SettingsError) as refused:
        hold_rules(real(executor="on"), origins)
    assert str(refused.value) == (
        "EXEC_REAL_MONEY=no (default) is not allowed: yes, because P33_EXECUTOR=on sends orders to the real "
        "exchange (BINANCE_TESTNET=false)"
    )
    hold_rules(real(executor="on", real_money="yes"), origins)
    hold_rules(real(executor="on", apply_mode="dry_run"), origins)
    hold_rules(real(executor="dry_run"), origins)
    hold_rules(Settings(executor="on"), origins)


def test_an_order_that_is_not_found_must_be_waited_for_longer_than_the_exchange_itself_does() -> None:
    assert refusal({"EXEC_UNKNOWN_SETTLE_SEC": "10", "P33_EXECUTOR": "on"}).endswith(
        "seconds above 10, up to 3600"
    )
    assert load({"EXEC_UNKNOWN_SETTLE_SEC": "10.1"}).settings.unknown_settle_sec == 10.1


def test_holds_of_undecided_orders_live_as_long_as_those_of_the_reconcile_engine() -> None:
    assert executor_rules(load({}).settings).hold_ttl_sec == 300
    assert executor_rules(load({"P34_HOLD_TTL_SEC": "60"}).settings).hold_ttl_sec == 60
    assert refusal({"P34_HOLD_TTL_SEC": "1", "P33_EXECUTOR": "dry_run"}).endswith("seconds from 30 to 86400")


def test_the_universes_mode_follows_the_exchange_and_may_not_contradict_it() -> None:
    assert load({}).settings.universe_mode == "testnet"
    assert load({"BINANCE_TESTNET": "false"}).settings.universe_mode == "mainnet"
    assert load({"UNIVERSE_MODE": "mainnet"}).warnings == ()
    assert refusal({"UNIVERSE_MODE": "mainnet", "P33_UNIVERSE": "shadow"}) == (
        "UNIVERSE_MODE=mainnet (env) is not allowed: testnet, because BINANCE_TESTNET=true"
    )


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        (
            {"UNIVERSE_REFRESH_SEC": "450", "P33_UNIVERSE_MAX_AGE_S": "900"},
            "UNIVERSE_REFRESH_SEC=450.0 (env) is not allowed: less than half of UNIVERSE_ACTIVE_TTL_SEC=900 "
            "(default), because the active list must outlive a refresh that fails",
        ),
        (
            {"UNIVERSE_ACTIVE_TTL_SEC": "120"},
            "UNIVERSE_ACTIVE_TTL_SEC=120 (env) is not allowed: more than twice UNIVERSE_REFRESH_SEC=60.0 "
            "(default), because the active list must outlive a refresh that fails",
        ),
    ],
)
@pytest.mark.parametrize("mode", ["shadow", "on"])
def test_the_active_list_outlives_two_refreshes(environ: dict[str, str], expected: str, mode: str) -> None:
    assert refusal(environ | {"P33_UNIVERSE": mode}) == expected
    assert load(environ).warnings == ()


def test_a_refresh_that_is_no_shorter_than_the_age_that_the_guard_allows_is_a_warning() -> None:
    environ = {"UNIVERSE_REFRESH_SEC": "300", "P33_UNIVERSE": "on"}
    assert load(environ).warnings == (
        "UNIVERSE_REFRESH_SEC=300.0 is not below P33_UNIVERSE_MAX_AGE_S=300.0: "
        "the universe will be stale between two refreshes",
    )
    assert load(environ | {"UNIVERSE_REFRESH_SEC": "299"}).warnings == ()


def test_opening_orders_are_limited_on_the_testnet_and_elsewhere_only_on_request() -> None:
    assert load({}).settings.max_notional_usdt == Decimal(500)
    assert load({"BINANCE_TESTNET": "false"}).settings.max_notional_usdt is None
    given = {"BINANCE_TESTNET": "false", "EXEC_MAX_NOTIONAL_USDT": "1000.5"}
    assert load(given).settings.max_notional_usdt == Decimal("1000.5")


def test_lists_of_names_quotes_and_permits_are_read_in_their_order() -> None:
    settings = load(
        {
            "INTENT_EXECUTOR_SOURCE_ALLOWLIST": "a, b,,a",
            "UNIVERSE_QUOTES": "usdc,USDT",
            "EXEC_EXTRA_PERMITS": "P26=quantum:permit:p26:{plan_id}",
        }
    ).settings
    assert settings.source_allowlist == ("a", "b")
    assert settings.universe_quotes == ("USDC", "USDT")
    assert settings.extra_permits == ("P26=quantum:permit:p26:{plan_id}",)


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("UNIVERSE_QUOTES", "EUR"),
        ("UNIVERSE_QUOTES", ","),
        ("UNIVERSE_REFRESH_SEC", "9"),
        ("UNIVERSE_MAX", "2001"),
        ("INTENT_EXECUTOR_SOURCE_ALLOWLIST", "a b"),
        ("EXEC_EXTRA_PERMITS", "P26"),
        ("EXEC_EXTRA_PERMITS", "P26=k:{plan_id},P26=l:{plan_id}"),
        ("EXEC_EXTRA_PERMITS", "P26=k:*:{plan_id}"),
    ],
)
def test_a_value_outside_of_what_is_allowed_stops_the_start(variable: str, text: str) -> None:
    switches = {"P33_UNIVERSE": "on", "P33_EXECUTOR": "dry_run"}
    refused = f"{variable}={text!r} is not allowed: "
    assert refusal({variable: text, **switches}).startswith(refused)
    off = load({variable: text})
    (warning,) = off.warnings
    assert warning.startswith(refused)
    assert warning.endswith(" is off")
    assert off.settings == Settings()
    assert off.origins[variable] == "default"


def test_the_predecessors_mode_of_the_executor_is_no_reason_to_refuse_the_start_without_that_role() -> None:
    (warning,) = load({"APPLY_MODE": "live"}).warnings
    assert warning.endswith("ignored, because P33_EXECUTOR is off")
    refused = "APPLY_MODE='live' is not allowed"
    assert refusal({"APPLY_MODE": "live", "P33_EXECUTOR": "dry_run"}).startswith(refused)


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("UNIVERSE_MAXX", "UNIVERSE_MAX"),
        ("EXEC_REAL_MONY", "EXEC_REAL_MONEY"),
        ("APPLY_PERMIT_WAIT", "APPLY_PERMIT_WAIT_MS"),
        ("GOV_ANY", None),
        ("P34_ANY", None),
        ("INTENT_BRIDGE_ANY", None),
        ("P35_ANY", None),
        ("P35_REFRESH", "P35_REFRESH_SEC"),
        ("RISK_ANY", None),
    ],
)
def test_an_unknown_name_with_a_roles_prefix_is_a_warning(name: str, near: str | None) -> None:
    hint = f"; did you mean {near}?" if near else ""
    assert load({name: "1"}).warnings == (f"{name!r} is not a setting and is ignored{hint}",)
