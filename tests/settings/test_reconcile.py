"""Settings of the reconcile engine."""

from __future__ import annotations

from decimal import Decimal

import pytest

from settings import Settings, describe, load
from tests.settings.refusal import refusal

ON = {"P33_RECONCILE": "on"}


def test_the_defaults_are_those_of_the_contract() -> None:
    own = load({}).settings
    assert (own.loop_cadence_sec, own.exchange_freshness_sec) == (1, 10)
    assert own.qty_drift_tolerance_pct == Decimal(1)
    assert (own.evidence_window_sec, own.hold_ttl_sec, own.settle_sec) == (300, 300, 2)
    assert own.adopt_causes == ("liquidation", "adl", "settlement")
    assert (own.clear_after_sec, own.hold_on_stale, own.reconcile_close) == (3, False, "off")
    assert (own.close_after_sec, own.close_stream, own.close_secret) == (60, None, None)
    assert (own.reconcile_allowlist, own.reconcile_weight_per_min) == ((), 60)


@pytest.mark.parametrize("mode", ["off", "shadow", "on"])
def test_the_reconcile_engine_can_be_off_in_the_shadow_or_on(mode: str) -> None:
    assert load({"P33_RECONCILE": mode}).settings.reconcile == mode


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("P34_LOOP_CADENCE_SEC", "0"),
        ("P34_SETTLE_SEC", "0.4"),
        ("P34_ADOPT_CAUSES", "liquidation,others"),
        ("P34_ADOPT_CAUSES", "own_orphan"),
        ("P34_CLOSE", "on"),
        ("P34_WEIGHT_PER_MIN", "29"),
        ("P34_CLOSE_STREAM", "a stream"),
    ],
)
def test_a_value_outside_of_what_is_allowed_stops_the_start_of_a_reconcile_engine_alone(
    variable: str, text: str
) -> None:
    assert refusal({variable: text, **ON}).startswith(f"{variable}={text!r} is not allowed: ")
    off = load({variable: text})
    (warning,) = off.warnings
    assert warning.endswith("ignored, because P33_RECONCILE is off")
    assert off.settings == Settings()


def test_the_life_of_holds_is_of_the_executor_too() -> None:
    short = {"P34_HOLD_TTL_SEC": "29"}
    for role in ("P33_RECONCILE", "P33_EXECUTOR"):
        assert refusal(short | {role: "on"}).endswith("seconds from 30 to 86400")
    assert load(short).settings.hold_ttl_sec == 300


def test_causes_are_named_in_any_case_and_can_be_none() -> None:
    assert load({"P34_ADOPT_CAUSES": "ADL, stop,adl"}).settings.adopt_causes == ("adl", "stop")
    assert load({"P34_ADOPT_CAUSES": "none"}).settings.adopt_causes == ()


def test_the_tolerance_follows_that_of_the_checks_and_must_not_exceed_it() -> None:
    assert load({"P33_QTY_TOLERANCE_PCT": "0.5"} | ON).settings.qty_drift_tolerance_pct == Decimal("0.5")
    assert load({"P33_QTY_TOLERANCE_PCT": "3"} | ON).settings.qty_drift_tolerance_pct == Decimal(1)
    wide = {"P34_QTY_DRIFT_TOLERANCE_PCT": "1.1"}
    assert refusal(wide | ON).startswith(
        "P34_QTY_DRIFT_TOLERANCE_PCT=1.1 (env) is not allowed: at most P33_QTY_TOLERANCE_PCT=1.0 (default)"
    )
    assert load(wide).warnings == ()
    assert load(wide | {"P33_QTY_TOLERANCE_PCT": "1.1"} | ON).warnings == ()


def test_closes_are_proposed_in_one_of_two_streams() -> None:
    own = {"P34_CLOSE_STREAM": "acc2:stream:reconcile.close", "P33_KEY_PREFIX": "acc2"}
    assert load(own | ON).settings.close_stream == "acc2:stream:reconcile.close"
    refused = refusal({"P34_CLOSE_STREAM": "acc2:stream:reconcile.close"} | ON)
    assert refused.endswith("quantum:stream:apply.plan or quantum:stream:reconcile.close")
    assert load({"P34_CLOSE_STREAM": "any"}).warnings == ()


@pytest.mark.parametrize("name", ["RECONCILE_HMAC_SECRET", "RECONCILE_CLOSE_SECRET"])
def test_the_secret_has_two_names_and_is_not_that_of_the_predecessors_source(name: str) -> None:
    loaded = load({name: "hush-hush"} | ON)
    secret = loaded.settings.close_secret
    assert secret is not None
    assert secret.reveal() == "hush-hush"
    assert not any("hush" in line for line in describe(loaded))
    refused = refusal({name: "quantum_reconcile_secret_change_in_prod"} | ON)
    assert refused.startswith(f"{name}=*** is not allowed: ")


def test_the_present_name_of_the_secret_comes_first() -> None:
    both = {"RECONCILE_HMAC_SECRET": "new", "RECONCILE_CLOSE_SECRET": "old"}
    loaded = load(both | ON)
    assert loaded.settings.close_secret == loaded.settings.reconcile_hmac_secret
    assert loaded.warnings == ("RECONCILE_CLOSE_SECRET is ignored: RECONCILE_HMAC_SECRET is set",)


@pytest.mark.parametrize(
    ("environ", "begins"),
    [
        ({"P34_GHOST_PURGE_INTERVAL_SEC": "600"}, "P34_GHOST_PURGE_INTERVAL_SEC has no effect"),
        ({"P34_EXCHANGE_FRESHNESS_SEC": "5"}, "P33_POLL_SEC=5.0 is not below P34_EXCHANGE_FRESHNESS_SEC=5.0"),
        ({"P34_ADOPT_CAUSES": "adl,manual"}, "P34_ADOPT_CAUSES has manual"),
        ({"P34_CLOSE": "excess"}, "P34_CLOSE=excess without RECONCILE_HMAC_SECRET"),
        ({"P34_CLOSE": "excess", "P33_RECONCILE": "shadow"}, "P34_CLOSE=excess has no effect"),
    ],
)
def test_settings_without_effect_and_risky_ones_are_a_warning(environ: dict[str, str], begins: str) -> None:
    (warning,) = load(ON | environ).warnings
    assert warning.startswith(begins)
    assert load(environ | {"P33_RECONCILE": "off"}).warnings == ()


def test_a_mistyped_name_of_the_reconcile_engine_gets_the_nearest_one() -> None:
    (warning,) = load({"P34_SETLE_SEC": "2"} | ON).warnings
    assert warning.endswith("did you mean P34_SETTLE_SEC?")
