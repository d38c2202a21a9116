"""Settings of the intent bridge."""

from __future__ import annotations

from decimal import Decimal

import pytest

from brain.intents.intent import Lane
from settings import load
from tests.settings.refusal import refusal
from wiring.rules import bridge_actor_rules

ON = {"P33_INTENT_BRIDGE": "on"}


def test_the_defaults_are_those_of_the_contract() -> None:
    own = bridge_actor_rules(load(ON).settings)
    assert own.lanes == (Lane.TRADE,)
    assert (own.rules.max_age_sec, own.rules.exit_max_age_sec, own.rules.min_hold_sec) == (30, 60, 900)
    assert (own.rules.max_notional, own.rules.taker_fee_rate) == (Decimal(3000), Decimal("0.0004"))
    assert (own.rules.skip_flat_sell, own.rules.max_exposure_pct) == (False, None)
    assert (own.mark_ttl_sec, own.shadow, own.mode) == (86_400, False, "on")


def test_lanes_are_named_by_their_streams() -> None:
    lanes = {"INTENT_BRIDGE_EXIT_LANES": "harvest.intent,exit.intent"}
    assert bridge_actor_rules(load({**ON, **lanes}).settings).lanes == (Lane.TRADE, Lane.HARVEST, Lane.EXIT)
    assert refusal({**ON, "INTENT_BRIDGE_EXIT_LANES": "exits"}).startswith("INTENT_BRIDGE_EXIT_LANES='exits'")


@pytest.mark.parametrize(
    "variable", ["INTENT_BRIDGE_MAX_AGE_SEC", "MIN_HOLD_SECONDS", "QT_MAX_NOTIONAL_USD", "MAX_EXPOSURE_PCT"]
)
def test_a_bad_value_stops_the_start_only_where_the_bridge_is_on(variable: str) -> None:
    assert refusal({**ON, variable: "many"}).startswith(f"{variable}='many' is not allowed")
    (line,) = load({variable: "many"}).warnings
    assert line.endswith("ignored, because P33_INTENT_BRIDGE is off")


def test_a_mistyped_name_is_a_warning() -> None:
    (line,) = load({"INTENT_BRIDGE_MAXAGE_SEC": "5"}).warnings
    assert "INTENT_BRIDGE_MAX_AGE_SEC" in line


def test_an_intent_may_not_be_older_than_a_plan_stays_decided() -> None:
    shorter = {"INTENT_BRIDGE_MAX_AGE_SEC": "300", "P33_DECISION_TTL_SEC": "200"}
    assert refusal({**ON, **shorter}).startswith("INTENT_BRIDGE_MAX_AGE_SEC=300.0 (env) is not allowed: less")
    assert load(shorter).warnings == ()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"MIN_HOLD_SECONDS": "0"}, "entered again right after its close"),
        ({"QT_MAX_NOTIONAL_USD": "0"}, "no quantity of an intent is cut"),
        (
            {"INTENT_BRIDGE_EXIT_LANES": "exit.intent", "P33_DECISION_TTL_SEC": "59", "P33_PERMIT_TTL": "50"},
            "is not above 60 s",
        ),
    ],
)
def test_risky_combinations_are_warnings(settings: dict[str, str], words: str) -> None:
    assert [line for line in load({**ON, **settings}).warnings if words in line]
    assert not [line for line in load(settings).warnings if words in line]
