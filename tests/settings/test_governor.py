"""Settings of the Governor."""

from __future__ import annotations

from decimal import Decimal

import pytest

from settings import Settings, describe, load
from tests.settings.refusal import refusal

ON = {"P33_GOVERNOR": "on"}


def test_the_defaults_are_those_of_the_first_reports() -> None:
    own = load({}).settings
    assert (own.max_exec_per_hour, own.max_exec_per_5min, own.max_open_positions) == (3, 2, 10)
    assert (own.max_notional_per_trade, own.max_total_notional) == (Decimal(200), Decimal(2000))
    assert (own.z_entry_base, own.z_entry_heat, own.z_entry_drawdown) == (1.0, 0.5, 0.3)
    assert (own.z_exit_base, own.z_exit_heat, own.z_exit_drawdown) == (None, 0.0, 0.0)
    assert (own.kill_score_critical, own.kill_score_open_threshold) == (Decimal("0.8"), Decimal("0.6"))
    assert (own.max_daily_loss, own.max_drawdown) == (Decimal("0.025"), Decimal("0.08"))
    assert own.max_open_notional_per_day is None
    assert own.heat_source == "computed"


@pytest.mark.parametrize("mode", ["off", "shadow", "on"])
def test_the_governor_can_be_off_in_the_shadow_or_on(mode: str) -> None:
    assert load({"P33_GOVERNOR": mode}).settings.governor == mode


@pytest.mark.parametrize(("executor", "denies"), [("off", False), ("dry_run", True), ("on", True)])
def test_refusals_are_written_as_permits_where_our_own_executor_reads_them(
    executor: str, denies: bool
) -> None:
    assert load({"P33_EXECUTOR": executor}).settings.deny_permits is denies
    given = {"P33_EXECUTOR": executor, "GOV_DENY_PERMITS": str(not denies)}
    assert load(given).settings.deny_permits is not denies


def test_weights_of_the_cut_offs_are_signed_and_the_exits_base_can_be_off() -> None:
    given = {"GOV_Z_ENTRY_HEAT": "-0.5", "GOV_Z_ENTRY_DRAWDOWN": "-1", "GOV_Z_EXIT_BASE": "-0.25"}
    own = load(given | ON).settings
    assert (own.z_entry_heat, own.z_entry_drawdown, own.z_exit_base) == (-0.5, -1.0, -0.25)
    assert load({"GOV_Z_EXIT_BASE": "OFF"}).settings.z_exit_base is None


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("GOV_KILL_SCORE_CRITICAL", "1.1"),
        ("GOV_KILL_SCORE_CRITICAL", "-0.1"),
        ("GOV_Z_ALPHA", "0"),
        ("GOV_Z_ENTRY_BASE", "1e3"),
        ("GOV_Z_ENTRY_BASE", "off"),
        ("GOV_Z_EXIT_BASE", "nan"),
        ("GOV_MAX_HEAT", "0"),
        ("RISK_MAX_DAILY_LOSS_PCT", "2.5"),
        ("GOV_HEAT_SOURCE", "other"),
        ("GOV_PERMIT_TTL", "0.5"),
    ],
)
def test_a_value_outside_of_what_is_allowed_stops_the_start_of_a_governor_alone(
    variable: str, text: str
) -> None:
    assert refusal({variable: text, **ON}).startswith(f"{variable}={text!r} is not allowed: ")
    off = load({variable: text})
    (warning,) = off.warnings
    assert warning.endswith("ignored, because P33_GOVERNOR is off")
    assert off.settings == Settings()


def test_the_signing_key_is_a_secret() -> None:
    loaded = load({"GOV_PERMIT_SIGNING_KEY": "hush-hush"} | ON)
    assert loaded.settings.governor_signing_key is not None
    assert loaded.settings.governor_signing_key.reveal() == "hush-hush"
    assert not any("hush" in line for line in describe(loaded))


@pytest.mark.parametrize(
    ("environ", "begins"),
    [
        ({"GOV_KILL_SCORE_CLOSE_THRESHOLD": "0.65"}, "GOV_KILL_SCORE_CLOSE_THRESHOLD has no effect"),
        ({"GOV_MAX_EXEC_PER_5MIN": "4"}, "GOV_MAX_EXEC_PER_5MIN=4 is never reached"),
        ({"GOV_MAX_NOTIONAL_PER_TRADE_USDT": "2000.5"}, "GOV_MAX_NOTIONAL_PER_TRADE_USDT=2000.5 is never"),
        ({"GOV_MAX_OPEN_NOTIONAL_PER_DAY_USD": "199"}, "GOV_MAX_NOTIONAL_PER_TRADE_USDT=200 is never"),
        ({"GOV_KILL_SCORE_OPEN_THRESHOLD": "0.8"}, "GOV_KILL_SCORE_OPEN_THRESHOLD=0.8 is never passed"),
        ({"GOV_EQUITY_SEC": "60"}, "GOV_EQUITY_SEC=60.0 is not below GOV_EQUITY_MAX_AGE_SEC=60.0"),
        ({"GOV_SYMBOL_COOLDOWN_SECONDS": "3481"}, "GOV_SYMBOL_COOLDOWN_SECONDS=3481.0 with up to"),
        ({"GOV_Z_EXIT_HEAT": "0.1"}, "GOV_Z_EXIT_HEAT and GOV_Z_EXIT_DRAWDOWN have no effect"),
        ({"GOV_Z_ENTRY_BASE": "3.5"}, "GOV_Z_ENTRY_BASE=3.5 never stops an entry after a quiet history"),
    ],
)
def test_settings_that_leave_another_one_without_effect_are_a_warning(
    environ: dict[str, str], begins: str
) -> None:
    (warning,) = load(environ | ON).warnings
    assert warning.startswith(begins)
    assert load(environ).warnings == ()


def test_limits_that_are_switched_off_contradict_nothing() -> None:
    none = {
        "GOV_MAX_EXEC_PER_HOUR": "0",
        "GOV_MAX_TOTAL_NOTIONAL_USDT": "0",
        "GOV_MAX_OPEN_NOTIONAL_PER_DAY_USD": "0",
    }
    assert load(none | ON).warnings == ()
    assert load(ON).warnings == ()


@pytest.mark.parametrize(
    "name", ["GOV_TESTNET_FLATTEN", "GOV_ACTIVE_SLOTS_MAX", "APPLY_CONFIG_PATH", "GOV_TESTNET_P29"]
)
def test_variables_of_the_predecessor_that_nothing_reads_are_named_in_a_warning(name: str) -> None:
    expected = f"{name!r} is of the predecessor, has no counterpart here and is ignored"
    assert load({name: "1"} | ON).warnings == (expected,)


def test_a_mistyped_name_of_the_governor_gets_the_nearest_one() -> None:
    (warning,) = load({"GOV_MAX_OPEN_POSITION": "3"}).warnings
    assert warning.endswith("; did you mean GOV_MAX_OPEN_POSITIONS?")
