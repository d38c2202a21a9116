"""Rules of the reconcile engine out of settings."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from brain.reconciliation.rules import OWN_CAUSES, DriftCause, ReconcileRules
from channels import Channels
from settings import load
from wiring.reconcile import ReconcileMaking
from wiring.rules import reconcile_actor_rules


def test_every_rule_but_the_lag_of_the_exchanges_lists_comes_from_a_setting() -> None:
    wiring = (Path(__file__).parents[2] / "wiring/rules.py").read_text()
    for name in set(ReconcileRules.__struct_fields__) - {"history_lag_sec", "adopted"}:
        assert re.search(rf"^            {name}=settings\.", wiring, flags=re.M), name


def test_own_causes_are_booked_besides_those_that_are_listed() -> None:
    own = reconcile_actor_rules(load({"P33_RECONCILE": "on", "P34_ADOPT_CAUSES": "adl"}).settings)
    assert own.rules.adopted == OWN_CAUSES | {DriftCause.ADL}
    assert own.close_stream == "quantum:stream:apply.plan"
    assert not own.shadow


def test_an_engine_needs_its_channels() -> None:
    rules = reconcile_actor_rules(load({"P33_RECONCILE": "on"}).settings)
    unused: object = None
    with pytest.raises(ValueError, match="channels of the reconcile engine"):
        ReconcileMaking(Channels(1), unused, unused, clocks=unused, rules=rules, log=unused)  # type: ignore[arg-type]
