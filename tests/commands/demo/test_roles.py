"""The roles of the demo's daemon."""

from __future__ import annotations

import argparse

import pytest

import settings
from commands.demo.roles import ALL_ROLES, Role, played_text, read_roles, roles_text, switches_of

OUTSIDE = ("ABCUSDT", "XYZUSDT")


@pytest.mark.parametrize(
    ("text", "roles"),
    [
        ("", set()),
        (" , ", set()),
        ("executor", {Role.EXECUTOR}),
        ("universe,intent_bridge,governor,executor,reconcile,decision_intelligence", set(Role)),
        (" executor , universe ,", {Role.UNIVERSE, Role.EXECUTOR}),
    ],
)
def test_roles_are_names_with_commas(text: str, roles: set[Role]) -> None:
    assert read_roles(text) == roles


def test_an_unknown_role_is_named() -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="no role 'broker': there are universe,int"):
        read_roles("universe,broker")


@pytest.mark.parametrize(
    ("roles", "on"),
    [
        (frozenset(), None),
        ({Role.UNIVERSE}, "universe"),
        ({Role.INTENT_BRIDGE}, "intent_bridge"),
        ({Role.GOVERNOR}, "governor"),
        ({Role.EXECUTOR}, "executor"),
        ({Role.RECONCILE}, "reconcile"),
        ({Role.DECISION_INTELLIGENCE}, "decision_intelligence"),
    ],
)
def test_the_daemon_has_the_roles_that_are_named(roles: frozenset[Role], on: str | None) -> None:
    loaded = settings.load(switches_of(roles, outside_universe=OUTSIDE))
    own = loaded.settings
    assert {role: getattr(own, role) for role in Role} == {
        role: "on" if role == on else "off" for role in Role
    }
    assert not [warning for warning in loaded.warnings if "GOV_" in warning or "P34_" in warning]
    assert own.universe_blacklist == (OUTSIDE if on == "universe" else ())


def test_the_rest_is_played() -> None:
    assert played_text(frozenset()) == "universe, publishers, Governor, reconcile engine, executors"
    assert played_text(ALL_ROLES) == "strategies"
    assert played_text(ALL_ROLES - {Role.GOVERNOR}) == "strategies, Governor"
    assert roles_text(ALL_ROLES) == (
        "roles universe, intent_bridge, governor, executor, reconcile and decision_intelligence"
    )
    two = frozenset({Role.GOVERNOR, Role.DECISION_INTELLIGENCE})
    assert roles_text(ALL_ROLES - two) == "roles universe, intent_bridge, executor and reconcile"
    assert roles_text(frozenset({Role.EXECUTOR})) == "role executor"
