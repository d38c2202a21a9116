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
        ("universe,executor", set(Role)),
        (" executor , universe ,", set(Role)),
    ],
)
def test_roles_are_names_with_commas(text: str, roles: set[Role]) -> None:
    assert read_roles(text) == roles


def test_an_unknown_role_is_named() -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="no role 'governor': there are universe,executor"):
        read_roles("universe,governor")


@pytest.mark.parametrize(
    ("roles", "universe", "executing"),
    [(frozenset(), "off", "off"), ({Role.UNIVERSE}, "on", "off"), ({Role.EXECUTOR}, "off", "on")],
)
def test_the_daemon_has_the_roles_that_are_named(
    roles: frozenset[Role], universe: str, executing: str
) -> None:
    own = settings.load(switches_of(roles, outside_universe=OUTSIDE)).settings
    assert (own.universe, own.executing) == (universe, executing)
    assert own.universe_blacklist == (OUTSIDE if universe == "on" else ())


def test_the_rest_is_played() -> None:
    assert played_text(frozenset()) == "universe, publishers, Governor, reconcile engine, executors"
    assert played_text(ALL_ROLES) == "publishers, Governor, reconcile engine"
    assert roles_text(ALL_ROLES) == "roles universe and executor"
    assert roles_text(frozenset({Role.EXECUTOR})) == "role executor"
